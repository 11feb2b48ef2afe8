package vaulttest

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// token is one of the double's tokens.
type token struct {
	path      string
	policies  []string
	period    time.Duration // of a renewal
	expires   time.Time     // zero: never
	ends      time.Time     // whatever is renewed; zero: never
	renewable bool
	orphan    bool
}

// role is one of a login's roles.
type role struct {
	id      string
	secrets map[string]bool
	ttl     time.Duration
	limit   time.Duration
}

// reviewer is where the Kubernetes login asks whose a token is.
type reviewer struct{ configured bool }

func (d *double) issue(t *token) string {
	if t.period > 0 {
		t.expires = time.Now().Add(t.period)
	}
	id := "hvs." + rand.Text()
	d.tokens[id] = t
	return id
}

// extend is a renewal: never past the token's end.
func (t *token) extend() {
	t.expires = time.Now().Add(t.period)
	if !t.ends.IsZero() && t.ends.Before(t.expires) {
		t.expires = t.ends
	}
}

func (t *token) seconds() int {
	if t.expires.IsZero() {
		return 0
	}
	return int(time.Until(t.expires).Round(time.Second) / time.Second)
}

func authority(id string, t *token, entity string, metadata any) map[string]any {
	return map[string]any{
		"client_token": id, "accessor": "a", "policies": t.policies, "token_policies": t.policies, "metadata": metadata,
		"lease_duration": t.seconds(), "renewable": t.renewable, "entity_id": entity, "token_type": "service", "orphan": t.orphan,
		"mfa_requirement": nil, "num_uses": 0,
	}
}

func (t *token) lookup(id string) map[string]any {
	data := map[string]any{
		"accessor": "a", "creation_time": 1, "creation_ttl": int(t.period.Seconds()), "display_name": "token", "entity_id": "",
		"expire_time": nil, "explicit_max_ttl": 0, "id": id, "meta": nil, "num_uses": 0, "orphan": t.orphan, "path": t.path,
		"policies": t.policies, "ttl": t.seconds(), "type": "service",
	}
	if !t.expires.IsZero() {
		data["expire_time"] = t.expires.Format(time.RFC3339Nano)
	}
	if t.path != "auth/token/root" {
		data["issue_time"], data["renewable"] = "2026-01-01T00:00:00Z", t.renewable
	}
	return data
}

func (d *double) token(c *call) (reply, *failure) {
	t := c.token
	switch {
	case c.is("GET", "auth/token/lookup-self"):
		return reply{mount: "token", data: t.lookup(c.id)}, nil
	case c.is("PUT", "auth/token/renew-self"):
		if !t.renewable {
			return reply{}, fail(http.StatusBadRequest, "lease is not renewable")
		}
		t.extend()
		return reply{mount: "token", auth: authority(c.id, t, "", nil)}, nil
	case c.is("PUT", "auth/token/create"):
		made := &token{path: "auth/token/create", period: duration(c.text("ttl")), renewable: c.body["renewable"] != false, orphan: true}
		for _, policy := range c.body["policies"].([]any) {
			made.policies = append(made.policies, policy.(string))
		}
		if limit := duration(c.text("explicit_max_ttl")); limit > 0 {
			made.ends = time.Now().Add(limit)
		}
		id := d.issue(made)
		return reply{mount: "token", auth: authority(id, made, "", nil)}, nil
	case c.is("PUT", "auth/token/revoke"):
		delete(d.tokens, c.text("token"))
		return reply{}, nil
	}
	return reply{}, fail(http.StatusNotFound)
}

func (d *double) configureLogin(c *call) (reply, *failure) {
	approle := func(data any) (reply, *failure) { return reply{mount: "approle", data: data}, nil }
	switch {
	case c.is("PUT", "auth/approle/role/*"):
		d.roles[c.path[3]] = &role{id: rand.Text(), secrets: map[string]bool{}, ttl: duration(c.text("token_ttl")), limit: duration(c.text("token_max_ttl"))}
	case c.is("GET", "auth/approle/role/*/role-id"):
		return approle(map[string]any{"role_id": d.roles[c.path[3]].id})
	case c.is("PUT", "auth/approle/role/*/secret-id"):
		secret := rand.Text()
		d.roles[c.path[3]].secrets[secret] = true
		return approle(map[string]any{"secret_id": secret})
	case c.is("PUT", "auth/kubernetes/config"):
		d.reviewer = reviewer{configured: true}
	case c.is("PUT", "auth/kubernetes/role/*"):
		d.pods[c.path[3]] = &role{ttl: duration(c.text("token_ttl")), limit: duration(c.text("token_max_ttl"))}
	default:
		return reply{}, fail(http.StatusNotFound)
	}
	return reply{}, nil
}

func (d *double) login(c *call) (reply, *failure) {
	if c.path[1] == "kubernetes" {
		return d.podLogin(c)
	}
	for name, r := range d.roles {
		if r.id == c.text("role_id") && r.secrets[c.text("secret_id")] {
			return d.loggedIn(r, "auth/approle/login", map[string]any{"role_name": name})
		}
	}
	return reply{}, fail(http.StatusBadRequest, "invalid role or secret ID")
}

func (d *double) podLogin(c *call) (reply, *failure) {
	name := c.text("role")
	r := d.pods[name]
	if r == nil {
		return reply{}, fail(http.StatusBadRequest, "invalid role name "+strconv.Quote(name))
	}
	account := account(c.text("jwt"))
	if !d.reviewer.configured || account != "agentidp" {
		return reply{}, fail(http.StatusForbidden, "service account name not authorized")
	}
	return d.loggedIn(r, "auth/kubernetes/login", map[string]any{
		"role": name, "service_account_name": account, "service_account_namespace": "default", "service_account_secret_name": "",
		"service_account_uid": "1",
	})
}

func (d *double) loggedIn(r *role, path string, metadata any) (reply, *failure) {
	t := &token{path: path, policies: []string{"default", "everything"}, period: r.ttl, renewable: true, orphan: true}
	t.ends = time.Now().Add(r.limit)
	id := d.issue(t)
	return reply{auth: authority(id, t, "e", metadata)}, nil
}

// account is the service account's name in a pod's token.
func account(jwt string) string {
	var claims struct {
		Kubernetes struct {
			ServiceAccount struct{ Name string }
		} `json:"kubernetes.io"`
	}
	if parts := strings.Split(jwt, "."); len(parts) == 3 {
		payload, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err != nil || json.Unmarshal(payload, &claims) != nil {
			return ""
		}
	}
	return claims.Kubernetes.ServiceAccount.Name
}

func duration(text string) time.Duration {
	d, _ := time.ParseDuration(text) // none: 0
	return d
}
