package app

import (
	"context"
	"errors"
	"io"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// Exported says what an export holds: events, of a log of size.
type Exported struct{ Events, Size int64 }

// Export writes the whole log, or a range of time of it, and records that it
// did. progress, when set, is told how many events of the log are accounted for.
func (o *Offline) Export(ctx context.Context, q auditlog.ExportQuery, w io.Writer, progress func(position, size int64)) (done Exported, err error) {
	err = o.logged(ctx, func(log *auditlog.Log) error {
		// The log's first act is to sign what a crash left unsigned.
		nothing := func(context.Context, *store.Tx) ([]idp.Event, error) { return nil, nil }
		if err := log.Commit(ctx, nothing); err != nil {
			return err
		}
		q.OrganizationID = store.AnyOrganization
		export, err := log.Export(ctx, q, idp.Event{OrganizationID: idp.OperatorOrganization, Metadata: map[string]any{"offline": true}})
		if err != nil {
			return err
		}
		for {
			piece, err := export.Next(ctx)
			if errors.Is(err, io.EOF) {
				done = Exported{Events: export.Events(), Size: export.Size()}
				return nil
			}
			if err != nil {
				return err
			}
			if _, err := w.Write(piece); err != nil {
				return err
			}
			if progress != nil {
				progress(export.Position(), export.Size())
			}
		}
	})
	return done, err
}
