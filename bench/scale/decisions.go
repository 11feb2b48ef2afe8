package scale

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/sentryagent/agentidp/bench/seed"
	"github.com/sentryagent/agentidp/shared/decision"
)

// stream makes the decisions of one sidecar, each chained to the one before it,
// with every member that a sidecar fills in for a request of an agent.
type stream struct {
	number int64 // of the sidecar, from 0
	next   int64
	anchor string
}

// id is the sidecar's.
func (s *stream) id() string { return fmt.Sprintf("0b7f0c52-2c0f-4bb0-8a53-%012x", s.number) }

// agentsOfStream are how many agents call one API.
const agentsOfStream = 100

// batch is the next n decisions, one a line: nine in ten allowed, one denied.
func (s *stream) batch(n int) ([]byte, error) {
	var lines bytes.Buffer
	for range n {
		line, err := s.record()
		if err != nil {
			return nil, err
		}
		lines.Write(append(line, '\n'))
	}
	return lines.Bytes(), nil
}

func (s *stream) record() ([]byte, error) {
	agent := seed.ClientAt(s.number*agentsOfStream + s.next%agentsOfStream)
	unlike := seed.ClientAt(s.number<<32 + s.next) // ids that nothing else has
	r := decision.Record{
		Sequence: s.next, PrevHash: s.anchor, DecisionID: unlike.AgentID, Time: time.Now().UTC().Format(decision.TimeLayout),
		AgentID: agent.AgentID, OrganizationID: "default", ClientID: agent.ClientID, JTI: agent.CredentialID,
		Method: http.MethodGet, Host: "notes.example.com", Path: fmt.Sprintf("/notes/%d", s.next), RouteID: "GET /notes/{id}", Capability: "notes:read",
		Outcome: decision.Allowed, Reason: "capability", Status: http.StatusOK, PolicyRevision: "sha256:4bf92f3577b34da6", RequestID: unlike.CredentialID,
		Peer: "203.0.113.7", BytesOut: 512 + s.next%97, DurationMs: float64(s.next%7000) / 1000,
	}
	if s.next%10 == 9 {
		r.Outcome, r.Reason, r.Status = decision.Denied, "insufficient_scope", http.StatusForbidden
	}
	line, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	s.next, s.anchor = s.next+1, r.Anchor(line)
	return line, nil
}
