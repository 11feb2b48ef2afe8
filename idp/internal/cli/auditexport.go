package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/app"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	agentidp "github.com/sentryagent/agentidp/sdk/go"
	"github.com/sentryagent/agentidp/shared/command"
	"github.com/sentryagent/agentidp/shared/durable"
)

// exportFlags are what audit export is told.
type exportFlags struct {
	eventFlags
	format, out string
}

func (p program) auditExport() *cobra.Command {
	var flags exportFlags
	cmd := p.settings.Command("export", "Write the audit log to a file", `Export writes the events of the profile's organization, for the operator's of the whole log, or
those that "audit list" shows under the same filters, up to the last checkpoint: as
NDJSON, which "agentidp audit verify --export" proves anywhere, without the IdP, the
store or the master key, or as CSV. The file appears whole or not at all. The export is
an event of the log.

With --offline it opens the store of an IdP that does not run; agents are named by their
ids then.`,
		func(cmd *cobra.Command, cfg app.Config) error {
			query, err := flags.offline()
			if err != nil {
				return err
			}
			if flags.out == "-" {
				return p.export(cmd, cfg, query, p.Stdout)
			}
			return durable.Replace(flags.out, func(w io.Writer) error { return p.export(cmd, cfg, query, w) })
		})
	cmd.Example = "  agentidp audit export --out audit.ndjson\n  agentidp audit export --format csv --from 2026-07-01T00:00:00Z --out july.csv\n  agentidp audit export --target screener-001@example.com --out done-to-it.ndjson\n  agentidp audit export --offline --data-dir ./data --out audit.ndjson"
	p.either(cmd, forever, func(ctx context.Context, s *session, _ []string) error { return s.export(ctx, flags) })
	cmd.Flags().StringVar(&flags.format, "format", string(auditlog.NDJSON), "ndjson or csv")
	cmd.Flags().StringVar(&flags.out, "out", "", "file to write; - is the standard output")
	flags.add(cmd)
	cmd.Flags().Lookup("search").Usage = "only events that hold this text in any value"
	flags.addSpan(cmd)
	return cmd
}

func (f exportFlags) check() error {
	if format := auditlog.ExportFormat(f.format); format != auditlog.NDJSON && format != auditlog.CSV {
		return fmt.Errorf("%w: --format must be ndjson or csv", command.ErrUsage)
	}
	if f.out == "" {
		return fmt.Errorf("%w: say where to with --out", command.ErrUsage)
	}
	return nil
}

// offline is what to export from the store, where nobody looks up an agent. The
// filters have the form that the API demands.
func (f exportFlags) offline() (q auditlog.ExportQuery, err error) {
	if err := f.check(); err != nil {
		return q, err
	}
	q.Format, q.AgentID, q.TargetAgentID = auditlog.ExportFormat(f.format), f.agent, f.target
	q.Action, q.Outcome, q.Text = idp.Action(f.action), idp.Outcome(f.outcome), f.search
	if strings.Contains(f.agent+f.target, "@") {
		return q, fmt.Errorf("%w: with --offline --agent and --target take the agent's id", command.ErrUsage)
	}
	if q.From, q.To, err = f.span(); err != nil {
		return q, err
	}
	var broken []string
	for _, rule := range q.Check() {
		broken = append(broken, "--"+flagOf[rule.Field]+" "+rule.Text)
	}
	if broken != nil {
		return q, fmt.Errorf("%w: %s", command.ErrUsage, strings.Join(broken, "; "))
	}
	return q, nil
}

// flagOf is the flag for a parameter of the API.
var flagOf = map[string]string{
	"agentId": "agent", "targetAgentId": "target", "action": "action", "outcome": "outcome", "q": "search", "to": "to",
}

func (p program) export(cmd *cobra.Command, cfg app.Config, query auditlog.ExportQuery, w io.Writer) (err error) {
	store, err := openStore(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	told := int64(0)
	done, err := store.Export(cmd.Context(), query, w, func(position, size int64) {
		if position-told >= 100_000 {
			told = position
			fmt.Fprintf(p.Stderr, "%d of %d events\n", position, size)
		}
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(p.Stderr, "exported %d of the log's %d events\n", done.Events, done.Size)
	return nil
}

// export streams the log from the IdP.
func (s *session) export(ctx context.Context, flags exportFlags) error {
	if err := flags.check(); err != nil {
		return err
	}
	filter, err := flags.filter(ctx, s)
	if err != nil {
		return err
	}
	write := func(w io.Writer) (err error) {
		stream, err := s.Export(ctx, agentidp.ExportFormat(flags.format), filter)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stream.Close()) }()
		if isTerminal(s.Stderr) {
			told := telling(s.Stderr, stream)
			defer told.Close()
			_, err = io.Copy(w, told)
			return err
		}
		_, err = io.Copy(w, stream)
		return err
	}
	if flags.out == "-" {
		return write(s.Stdout)
	}
	if err := durable.Replace(flags.out, write); err != nil {
		return err
	}
	fmt.Fprintf(s.Stderr, "exported to %s\n", flags.out)
	return nil
}
