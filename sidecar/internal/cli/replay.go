package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/shared/command"
	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/shared/policy"
	"github.com/sentryagent/agentidp/sidecar/internal/replay"
)

func (p program) policyReplay() *cobra.Command {
	var (
		decisions, dir, against, agents string
		fail                            bool
	)
	cmd := &cobra.Command{
		Use: "replay", Short: "Ask a policy about recorded decisions, and print what would change", Args: noArguments,
		Long: `Replay asks a candidate policy about every recorded decision that a policy made, and prints
those that would come out otherwise. The records are NDJSON, plain or packed, or the spool of
a sidecar (its DATA_DIR will do).

A record does not hold the token: its scope, audience and expiry are not known. A decision
that could depend on one of them is printed as "cannot tell" with what it lacks; nothing is
guessed. --agents gives the scope: a YAML or JSON map of agent ids to lists, or the answer of
GET /api/v1/agents, which says what the agents may do now, and so at most what an unnarrowed
token could. --against compares with another policy instead of with what was recorded; where it is the
policy of the record and says something else than that did, the scope given is not the one
there was, and the record is printed as "not reproduced".

With --fail-on-change the exit status is 1 when something would change or cannot be told.`,
		Example: `  agentidp-sidecar policy replay --decisions ./sidecar-data --policy-dir ./candidate --agents agents.json
  agentidp-sidecar policy replay --decisions decisions.ndjson.gz --policy-dir ./candidate --against ./policies --fail-on-change`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if decisions == "" {
				return fmt.Errorf("%w: --decisions is required", command.ErrUsage)
			}
			r := &replay.Replayer{}
			var err error
			if r.Candidate, err = policy.New(cmd.Context(), policyFolder(dir), sidecarOptions); err != nil {
				return fmt.Errorf("candidate: %w", err)
			}
			if against != "" {
				if r.Against, err = policy.New(cmd.Context(), policyFolder(against), sidecarOptions); err != nil {
					return fmt.Errorf("against: %w", err)
				}
			}
			if agents != "" {
				if r.Scopes, err = replay.ReadScopes(agents); err != nil {
					return err
				}
			}
			var t tally
			t.unreadable, err = replay.Read(decisions, func(record decision.Record) { t.add(p.Stdout, r.Judge(cmd.Context(), record)) })
			if err != nil {
				return err
			}
			t.print(p.Stdout)
			return t.verdict(fail)
		},
	}
	f := cmd.Flags()
	f.StringVar(&decisions, "decisions", "", "file of records, or folder of a spool; required")
	f.StringVar(&dir, "policy-dir", "", "folder of the candidate; default: the built-in policy")
	f.StringVar(&against, "against", "", "folder of the policy to compare with; default: what was recorded")
	f.StringVar(&agents, "agents", "", "file that says which scope the tokens of each agent have")
	f.BoolVar(&fail, "fail-on-change", false, "exit with 1 when something would change or cannot be told")
	return cmd
}

// tally counts what became of the records.
type tally struct {
	kinds      [replay.Gap + 1]int
	unreadable int
}

func (t *tally) add(w io.Writer, r replay.Result) {
	t.kinds[r.Kind]++
	switch r.Kind {
	case replay.Changed:
		fmt.Fprintf(w, "changes         %s: %s → %s\n", describe(&r.Record), r.Old, r.New)
	case replay.Undecidable:
		fmt.Fprintf(w, "cannot tell     %s: %s, needs %s\n", describe(&r.Record), r.Old, strings.Join(r.Lacks, ", "))
	case replay.Same, replay.NotJudged, replay.Continued, replay.Gap:
	case replay.NotReproduced:
		fmt.Fprintf(w, "not reproduced  %s: recorded %s, the same policy now says %s\n", describe(&r.Record), r.Old, r.New)
	}
}

// describe is on one line: what a client sent may hold anything.
func describe(r *decision.Record) string {
	who := "anonymous"
	if r.AgentID != "" {
		who = r.AgentID
	}
	return fmt.Sprintf("%s %q %q %q route %q agent %q", r.Time, r.DecisionID, r.Method, r.Path, r.RouteID, who)
}

func (t *tally) print(w io.Writer) {
	judged := t.kinds[replay.Same] + t.kinds[replay.Changed] + t.kinds[replay.Undecidable] + t.kinds[replay.NotReproduced]
	fmt.Fprintf(w, "%d decisions of a policy: %d the same, %d would change, %d cannot be told, %d not reproduced\n",
		judged, t.kinds[replay.Same], t.kinds[replay.Changed], t.kinds[replay.Undecidable], t.kinds[replay.NotReproduced])
	fmt.Fprintf(w, "left out: %d that never came to a policy, %d ends of streams, %d gaps, %d unreadable\n",
		t.kinds[replay.NotJudged], t.kinds[replay.Continued], t.kinds[replay.Gap], t.unreadable)
}

func (t *tally) verdict(fail bool) error {
	read := 0
	for _, n := range t.kinds {
		read += n
	}
	changed, unsure := t.kinds[replay.Changed], t.kinds[replay.Undecidable]+t.kinds[replay.NotReproduced]
	switch {
	case read == 0 && t.unreadable > 0:
		return errors.New("no line is a decision record")
	case fail && changed+unsure > 0:
		return fmt.Errorf("%d decisions would change, %d cannot be told", changed, unsure)
	}
	return nil
}
