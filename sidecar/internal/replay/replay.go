// Package replay asks a policy what it would say to decisions that were
// recorded. A record does not hold all that the policy saw: where the answer
// depends on what is missing, it says so instead of guessing.
package replay

import (
	"context"
	"slices"
	"strings"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/shared/policy"
)

// Verdict is what a policy said, as far as it is known.
type Verdict struct {
	Outcome decision.Outcome // Error: it failed
	Reason  string           // "": not known
}

func (v Verdict) String() string { return strings.TrimSpace(string(v.Outcome) + " " + v.Reason) }

// differs reports whether two verdicts differ in what is known of both.
func (v Verdict) differs(other Verdict) bool {
	return v.Outcome != other.Outcome || v.Reason != "" && other.Reason != "" && v.Reason != other.Reason
}

// Kind is what became of one record.
type Kind int

// The kinds.
const (
	Same          Kind = iota
	Changed            // the candidate says something else
	Undecidable        // the answer depends on what the record lacks
	NotReproduced      // the policy of the record's own revision says something else than it did: the input is not the one there was
	NotJudged          // the request never came to the policy
	Continued          // the end of a stream, whose start was the decision
	Gap                // declares lost records
)

// Result is one record and what became of it.
type Result struct {
	Kind     Kind
	Record   decision.Record
	Old, New Verdict
	Lacks    []string // of Undecidable: members of the input, such as token.scope
}

// Replayer holds the policies. Its fields are set before the first Judge.
type Replayer struct {
	Candidate *policy.Engine
	Against   *policy.Engine // nil: what was recorded is the old verdict
	// Scopes are those of the agents' tokens, by agent id; nil, or without the agent: not known.
	Scopes map[string][]string

	streams map[string]bool // decision ids of streams that have begun
}

// Judge replays one record. Records come in their order.
func (r *Replayer) Judge(ctx context.Context, record decision.Record) Result {
	result := Result{Record: record}
	switch {
	case record.Outcome == decision.Gap:
		result.Kind = Gap
		return result
	case record.PolicyRevision == "": // written down when the policy is asked
		result.Kind = NotJudged
		return result
	case r.streams[record.DecisionID]:
		delete(r.streams, record.DecisionID)
		result.Kind = Continued
		return result
	case record.Reason == streamStarted:
		if r.streams == nil {
			r.streams = map[string]bool{}
		}
		r.streams[record.DecisionID] = true
	}
	recorded := Recorded(record)
	result.Old = recorded
	in, unknown := r.input(record)
	var lacks []string
	if r.Against != nil {
		result.Old, lacks = ask(ctx, r.Against, in, unknown)
		if len(lacks) == 0 && r.Against.Revision() == record.PolicyRevision && result.Old.differs(recorded) {
			result.Kind, result.New = NotReproduced, result.Old
			result.Old = recorded
			return result
		}
	}
	var more []string
	result.New, more = ask(ctx, r.Candidate, in, unknown)
	switch lacks = append(lacks, more...); {
	case len(lacks) > 0:
		slices.Sort(lacks)
		result.Kind, result.Lacks = Undecidable, slices.Compact(lacks)
	case result.New.differs(result.Old):
		result.Kind = Changed
	}
	return result
}

const (
	streamStarted = "stream_started"
	shadow        = "shadow_"
)

// Recorded is what the policy said when the record was made. What ended a
// permitted request, such as an API that is down, hides the permission's reason.
func Recorded(r decision.Record) Verdict {
	refused, shadowed := strings.CutPrefix(r.Reason, shadow)
	failed := r.Reason == policy.ReasonError || r.Reason == policy.ReasonTimeout
	switch {
	case shadowed && (refused == policy.ReasonError || refused == policy.ReasonTimeout):
		return Verdict{decision.Error, refused}
	case shadowed:
		return Verdict{decision.Denied, refused}
	case r.Outcome == decision.Error && failed:
		return Verdict{decision.Error, r.Reason}
	case r.Outcome == decision.Denied && r.Status == 403:
		return Verdict{decision.Denied, r.Reason}
	case r.Outcome == decision.Allowed && r.Reason != streamStarted:
		return Verdict{decision.Allowed, r.Reason}
	}
	return Verdict{Outcome: decision.Allowed}
}

// input is what the policy saw, and the members that the record does not tell.
func (r *Replayer) input(record decision.Record) (in policy.Input, unknown []string) {
	in = policy.Input{
		Agent:   policy.Agent{ID: record.AgentID, OrganizationID: record.OrganizationID, ClientID: record.ClientID},
		Token:   policy.Token{JTI: record.JTI},
		Request: policy.Request{Method: record.Method, Host: record.Host, Path: record.Path, Peer: record.Peer},
		Route:   policy.Route{ID: record.RouteID, Capability: record.Capability},
	}
	unknown = []string{"rpc"}
	if record.AgentID != "" { // else there was no token
		unknown = append(unknown, "token.aud", "token.exp")
		scope, known := r.Scopes[record.AgentID]
		if in.Token.Scope = scope; !known {
			unknown = append(unknown, "token.scope")
		}
	}
	if len(record.Path) >= decision.MaxPathBytes {
		unknown = append(unknown, "request.path") // cut
	}
	if record.Count > 1 { // one of many stands there
		unknown = append(unknown, "request", "token.jti")
	}
	return in, unknown
}

// ask answers the verdict, or which of the unknown members it could depend on.
func ask(ctx context.Context, e *policy.Engine, in policy.Input, unknown []string) (Verdict, []string) {
	x := e.Explain(ctx, in)
	if lacks := slices.DeleteFunc(slices.Clone(unknown), func(member string) bool { return !x.Reads(member) }); len(lacks) > 0 {
		return Verdict{}, lacks
	}
	d, err := e.Decide(ctx, in) // with the deadline that requests have
	switch {
	case err != nil:
		return Verdict{decision.Error, d.Reason}, nil
	case d.Allow:
		return Verdict{decision.Allowed, d.Reason}, nil
	}
	return Verdict{decision.Denied, d.Reason}, nil
}
