package cli

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/idp/internal/app"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/shared/command"
	"github.com/sentryagent/agentidp/shared/durable"
)

// exportFlags are what audit export is told.
type exportFlags struct{ format, out, from, to string }

func (p program) auditExport() *cobra.Command {
	var flags exportFlags
	cmd := offline(p.settings.Command("export", "Write the audit log to a file", `Export writes all events, or those of a range of time, up to the last checkpoint: as NDJSON,
which "agentidp audit verify --export" proves anywhere, without the store or the master
key, or as CSV. The file appears whole or not at all. The export is an event of the log.`,
		func(cmd *cobra.Command, cfg app.Config) error {
			query, err := flags.query()
			if err != nil {
				return err
			}
			if flags.out == "-" {
				return p.export(cmd, cfg, query, p.Stdout)
			}
			return durable.Replace(flags.out, func(w io.Writer) error { return p.export(cmd, cfg, query, w) })
		}))
	cmd.Flags().StringVar(&flags.format, "format", string(auditlog.NDJSON), "ndjson or csv")
	cmd.Flags().StringVar(&flags.out, "out", "", "file to write; - is the standard output")
	cmd.Flags().StringVar(&flags.from, "from", "", "only events at this time or later (RFC 3339)")
	cmd.Flags().StringVar(&flags.to, "to", "", "only events before this time (RFC 3339)")
	return cmd
}

func (f exportFlags) query() (auditlog.ExportQuery, error) {
	q := auditlog.ExportQuery{Format: auditlog.ExportFormat(f.format)}
	if q.Format != auditlog.NDJSON && q.Format != auditlog.CSV {
		return q, fmt.Errorf("%w: --format must be ndjson or csv", command.ErrUsage)
	}
	if f.out == "" {
		return q, fmt.Errorf("%w: say where to with --out", command.ErrUsage)
	}
	for _, flag := range []struct {
		name, text string
		at         *time.Time
	}{{"from", f.from, &q.From}, {"to", f.to, &q.To}} {
		if flag.text == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, flag.text)
		if err != nil {
			return q, fmt.Errorf("%w: --%s must be a time in RFC 3339 such as 2026-07-01T12:00:00Z", command.ErrUsage, flag.name)
		}
		*flag.at = at
	}
	if !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To) {
		return q, fmt.Errorf("%w: --to must be after --from", command.ErrUsage)
	}
	return q, nil
}

func (p program) export(cmd *cobra.Command, cfg app.Config, query auditlog.ExportQuery, w io.Writer) (err error) {
	store, err := app.OpenOffline(cmd.Context(), cfg)
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
