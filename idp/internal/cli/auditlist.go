package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	agentidp "github.com/sentryagent/agentidp/sdk/go"
	"github.com/sentryagent/agentidp/shared/command"
)

// eventFlags bound a list of events.
type eventFlags struct{ search, agent, target, action, outcome, from, to string }

func (f *eventFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.search, "search", "", "only events that hold this text in any value; looks at the newest 5,000")
	cmd.Flags().StringVar(&f.agent, "agent", "", "only what this agent did: id or email")
	cmd.Flags().StringVar(&f.target, "target", "", "only what others did to this agent: id or email")
	cmd.Flags().StringVar(&f.action, "action", "", "only this action, such as token.issued")
	cmd.Flags().StringVar(&f.outcome, "outcome", "", "success, failure or denied")
}

func (f *eventFlags) addSpan(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.from, "from", "", "only events at this time or later: RFC 3339, or how long ago, such as 24h")
	cmd.Flags().StringVar(&f.to, "to", "", "only events before this time")
}

func (f *eventFlags) span() (from, to time.Time, err error) {
	if from, err = moment("from", f.from); err != nil {
		return from, to, err
	}
	if to, err = moment("to", f.to); err != nil {
		return from, to, err
	}
	if !from.IsZero() && !to.IsZero() && !from.Before(to) {
		return from, to, fmt.Errorf("%w: --to must be after --from", command.ErrUsage)
	}
	return from, to, nil
}

func (f *eventFlags) filter(ctx context.Context, s *session) (filter agentidp.EventFilter, err error) {
	filter = agentidp.EventFilter{Search: f.search, Action: f.action, Outcome: agentidp.Outcome(f.outcome)}
	if filter.From, filter.To, err = f.span(); err != nil {
		return filter, err
	}
	if f.agent != "" {
		if filter.AgentID, err = s.agentID(ctx, f.agent); err != nil {
			return filter, err
		}
	}
	if f.target != "" {
		if filter.TargetAgentID, err = s.agentID(ctx, f.target); err != nil {
			return filter, err
		}
	}
	return filter, nil
}

var eventHeader = []string{"SEQUENCE", "TIME", "ACTION", "OUTCOME", "REASON", "AGENT", "ABOUT", "EVENT"}

// eventRow is an event on a line; called names an agent.
func eventRow(e agentidp.AuditEvent, called func(id string) string) []string {
	return []string{fmt.Sprint(e.Sequence), e.Timestamp.String(), e.Action, string(e.Outcome), e.Reason, called(e.AgentID), called(about(e)), e.EventID}
}

// about is what the agent did it to: an agent, a request, what was cut off, the
// capabilities of a token, or a key.
func about(e agentidp.AuditEvent) string {
	var named struct{ TargetAgentID, Method, Path, Type, ID, Scope, KID string }
	if json.Unmarshal(e.Metadata, &named) != nil {
		return ""
	}
	for _, text := range []string{
		named.TargetAgentID, strings.TrimSpace(named.Method + " " + named.Path), strings.TrimSpace(named.Type + " " + named.ID), brief(named.Scope), named.KID,
	} {
		if text != "" {
			return text
		}
	}
	return ""
}

// brief keeps a column narrow: what is longer, audit get shows.
func brief(text string) string {
	const most = 48
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

func (p program) auditList() *cobra.Command {
	var f eventFlags
	var limit int
	cmd := p.api(&cobra.Command{
		Use: "list", Short: "List events, newest first", Args: takes(),
		Long: `List prints events of the profile's organization, newest first; for the operator's
organization those of all. AGENT is who acted, ABOUT whom or what it concerns. The
newest 100 agents of the organization go by their emails, others by their ids; with
-o json all do.`,
		Example: "  agentidp audit list --agent screener-001@example.com --from 24h\n  agentidp audit list --target screener-001@example.com\n  agentidp audit list --search 3f2b8c1e-6f0a-4d0e-9a53-0d8b8a7c1f11\n  agentidp audit list --outcome denied --limit 0 -o json",
	}, briefly, func(ctx context.Context, s *session, _ []string) error {
		filter, err := f.filter(ctx, s)
		if err != nil {
			return err
		}
		called := s.agentNames(ctx)
		return list(s.out, s.Events(ctx, filter), limit, eventHeader, func(e agentidp.AuditEvent) []string { return eventRow(e, called) })
	})
	f.add(cmd)
	f.addSpan(cmd)
	cmd.Flags().IntVar(&limit, "limit", 50, "so many at most; 0: all")
	return cmd
}

func (p program) auditTail() *cobra.Command {
	var f eventFlags
	var last int
	var follow bool
	var every time.Duration
	cmd := p.api(&cobra.Command{
		Use: "tail", Short: "Show the last events, and those that come", Args: takes(),
		Long: `Tail prints the last events, oldest first, and with -f each one that comes, until it is
interrupted. With -o json each is an object on a line of its own.`,
		Example: "  agentidp audit tail -f\n  agentidp audit tail -f --action decision.denied -o json",
	}, forever, func(ctx context.Context, s *session, _ []string) error {
		if last < 0 || every < 100*time.Millisecond {
			return fmt.Errorf("%w: --lines must not be negative, nor --every less than 100ms", command.ErrUsage)
		}
		filter, err := f.filter(ctx, s)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		if !follow {
			return s.last(ctx, filter, last)
		}
		called := s.agentNames(ctx)
		for event, err := range s.Tail(ctx, filter, last, every) {
			if err != nil {
				return err
			}
			if err := s.eventLine(event, called); err != nil {
				return err
			}
		}
		return nil
	})
	f.add(cmd)
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with those that come")
	cmd.Flags().IntVarP(&last, "lines", "n", 20, "so many of those that are there")
	cmd.Flags().DurationVar(&every, "every", time.Second, "how often to look for more")
	return cmd
}

// last shows the last events, oldest first.
func (s *session) last(ctx context.Context, filter agentidp.EventFilter, n int) error {
	var events []agentidp.AuditEvent
	for event, err := range s.Events(ctx, filter) {
		if err != nil {
			return err
		}
		if len(events) == n {
			break
		}
		events = append(events, event)
	}
	called := s.agentNames(ctx)
	for i := range events {
		if err := s.eventLine(events[len(events)-1-i], called); err != nil {
			return err
		}
	}
	return nil
}

// eventLine is one event on a line: columns cannot know how wide what comes will be.
func (s *session) eventLine(e agentidp.AuditEvent, called func(id string) string) error {
	if s.out.json {
		return json.NewEncoder(s.out).Encode(e)
	}
	row := eventRow(e, called)
	row[2], row[3] = fmt.Sprintf("%-24s", e.Action), fmt.Sprintf("%-7s", e.Outcome)
	return s.out.table(nil, [][]string{row})
}
