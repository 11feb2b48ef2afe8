package auditlog

import (
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// Filter narrows the events of a list or an export. Zero members do not.
type Filter struct {
	OrganizationID string // store.AnyOrganization: the whole log, for the operator only
	AgentID        string // who acted
	TargetAgentID  string // to whom it was done, by another
	Action         idp.Action
	Outcome        idp.Outcome
	From           time.Time // inclusive
	To             time.Time // exclusive
	Text           string    // that a value of the event holds, printable
}

// sieve is what a Filter says of single events, but for whose they are.
type sieve struct {
	Filter
	words *words // nil: no text
}

func (f Filter) sieve() sieve {
	s := sieve{Filter: f}
	if f.Text != "" {
		s.words = newWords(f.Text)
	}
	return s
}

func (s *sieve) holds(e *store.EventRow) bool {
	return !e.Timestamp.Before(s.From) && (s.To.IsZero() || e.Timestamp.Before(s.To)) &&
		(s.AgentID == "" || e.AgentID == s.AgentID) &&
		(s.Action == "" || e.Action == s.Action) &&
		(s.Outcome == "" || e.Outcome == s.Outcome) &&
		(s.TargetAgentID == "" || e.Target() == s.TargetAgentID) &&
		(s.words == nil || s.words.in(e.Body))
}
