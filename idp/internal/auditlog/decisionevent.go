package auditlog

import (
	"strconv"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/decision"
)

var decisionActions = map[decision.Outcome]struct {
	action  idp.Action
	outcome idp.Outcome
}{
	decision.Allowed: {idp.ActionDecisionAllowed, idp.Success},
	decision.Denied:  {idp.ActionDecisionDenied, idp.Denied},
	decision.Error:   {idp.ActionDecisionError, idp.Failure},
	decision.Gap:     {idp.ActionDecisionGap, idp.Failure},
}

// entries turns records into events of the sidecar's organization. The time of
// an event is its arrival; the sidecar's own time is metadata. The bytes are those
// that Encode would give, made without the maps in between.
func (b batch) entries(stream Stream, now time.Time) ([]entry, error) {
	ids, err := newIDs(len(b))
	if err != nil {
		return nil, err
	}
	size := 0
	for i := range b {
		size += b[i].size
	}
	e := decisionEncoder{
		sidecar: member(member(nil, "sidecarAgentId", stream.AgentID), "sidecarId", stream.SidecarID),
		owner:   member(nil, "organizationId", stream.OrganizationID),
		stamp:   append(now.UTC().AppendFormat([]byte(`,"timestamp":"`), idp.TimeLayout), `"}`...),
		bodies:  make([]byte, 0, size+len(b)*decisionOverhead),
	}
	entries := make([]entry, len(b))
	for i := range b {
		l := &b[i]
		leaf, err := e.encode(l, ids[i])
		if err != nil {
			return nil, err
		}
		kind := decisionActions[l.record.Outcome]
		entries[i] = entry{leaf: leaf, row: store.EventRow{
			ID: ids[i], OrganizationID: stream.OrganizationID, AgentID: l.record.AgentID, Action: kind.action, Outcome: kind.outcome, Timestamp: now,
		}}
	}
	return entries, nil
}

// decisionOverhead is how much longer an event usually is than its record: a guess
// that makes one allocation of most batches.
const decisionOverhead = 420

// decisionEncoder holds what all events of a batch have in common, encoded.
type decisionEncoder struct {
	sidecar, owner, stamp []byte
	bodies                []byte // of all events, one behind the other
}

// encode has the members in the order RFC 8785 sorts them, as encode of an event.
func (e *decisionEncoder) encode(l *line, id string) (unnumbered, error) {
	r, kind := &l.record, decisionActions[l.record.Outcome]
	start := len(e.bodies)
	b := append(e.bodies, '{')
	b = member(b, "action", string(kind.action))
	b = optional(b, "agentId", r.AgentID)
	b = member(b, "eventId", id)
	b = optional(b, "ipAddress", r.Peer)
	b = append(b, `"metadata":{`...)
	b, err := e.metadata(b, l)
	if err != nil {
		return unnumbered{}, err
	}
	b = append(b, '}', ',')
	b = append(b, e.owner...)
	b = member(b, "outcome", string(kind.outcome))
	b = optional(b, "reason", r.Reason)
	b = optional(b, "requestId", r.RequestID)
	b = append(b, `"sequence":`...)
	at := len(b) - start
	b = append(b, e.stamp...)
	e.bodies = b
	return bounded(unnumbered{b[start:len(b):len(b)], at}, kind.action)
}

func (e *decisionEncoder) metadata(b []byte, l *line) (_ []byte, err error) {
	r := &l.record
	b = optional(b, "agentOrganizationId", r.OrganizationID)
	b = count(b, "bytesIn", r.BytesIn)
	b = count(b, "bytesOut", r.BytesOut)
	b = optional(b, "capability", r.Capability)
	b = optional(b, "clientId", r.ClientID)
	b = count(b, "count", r.Count)
	b = optional(b, "decisionId", r.DecisionID)
	if r.DurationMs != 0 {
		if b, err = appendFloat(append(b, `"durationMs":`...), r.DurationMs); err != nil {
			return nil, err
		}
		b = append(b, ',')
	}
	if r.FirstSequence != nil {
		b = number(b, "firstSequence", *r.FirstSequence)
	}
	b = optional(b, "host", r.Host)
	b = optional(b, "jti", r.JTI)
	b = optional(b, "method", r.Method)
	b = optional(b, "path", r.Path)
	b = optional(b, "policyRevision", r.PolicyRevision)
	b = member(b, "recordHash", l.hash)
	b = optional(b, "routeId", r.RouteID)
	b = append(b, e.sidecar...)
	b = number(b, "sidecarSequence", r.Sequence)
	b = count(b, "status", int64(r.Status))
	b = member(b, "time", r.Time)
	return b[:len(b)-1], nil
}

// count is an integer that is left out when it is 0.
func count(b []byte, name string, value int64) []byte {
	if value == 0 {
		return b
	}
	return number(b, name, value)
}

func number(b []byte, name string, value int64) []byte {
	b = append(b, '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return append(strconv.AppendInt(b, value, 10), ',')
}
