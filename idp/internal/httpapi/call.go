package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/grants"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/capability"
	"github.com/sentryagent/agentidp/shared/httpx"
	"github.com/sentryagent/agentidp/shared/policy"
	"github.com/sentryagent/agentidp/shared/token"
	"github.com/sentryagent/agentidp/shared/trace"
)

// call is one request on its way through the pipeline. One goroutine owns it.
// No string in it shares memory with the server's buffers.
type call struct {
	http    *fasthttp.RequestCtx
	route   *Route
	path    string     // as the document names it: below the issuer
	address netip.Addr // of the client
	origin  idp.Origin
	gone    func() bool // whether the client left; see httpx.Gone
	body    []byte      // the server's buffer, valid until the answer
	gzipped bool        // the body, as yet
	charged bool        // counted by the rate limit

	inactive bool // the token that was asked about is none, or none any more

	form grants.Form // of an OAuth request that was read

	span   trace.Context // the request's own
	caller trace.Context // whose call it is; zero: a trace begins here

	// Set by access control.
	gate     store.Gate
	token    policy.Token   // of a client without a token: what it could get
	rev      idp.Rev        // of the token presented
	kid      string         // of the token presented
	scope    capability.Set // what the caller may use
	decision policy.Decision

	// For the one log line.
	agentID, organizationID, clientID, jti string
	failure                                error
}

// header copies a request header.
func (c *call) header(name string) string { return string(c.http.Request.Header.Peek(name)) }

// headers copies every field of a name.
func (c *call) headers(name string) []string {
	var values []string
	for _, value := range c.http.Request.Header.PeekAll(name) {
		values = append(values, string(value))
	}
	return values
}

// param copies a path parameter.
func (c *call) param(name string) string {
	value, _ := c.http.UserValue(name).(string)
	return strings.Clone(value)
}

// uuids reads path parameters that are UUIDs, in order.
func (c *call) uuids(names ...string) ([]string, error) {
	values := make([]string, len(names))
	var broken []apierr.Field
	for i, name := range names {
		if values[i] = c.param(name); !idp.IsUUID(values[i]) {
			broken = append(broken, apierr.Field{Field: name, Rule: idp.RuleUUID})
		}
	}
	if broken != nil {
		return nil, apierr.Invalid(broken...)
	}
	return values, nil
}

// organization reads the path parameter organizationId.
func (c *call) organization() (string, error) {
	id := c.param("organizationId")
	return id, registry.Invalid(idp.CheckOrganizationID("organizationId", id))
}

func (c *call) rawQuery() string { return string(c.http.Request.URI().QueryString()) }

func (c *call) query() *query { return parseQuery(c.rawQuery()) }

// noQuery refuses every query parameter.
func (c *call) noQuery() error { return c.query().done() }

// members reads the JSON body.
func (c *call) members() (*members, error) { return parseMembers(c.body) }

// ifMatch is the If-Match field; "" without one. Several fields are one list.
func (c *call) ifMatch() (string, error) {
	value := strings.Join(c.headers("If-Match"), ",")
	if len(value) > maxETags {
		return "", invalidField("If-Match", fmt.Sprintf("must be at most %d bytes", maxETags))
	}
	return value, nil
}

// actor is the caller as the use cases know it.
func (c *call) actor() (registry.Actor, error) {
	actor := registry.Actor{
		AgentID: c.agentID, OrganizationID: c.organizationID, ClientID: c.clientID, Rev: c.rev, JTI: c.jti, KID: c.kid,
		Capabilities: c.scope, Only: c.decision.Fields(), Origin: c.origin,
	}
	keys := c.headers("Idempotency-Key")
	if !c.route.idempotent || len(keys) == 0 {
		return actor, nil
	}
	if len(keys) > 1 || !visible(keys[0], maxIdempotencyKey) {
		return actor, invalidField("Idempotency-Key", fmt.Sprintf("must be one value of 1 to %d visible ASCII characters", maxIdempotencyKey))
	}
	hash := sha256.New()
	hash.Write(c.body)
	hash.Write([]byte{0})
	hash.Write([]byte(c.rawQuery()))
	actor.Idempotency = &registry.Idempotency{Key: keys[0], Path: c.path, BodyHash: [sha256.Size]byte(hash.Sum(nil))}
	return actor, nil
}

const (
	maxIdempotencyKey = 128 // characters
	maxETags          = 256 // bytes
)

// visible reports 1 to limit visible ASCII characters.
func visible(s string, limit int) bool {
	return s != "" && len(s) <= limit && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// identify remembers who asks.
func (c *call) identify(gate store.Gate) {
	c.gate = gate
	c.agentID, c.organizationID, c.clientID = gate.Agent.ID, gate.Organization.ID, gate.Credential.ClientID
}

// bear remembers the token that was presented.
func (c *call) bear(claims token.Claims, scope capability.Set) {
	c.jti, c.kid, c.scope = claims.JTI, claims.KID, scope
	c.rev = idp.Rev{Organization: claims.Rev[0], Agent: claims.Rev[1], Credential: claims.Rev[2]}
	c.token = policy.Token{JTI: claims.JTI, Audience: claims.Audience, Scope: scope.Strings(), ExpiresAt: claims.ExpiresAt}
}

// answer writes a status and JSON. HTML characters stay as they are: nothing here is a page.
func (c *call) answer(status int, value any) error {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	c.write(status, "application/json", bytes.TrimSuffix(buffer.Bytes(), []byte("\n")))
	return nil
}

// write writes a status and a body, which nobody changes any more.
func (c *call) write(status int, contentType string, body []byte) {
	c.http.SetStatusCode(status)
	c.http.SetContentType(contentType)
	c.http.Response.SetBodyRaw(body)
	httpx.SetSecurityHeaders(&c.http.Response.Header)
}

// empty writes a status without a body.
func (c *call) empty(status int) {
	c.http.SetStatusCode(status)
	httpx.SetSecurityHeaders(&c.http.Response.Header)
}

func (c *call) set(name, value string) { c.http.Response.Header.Set(name, value) }

// etag names the revision that the answer shows.
func (c *call) etag(revision int64) { c.set("ETag", registry.ETag(revision)) }

func (c *call) location(path ...string) { c.set("Location", strings.Join(path, "/")) }

// replayed marks an answer that comes from memory.
func (c *call) replayed(is bool) {
	if is {
		c.set("Idempotency-Replayed", "true")
	}
}

// unchanged answers 304 when the caller has the current version (RFC 9110 section 13.1.2).
func (c *call) unchanged(etag string) bool {
	c.set("ETag", etag)
	if !c.holds(etag) {
		return false
	}
	c.empty(fasthttp.StatusNotModified)
	return true
}

// holds reports whether the caller says that it has the representation already.
func (c *call) holds(etag string) bool {
	for tag := range strings.SplitSeq(c.header("If-None-Match"), ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if tag == "*" || tag == etag {
			return true
		}
	}
	return false
}

// cacheFor lets everybody keep the answer for a number of seconds.
func (c *call) cacheFor(seconds int) {
	c.set("Cache-Control", "public, max-age="+strconv.Itoa(seconds))
}
