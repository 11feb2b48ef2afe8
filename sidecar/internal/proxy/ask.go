package proxy

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/sidecar/internal/guard"
)

// Question is a request that another proxy holds and asks about before it
// forwards it.
type Question struct {
	Request guard.Request // as the client sent it; Fields end with the empty line
	Client  netip.Addr    // whom the asking proxy has the request from
	Proto   string        // http or https, as the client sees it
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
}

// Ask judges a request that this proxy does not forward: the same stops, the
// same records. What the answer's status was, and how long it took, nobody
// tells, so the record says 200 when allowed.
func (p *Proxy) Ask(q Question) Verdict {
	x := &exchange{proxy: p, started: time.Now(), request: q.Request, client: q.Client, proto: q.Proto}
	if q.Client.IsValid() {
		x.record.Peer = q.Client.String()
	}
	x.number()
	r := p.judge(x)
	if r == nil && x.finish(decision.Allowed, x.record.Reason, http.StatusOK) != nil {
		r = auditFull // nothing passes unrecorded
	}
	v := Verdict{DecisionID: x.record.DecisionID, RouteID: x.record.RouteID}
	if r != nil {
		r = x.deny(r)
		v.Status, v.Fields, v.Body, v.Reason = r.status, r.fields(x.record.RequestID), r.body(v.DecisionID), r.reason
		return v
	}
	v.Allowed, v.Status, v.Reason = true, http.StatusOK, x.record.Reason
	fields := x.identityFields()
	v.Fields = fields[:]
	return v
}
