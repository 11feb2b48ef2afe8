package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/bench/lab"
	"github.com/sentryagent/agentidp/bench/load"
	"github.com/sentryagent/agentidp/bench/result"
	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

const jwksPath = "/.well-known/jwks.json"

// api measures what resource servers and operators ask, at 8 connections.
func api(ctx context.Context, r *Run) ([]result.Row, error) {
	if err := r.Focus(ctx, lab.IdP); err != nil {
		return nil, err
	}
	admin, err := r.adminToken(ctx)
	if err != nil {
		return nil, err
	}
	token, err := r.token(ctx, r.Resource())
	if err != nil {
		return nil, err
	}
	etag, err := r.etag(ctx)
	if err != nil {
		return nil, err
	}
	registered := 0 // of earlier measurements
	loads := []struct {
		scenario, subject string
		load              func() load.Scenario
	}{
		{"introspection", "idp", func() load.Scenario { return introspection(admin, token) }},
		{"jwks", "idp", func() load.Scenario { return get(jwksPath, "") }},
		{"jwks-etag", "idp", func() load.Scenario { return unchanged(etag) }},
		{"agents-list", "idp", func() load.Scenario { return get("/api/v1/agents?limit=100", admin) }},
		{"agent", "idp", func() load.Scenario { return get("/api/v1/agents/"+r.Reader.AgentID, admin) }},
		{"registration", "idp", func() load.Scenario {
			registered++
			return registration(admin, registered)
		}},
	}
	var subjects []*subject
	for _, l := range loads {
		subjects = append(subjects, newSubject(l.scenario, l.subject, connectionsOf(8), func(ctx context.Context) (measured, error) {
			return r.closed(ctx, r.idp(), l.load(), 8)
		}))
	}
	return r.interleave(ctx, r.Rounds, subjects...)
}

func (r *Run) adminToken(ctx context.Context) (string, error) {
	credential, err := r.Administrator()
	if err != nil {
		return "", err
	}
	token, err := r.Config(credential).Token(ctx)
	if err != nil {
		return "", err
	}
	return token.AccessToken, nil
}

func (r *Run) etag(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.Issuer()+jwksPath, nil)
	if err != nil {
		return "", err
	}
	answer, err := stack.Send(http.DefaultClient, request)
	if err != nil {
		return "", err
	}
	if etag := answer.Header.Get("ETag"); etag != "" {
		return etag, nil
	}
	return "", errors.New("the key set has no ETag")
}

// get asks for a path, as whoever has the token; "": nobody.
func get(path, token string) load.Scenario {
	return load.Scenario{Name: path, Want: fasthttp.StatusOK, Fill: func(request *fasthttp.Request, _, _ int) {
		request.SetRequestURI(path)
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
	}}
}

func unchanged(etag string) load.Scenario {
	return load.Scenario{Name: "jwks", Want: fasthttp.StatusNotModified, Fill: func(request *fasthttp.Request, _, _ int) {
		request.SetRequestURI(jwksPath)
		request.Header.Set("If-None-Match", etag)
	}}
}

func introspection(caller, token string) load.Scenario {
	form := url.Values{"token": {token}}.Encode()
	return load.Scenario{Name: "introspection", Want: fasthttp.StatusOK, Fill: func(request *fasthttp.Request, _, _ int) {
		fillToken(request, "/api/v1/token/introspect", "Bearer "+caller, form)
	}}
}

func registration(caller string, series int) load.Scenario {
	return load.Scenario{Name: "registration", Want: fasthttp.StatusCreated, Fill: func(request *fasthttp.Request, connection, n int) {
		request.Header.SetMethod(fasthttp.MethodPost)
		request.SetRequestURI("/api/v1/agents")
		request.Header.SetContentType("application/json")
		request.Header.Set("Authorization", "Bearer "+caller)
		request.SetBodyString(fmt.Sprintf(`{"email":"r-%d-%d-%d@example.com","agentType":"custom","version":"1.0.0","owner":"bench","deploymentEnv":"development","capabilities":[%q]}`,
			series, connection, n, lab.Capability))
	}}
}
