package faults

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// answer is a whole answer; err when there was none.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error

	sent, done time.Time
}

func (a *answer) member(name string) string {
	var members map[string]any
	if json.Unmarshal(a.body, &members) != nil {
		return ""
	}
	text, _ := members[name].(string)
	return text
}

// client calls one IdP, notes what it was told, and logs in by itself.
type client struct {
	base   func() string // the IdP may move, or there are several
	http   *http.Client
	ledger *ledger
	mu     sync.Mutex // guards admin
	admin  string     // the administrator's token
}

func newClient(base func() string, l *ledger) *client {
	transport := &http.Transport{MaxIdleConnsPerHost: 64, DialContext: (&net.Dialer{Timeout: patience}).DialContext}
	return &client{base: base, ledger: l, http: &http.Client{Transport: transport, Timeout: patience}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

var requests atomic.Int64

// send sends one request once: net/http would repeat some by itself.
func (c *client) send(method, path, media, authorization string, body []byte, header ...string) (id string, _ answer) {
	id, sent := fmt.Sprintf("f-%d", requests.Add(1)), time.Now()
	request, err := http.NewRequest(method, c.base()+path, bytes.NewReader(body))
	if err != nil {
		return id, answer{err: err}
	}
	request.GetBody = nil
	request.Header.Set("X-Request-Id", id)
	request.Header.Set("Authorization", authorization)
	if media != "" {
		request.Header.Set("Content-Type", media)
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := c.http.Do(request)
	if err != nil {
		return id, answer{err: err, sent: sent, done: time.Now()}
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return id, answer{response.StatusCode, response.Header, content, err, sent, time.Now()}
}

func basic(clientID, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(clientID)+":"+url.QueryEscape(secret)))
}

const form = "application/x-www-form-urlencoded"

// login gets the administrator's token; it is a token like any other.
func (c *client) login() bool {
	d, token := c.issue(holder{clientID: adminID, secret: adminSecret})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.admin = token
	return d.told == yes
}

func (c *client) bearer() string {
	c.mu.Lock()
	token := c.admin
	c.mu.Unlock()
	if token != "" {
		return "Bearer " + token
	}
	c.login()
	c.mu.Lock()
	defer c.mu.Unlock()
	return "Bearer " + c.admin
}

// loggedIn waits until there is a token for what comes next.
func (c *client) loggedIn(t *testing.T) {
	t.Helper()
	await(t, "the administrator logs in", func() bool { return c.bearer() != "Bearer " })
}

// forget makes the next call get a new token.
func (c *client) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.admin = ""
}

// keys are the signing keys and their status, by kid.
func (c *client) keys() map[string]string {
	_, a := c.send(http.MethodGet, "/api/v1/keys", "", c.bearer(), nil)
	var list struct {
		Data []struct{ KID, Status string }
	}
	if a.status == http.StatusUnauthorized {
		c.forget()
	}
	if json.Unmarshal(a.body, &list) != nil {
		return nil
	}
	found := map[string]string{}
	for _, k := range list.Data {
		found[k.KID] = k.Status
	}
	return found
}

// note writes into the ledger what the answer tells about the deed. A refused
// token is forgotten.
func (c *client) note(d deed, id string, a *answer) deed {
	d.id, d.status, d.sent, d.done, d.retryAfter = id, a.status, a.sent, a.done, a.header.Get("Retry-After")
	switch {
	case a.err != nil || a.status == 0:
		d.told, d.reply = unknown, fmt.Sprint(a.err)
	case a.status/100 == 2:
		d.told, d.replayed = yes, a.header.Get("Idempotency-Replayed") == "true"
	case strings.Contains(string(a.body), "may have been done"):
		d.told, d.reply = unknown, string(a.body)
	default:
		d.told, d.reply = no, string(a.body)
	}
	if a.status == http.StatusUnauthorized && d.kind != issue && d.kind != revoke {
		c.mu.Lock()
		c.admin = ""
		c.mu.Unlock()
	}
	c.ledger.add(d)
	return d
}

// holder is an agent with a credential, as far as its owner knows them.
type holder struct {
	email, agentID, credentialID, clientID, secret string
}

var emails atomic.Int64

func (c *client) create(email, key string) (deed, holder) {
	if email == "" {
		email = fmt.Sprintf("agent-%d@example.com", emails.Add(1))
	}
	d := deed{kind: create, key: key, email: email}
	body := fmt.Sprintf(`{"email":%q,"agentType":"custom","version":"1.0.0","capabilities":["notes:read"],"owner":"faults","deploymentEnv":"staging"}`, email)
	d, _ = c.management(d, http.MethodPost, "/api/v1/agents", body)
	return d, holder{email: email, agentID: d.agentID}
}

// management is a call of the administrator; the deed comes back with what was told.
func (c *client) management(d deed, method, path, body string) (deed, answer) {
	var header []string
	if d.key != "" {
		header = []string{"Idempotency-Key", d.key}
	}
	media := "application/json"
	if body == "" {
		media = ""
	}
	bearer := c.bearer()
	if bearer == "Bearer " { // nothing is asked of the IdP: the login, which was, is in the ledger
		d.told, d.status, d.retryAfter = no, http.StatusServiceUnavailable, "1"
		return d, answer{}
	}
	id, a := c.send(method, path, media, bearer, []byte(body), header...)
	switch d.kind {
	case create:
		d.agentID = a.member("agentId")
	case credential:
		d.credentialID, d.clientID = a.member("credentialId"), a.member("clientId")
	default: // the others name what they are about in the request
	}
	return c.note(d, id, &a), a
}

func (c *client) credential(h holder, key string) (deed, holder) {
	d, a := c.management(deed{kind: credential, key: key, agentID: h.agentID}, http.MethodPost, "/api/v1/agents/"+h.agentID+"/credentials", "{}")
	h.credentialID, h.clientID, h.secret = d.credentialID, d.clientID, a.member("clientSecret")
	return d, h
}

func (c *client) rotate(h holder, key string) (deed, holder) {
	d, a := c.management(deed{kind: rotate, key: key, agentID: h.agentID, credentialID: h.credentialID, clientID: h.clientID},
		http.MethodPost, "/api/v1/agents/"+h.agentID+"/credentials/"+h.credentialID+"/rotate", "{}")
	if secret := a.member("clientSecret"); secret != "" {
		h.secret = secret
	}
	return d, h
}

func (c *client) withdraw(h holder) deed {
	d, _ := c.management(deed{kind: withdraw, agentID: h.agentID, credentialID: h.credentialID}, http.MethodDelete,
		"/api/v1/agents/"+h.agentID+"/credentials/"+h.credentialID, "")
	return d
}

func (c *client) suspend(h holder) deed {
	d, _ := c.management(deed{kind: suspend, agentID: h.agentID}, http.MethodPatch, "/api/v1/agents/"+h.agentID, `{"status":"suspended"}`)
	return d
}

func (c *client) remove(h holder) deed {
	d, _ := c.management(deed{kind: remove, agentID: h.agentID}, http.MethodDelete, "/api/v1/agents/"+h.agentID, "")
	return d
}

func (c *client) issue(h holder) (deed, string) {
	id, a := c.send(http.MethodPost, "/api/v1/token", form, basic(h.clientID, h.secret), []byte("grant_type=client_credentials"))
	token := a.member("access_token")
	return c.note(deed{kind: issue, agentID: h.agentID, clientID: h.clientID, jti: jtiOf(token)}, id, &a), token
}

func (c *client) revoke(h holder, token string) deed {
	id, a := c.send(http.MethodPost, "/api/v1/token/revoke", form, basic(h.clientID, h.secret), []byte("token="+token))
	return c.note(deed{kind: revoke, agentID: h.agentID, clientID: h.clientID, jti: jtiOf(token)}, id, &a)
}

// active asks whether the token is; ok is false when there was no such answer.
func (c *client) active(token string) (active, ok bool) {
	_, a := c.send(http.MethodPost, "/api/v1/token/introspect", form, basic(adminID, adminSecret), []byte("token="+token))
	var state struct{ Active bool }
	ok = a.err == nil && a.status == http.StatusOK && json.Unmarshal(a.body, &state) == nil
	return state.Active, ok
}

// known is whether the token is active, from an IdP that can be asked.
func (c *client) known(t *testing.T, token string) (active bool) {
	t.Helper()
	await(t, "the IdP tells of the token", func() (ok bool) { active, ok = c.active(token); return ok })
	return active
}

// jtiOf reads the token's id without judging the token.
func jtiOf(token string) string {
	_, rest, _ := strings.Cut(token, ".")
	segment, _, _ := strings.Cut(rest, ".")
	payload, err := base64.RawURLEncoding.DecodeString(segment)
	if err != nil {
		return ""
	}
	var claims struct {
		JTI string `json:"jti"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	return claims.JTI
}
