package proxy

import (
	"time"

	"github.com/sentryagent/agentidp/shared/policy"
	"github.com/sentryagent/agentidp/shared/token"
	"github.com/sentryagent/agentidp/sidecar/internal/guard"
	"github.com/sentryagent/agentidp/sidecar/internal/route"
)

// judge takes the request through the stops before the upstream; nil lets it pass.
func (p *Proxy) judge(x *exchange) *refusal {
	if r := p.inspect(x); r != nil {
		return r
	}
	if r := p.choose(x); r != nil {
		return r
	}
	return p.permit(x)
}

// permit is every stop whose answer may change with time. A request whose body
// was waited for passes it twice.
func (p *Proxy) permit(x *exchange) *refusal {
	if !p.enter(x) {
		return overloaded
	}
	defer p.leave(x)
	began := x.started // the first judgement takes in what came before it
	if x.judged {
		began = time.Now()
	}
	x.judged = true
	defer p.meters.seconds.UpdateDuration(began)
	if !x.match.Open && !x.public() {
		if r := p.authenticate(x); r != nil {
			return r
		}
	}
	switch x.match.Outcome {
	case route.NoPath:
		return noRoute
	case route.NoMethod:
		return methodRefused(x.match.Allow)
	default:
		if r := x.upgradable(); r != nil {
			return r
		}
		if r := p.count(x); r != nil {
			return r
		}
		return p.decide(x)
	}
}

// enter takes a place for the exchange, which leave gives back.
func (p *Proxy) enter(x *exchange) bool {
	x.placed = p.gate.enter()
	return x.placed
}

func (p *Proxy) leave(x *exchange) {
	if x.placed {
		x.placed = false
		p.gate.leave()
	}
}

// public reports whether the request needs no token.
func (x *exchange) public() bool { return x.match.Route != nil && x.match.Route.Public() }

// inspect is the guard on the raw head.
func (p *Proxy) inspect(x *exchange) *refusal {
	why := guard.DefaultLimits.Check(x.request, &x.head)
	if why == nil && x.conn != nil && x.conn.line.refused() {
		why = guard.LineEnding
	}
	x.describe(why == nil)
	x.introduce()
	if why != nil {
		x.closes(true) // nothing behind a doubtful head is read
		return guarded(why)
	}
	if x.head.Closes() || x.head.WebSocket {
		x.closes(x.head.WebSocket) // what follows a handshake is frames, or nothing
	}
	if x.head.Length > p.MaxBody {
		return bodyLarge
	}
	return nil
}

func guarded(why *guard.Refusal) *refusal {
	r := &refusal{check: atGuard, status: why.Status, reason: why.Reason, message: malformed}
	if r.status == 405 {
		r.allow = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
	}
	return r
}

// choose finds the route. A path without one, or without the method, is not
// told to strangers: that answer waits for the token.
func (p *Proxy) choose(x *exchange) *refusal {
	t := p.traffic.Load()
	x.match = t.table.Match(x.request.Method, x.head.Host, x.head.Path)
	x.record.RouteID = x.match.ID
	if r := x.match.Route; r != nil {
		x.record.Capability, x.upstream = r.Capability, t.upstreams.Get(r.Upstream)
	}
	if x.match.Outcome == route.Ambiguous {
		return pathAmbiguous
	}
	return nil
}

// authenticate demands one good token of an agent that may be here.
func (p *Proxy) authenticate(x *exchange) *refusal {
	raw, r := bearer(x.head.Authorization)
	if r != nil {
		return r
	}
	identity, known := p.Verifier.Recall(borrowed(raw))
	if !known {
		p.leave(x) // verification has turns of its own: who waits for one keeps no place from those who need none
		var err error
		if identity, err = p.Verifier.Verify(p.ctx, borrowed(raw)); err != nil {
			return refused(atToken, err)
		}
		if !p.enter(x) {
			return overloaded
		}
	}
	if !headerSafe(&identity.Claims) {
		return invalidToken(atToken, "claims_invalid")
	}
	x.identify(&identity)
	if p.Recorder.Admit() != nil {
		return auditFull
	}
	if reason, revoked := p.Revocations.Revoked(&x.identity.Claims); revoked {
		return invalidToken(atRevocation, reason)
	}
	if p.Revocations.Stale() && !p.lastGood(x) {
		return revocationsOld
	}
	if !p.Organizations(x.identity.Claims.Organization) {
		return organizationOut
	}
	return nil
}

// lastGood reports whether the route waives staleness: what was never known is
// not stale, it is missing.
func (p *Proxy) lastGood(x *exchange) bool {
	return x.match.Route != nil && x.match.Route.LastGood && p.Revocations.Known()
}

// headerSafe reports whether the claims can stand in header fields as they are:
// visible ASCII, spaces inside the scope only.
func headerSafe(c *token.Claims) bool {
	return visible(c.Subject, '!') && visible(c.Organization, '!') && visible(c.ClientID, '!') && visible(c.JTI, '!') && visible(c.Scope, ' ')
}

func visible(s string, from byte) bool {
	for i := range len(s) {
		if s[i] < from || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// decide asks the policy. On a route in shadow mode its refusal is only written
// down: what it would do can be seen before it does it.
func (p *Proxy) decide(x *exchange) *refusal {
	r := p.ask(x)
	if r == nil || !x.match.Route.Shadow {
		return r
	}
	x.record.Reason = shadowed + r.reason
	return nil
}

// shadowed begins the reason of a request that passed in shadow mode alone.
const shadowed = "shadow_"

// ask asks what the route demands, then what its message demands besides.
func (p *Proxy) ask(x *exchange) *refusal {
	x.record.Capability = x.match.Route.Capability // of a judgement before, perhaps the message's
	if r := p.question(x, p.input(x), x.match.Route.Capability); r != nil {
		return r
	}
	return p.askMore(x)
}

// input is the exchange as the policy sees it, with what the route demands.
func (p *Proxy) input(x *exchange) policy.Input {
	in := policy.Input{
		Request: policy.Request{Method: x.record.Method, Host: x.record.Host, Path: x.path(), Peer: x.record.Peer},
		Route:   policy.Route{ID: x.match.Route.ID, Capability: x.match.Route.Capability},
		RPC:     x.rpcInput(),
	}
	if x.known {
		c := &x.identity.Claims
		in.Agent = policy.Agent{ID: c.Subject, OrganizationID: c.Organization, ClientID: c.ClientID}
		in.Token = policy.Token{JTI: c.JTI, Audience: c.Audience, Scope: x.identity.Scope, ExpiresAt: c.ExpiresAt}
	}
	return in
}

// question is the policy's answer; scope is all that the request needs. The
// sidecar can honour no obligation.
func (p *Proxy) question(x *exchange, in policy.Input, scope string) *refusal {
	x.record.PolicyRevision = p.PolicyRevision()
	d, err := p.Decider.Decide(p.ctx, x.identity.Digest, in)          // zero of an anonymous request
	x.record.PolicyRevision = or(d.Revision, x.record.PolicyRevision) // of the policy that answered
	if err != nil {
		return refused(atPolicy, err)
	}
	x.record.Reason = d.Reason
	if d.Allow && len(d.Obligations) == 0 {
		return nil
	}
	if d.Allow {
		return insufficient(atPolicy, "obligation_unknown", scope)
	}
	return insufficient(atPolicy, d.Reason, scope)
}
