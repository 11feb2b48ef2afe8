package auditlog

import (
	"regexp"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// Filter narrows the events of a list or an export. Zero members do not. The
// names are those of the header of an NDJSON export, which words the rest itself.
type Filter struct {
	OrganizationID string      `json:"-"`                       // store.AnyOrganization: the whole log, for the operator only
	AgentID        string      `json:"agentId,omitempty"`       // who acted
	TargetAgentID  string      `json:"targetAgentId,omitempty"` // to whom it was done, by another
	Action         idp.Action  `json:"action,omitempty"`
	Outcome        idp.Outcome `json:"outcome,omitempty"`
	From           time.Time   `json:"-"`           // inclusive
	To             time.Time   `json:"-"`           // exclusive
	Text           string      `json:"q,omitempty"` // that a value of the event holds, printable
}

var actionForm = regexp.MustCompile(`^[a-z]+\.[a-z_]{1,48}$`)

// Check says which rules the members break, by the names of the API's parameters.
func (f Filter) Check() (broken []idp.Rule) {
	for _, id := range []idp.Rule{{Field: "agentId", Text: f.AgentID}, {Field: "targetAgentId", Text: f.TargetAgentID}} {
		if id.Text != "" && !idp.IsUUID(id.Text) {
			broken = append(broken, idp.Rule{Field: id.Field, Text: idp.RuleUUID})
		}
	}
	if f.Action != "" && !actionForm.MatchString(string(f.Action)) {
		broken = append(broken, idp.Rule{Field: "action", Text: "must be an action such as token.issued"})
	}
	if f.Outcome != "" {
		broken = append(broken, idp.CheckOneOf("outcome", string(f.Outcome), []string{string(idp.Success), string(idp.Failure), string(idp.Denied)})...)
	}
	if f.Text != "" {
		broken = append(broken, idp.CheckSearch(f.Text)...)
	}
	if !f.From.IsZero() && !f.To.IsZero() && !f.From.Before(f.To) {
		broken = append(broken, idp.Rule{Field: "to", Text: "must be after from"})
	}
	return broken
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
