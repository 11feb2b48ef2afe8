package main

import (
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/valyala/fasthttp"
)

// fill writes a request; see load.Scenario.
type fill func(request *fasthttp.Request, connection, n int)

// kind is one command.
type kind struct {
	about   string
	flags   func(*settings, *flag.FlagSet)
	prepare func(*settings, *url.URL) (fill, error)
}

var kinds = map[string]kind{
	"token": {"asks a token endpoint for tokens by client credentials", func(s *settings, flags *flag.FlagSet) {
		s.clientFlags(flags)
		flags.StringVar(&s.resource, "resource", "", "resource indicator (RFC 8707)")
		flags.StringVar(&s.scope, "scope", "", "scope")
	}, (*settings).prepareToken},
	"introspect": {"asks about tokens", func(s *settings, flags *flag.FlagSet) {
		s.clientFlags(flags)
		s.tokenFlags(flags, "to ask about")
		flags.StringVar(&s.bearer, "bearer", "", "token that the caller authenticates with, instead of -client")
	}, (*settings).prepareIntrospect},
	"jwks": {"fetches a key set as verifiers do: again and again, with the ETag it had", func(s *settings, flags *flag.FlagSet) {
		flags.BoolVar(&s.etag, "etag", true, "send If-None-Match once an ETag is known")
	}, (*settings).prepareJWKS},
	"get": {"requests a URL", func(s *settings, flags *flag.FlagSet) { s.tokenFlags(flags, "to send as bearer tokens") }, (*settings).prepareGet},
}

func (s *settings) clientFlags(flags *flag.FlagSet) {
	flags.StringVar(&s.client, "client", "", "client id and secret, id:secret")
	flags.StringVar(&s.clients, "clients", "", "file of clients, one id:secret a line, taken in turn")
	flags.StringVar(&s.auth, "auth", "basic", "how clients authenticate: basic or post")
}

func (s *settings) tokenFlags(flags *flag.FlagSet, what string) {
	flags.StringVar(&s.token, "token", "", "token "+what)
	flags.StringVar(&s.tokens, "tokens", "", "file of tokens "+what+", one a line, taken in turn")
}

// credential is how one client authenticates.
type credential struct{ authorization, form string }

func (s *settings) credentials() ([]credential, error) {
	if s.auth != "basic" && s.auth != "post" {
		return nil, misuse{fmt.Errorf("-auth is basic or post, not %q", s.auth)}
	}
	lines, err := s.oneOrMany(s.client, s.clients, "client")
	if err != nil {
		return nil, err
	}
	all := make([]credential, len(lines))
	for i, line := range lines {
		id, secret, found := strings.Cut(line, ":")
		if !found || id == "" {
			return nil, misuse{fmt.Errorf("client %d is not of the form id:secret", i+1)} // without the line, which may be a secret
		}
		if s.auth == "post" {
			all[i].form = url.Values{"client_id": {id}, "client_secret": {secret}}.Encode()
			continue
		}
		// RFC 6749 section 2.3.1: both are form-encoded first.
		pair := url.QueryEscape(id) + ":" + url.QueryEscape(secret)
		all[i].authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(pair))
	}
	return all, nil
}

func (s *settings) prepareToken(u *url.URL) (fill, error) {
	clients, err := s.credentials()
	if err != nil {
		return nil, err
	}
	if len(clients) == 0 {
		return nil, misuse{errors.New("-client or -clients is missing")}
	}
	values := url.Values{"grant_type": {"client_credentials"}}
	for name, value := range map[string]string{"resource": s.resource, "scope": s.scope} {
		if value != "" {
			values.Set(name, value)
		}
	}
	form, turn := values.Encode(), atomic.Int64{}
	return func(request *fasthttp.Request, _, _ int) {
		post(request, u, clients[next(&turn, len(clients))], form)
	}, nil
}

func (s *settings) prepareIntrospect(u *url.URL) (fill, error) {
	callers, err := s.credentials()
	if err != nil {
		return nil, err
	}
	if len(callers) == 0 && s.bearer == "" {
		return nil, misuse{errors.New("the caller authenticates with -client or -bearer")}
	}
	if len(callers) == 0 {
		callers = []credential{{authorization: "Bearer " + s.bearer}}
	}
	tokens, err := s.oneOrMany(s.token, s.tokens, "token")
	if err != nil {
		return nil, err
	}
	if len(tokens) == 0 {
		return nil, misuse{errors.New("-token or -tokens is missing")}
	}
	turn := atomic.Int64{}
	return func(request *fasthttp.Request, _, n int) {
		post(request, u, callers[n%len(callers)], url.Values{"token": {tokens[next(&turn, len(tokens))]}}.Encode())
	}, nil
}

func (s *settings) prepareJWKS(u *url.URL) (fill, error) {
	return func(request *fasthttp.Request, _, _ int) { get(request, u, "") }, nil
}

func (s *settings) prepareGet(u *url.URL) (fill, error) {
	tokens, err := s.oneOrMany(s.token, s.tokens, "token")
	if err != nil {
		return nil, err
	}
	if len(tokens) == 0 {
		tokens = []string{""}
	}
	turn := atomic.Int64{}
	return func(request *fasthttp.Request, _, _ int) { get(request, u, tokens[next(&turn, len(tokens))]) }, nil
}

// next takes them in turn, whichever connection asks.
func next(turn *atomic.Int64, count int) int { return int((turn.Add(1) - 1) % int64(count)) }

func get(request *fasthttp.Request, u *url.URL, token string) {
	request.SetRequestURI(u.RequestURI())
	request.Header.SetHost(u.Host)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
}

func post(request *fasthttp.Request, u *url.URL, c credential, form string) {
	get(request, u, "")
	request.Header.SetMethod(fasthttp.MethodPost)
	request.Header.SetContentType("application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	if c.authorization != "" {
		request.Header.Set("Authorization", c.authorization)
	}
	if c.form != "" {
		form += "&" + c.form
	}
	request.SetBodyString(form)
}
