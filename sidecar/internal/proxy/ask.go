package proxy

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/sidecar/internal/guard"
)

// DecisionHeader tells an asking proxy the id of the decision.
const DecisionHeader = "X-AgentIdP-Decision-Id"

// Question is a request that another proxy holds and asks about before it
// forwards it.
type Question struct {
	Request guard.Request // as the client sent it; Fields end with the empty line
	Client  netip.Addr    // whom the asking proxy has the request from
	Proto   string        // http or https, as the client sees it

	// Doubt is why Request may not be the one that the asking proxy holds. It is
	// refused so, and what Request says is recorded only.
	Doubt *guard.Refusal
}

// Verdict is the answer. The asking proxy forwards an allowed request with
// Fields, which say who asks, in place of any of the client's that it does not
// forward itself (guard.Head.Forwards); an empty value means that nobody knows.
// The client of a refused request gets Status, Fields and Body.
type Verdict struct {
	Allowed    bool
	Status     int // 200 when allowed
	Fields     [][2]string
	Body       []byte // of a refusal: a JSON document
	DecisionID string
	RouteID    string
	Reason     string

	Forwarded    [][2]string // when allowed: what else this proxy would tell of the client; an empty value means that nobody knows
	ForwardToken bool        // the route lets the upstream have the client's token
}

// Ask judges a request that this proxy does not forward: the same stops, the
// same records. What the answer's status was, and how long it took, nobody
// tells, so the record says 200 when allowed. It does not panic: who asks could
// take that for no answer, and some take no answer for permission.
func (p *Proxy) Ask(q Question) (v Verdict) {
	x := &exchange{proxy: p, started: time.Now(), request: q.Request, client: q.Client, proto: q.Proto}
	if q.Client.IsValid() {
		x.record.Peer = q.Client.String()
	}
	x.number()
	defer func() {
		if cause := recover(); cause != nil {
			p.Log.Error("panic in judgement", "panic", cause, "decision_id", x.record.DecisionID)
			v = x.denied(internalError)
		}
	}()
	r := p.doubt(x, q.Doubt)
	if r == nil {
		r = p.judge(x)
	}
	if r == nil {
		r = x.beyondHead()
	}
	if r == nil && x.finish(decision.Allowed, x.record.Reason, http.StatusOK) != nil {
		r = auditFull // nothing passes unrecorded
	}
	if r != nil {
		return x.denied(r)
	}
	fields := x.identityFields()
	return Verdict{
		Allowed: true, Status: http.StatusOK, Reason: x.record.Reason, DecisionID: x.record.DecisionID, RouteID: x.record.RouteID,
		Fields: fields[:], Forwarded: x.forwarded(), ForwardToken: x.match.Route.ForwardToken,
	}
}

// beyondHead refuses what takes more than a judgement of the head: what a message
// asks for stands in the body, what an agent may see of streams and lists in the
// answer, and metadata of resources is nothing that an API has.
func (x *exchange) beyondHead() *refusal {
	switch {
	case x.match.Route.RPC != nil:
		return rpcUnseen
	case x.match.Route.Metadata != nil:
		return noRoute
	default:
		return nil
	}
}

// denied records the refusal; the verdict is what the client gets.
func (x *exchange) denied(r *refusal) Verdict {
	r = x.deny(r)
	return Verdict{
		Status: r.status, Fields: r.fields(x.record.RequestID), Body: r.body(x.record.DecisionID),
		Reason: r.reason, DecisionID: x.record.DecisionID, RouteID: x.record.RouteID,
	}
}

// doubt refuses what the asker itself finds doubtful; nil if it does not.
func (p *Proxy) doubt(x *exchange, why *guard.Refusal) *refusal {
	if why == nil {
		return nil
	}
	x.describe(false)
	return guarded(why)
}

// forwarded is what the request's upstream is told beside who asks.
func (x *exchange) forwarded() [][2]string {
	return [][2]string{
		{"X-Forwarded-For", x.record.Peer}, {"X-Forwarded-Host", x.record.Host}, {"X-Forwarded-Proto", x.proto}, {"X-Request-Id", x.record.RequestID},
	}
}
