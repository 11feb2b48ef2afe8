package registry

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// The bounds of a sweep. What it leaves is for the next one.
const (
	warnAhead   = 14 * 24 * time.Hour
	warnBatch   = 50 // credentials in one commit
	warnBatches = 100
)

type meters struct {
	expiring *atomic.Int64 // credentials ending within warnAhead, as of the last sweep
	warnings *metrics.Counter
}

func newMeters(set *metrics.Set) meters {
	m := meters{expiring: new(atomic.Int64), warnings: set.NewCounter("agentidp_credentials_expiring_events_total")}
	set.NewGauge("agentidp_credentials_expiring", func() float64 { return float64(m.expiring.Load()) })
	return m
}

// WarnExpiring writes a credential.expiring event for every credential that
// ends within 14 days, and counts them. Call it every few minutes, on every
// replica: the transaction that writes an event notes the end that it warned
// of, so there is one event for each end. An end that moved is warned of anew.
func (s *Service) WarnExpiring(ctx context.Context) error {
	now := s.now()
	for range warnBatches {
		due, err := s.due(ctx, now)
		if err != nil {
			return err
		}
		if !due {
			break
		}
		if err := s.warn(ctx, now); err != nil {
			return err
		}
	}
	return s.countExpiring(ctx, now)
}

// due spares the log a commit that would write nothing.
func (s *Service) due(ctx context.Context, now time.Time) (due bool, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *store.Tx) error {
		found, err := tx.Credentials.Expiring(ctx, now, now.Add(warnAhead), 1)
		due = len(found) > 0
		return err
	})
	return due, err
}

// warn asks inside the transaction that writes: another replica may have warned.
func (s *Service) warn(ctx context.Context, now time.Time) error {
	warned := 0
	// Past Actor.Commit: nobody asks for it but the clock.
	err := s.log.Commit(ctx, func(ctx context.Context, tx *store.Tx) ([]idp.Event, error) {
		due, err := tx.Credentials.Expiring(ctx, now, now.Add(warnAhead), warnBatch)
		if err != nil {
			return nil, err
		}
		events, system := make([]idp.Event, len(due)), Actor{}
		for i := range due {
			c, end := &due[i].Credential, due[i].End
			if err := tx.Credentials.Warned(ctx, c.ID, end); err != nil {
				return nil, err
			}
			events[i] = system.Event(idp.ActionCredentialExpiring, c.OrganizationID, credentialMetadata(c, map[string]any{"endsAt": end.Format(idp.TimeLayout)}))
		}
		warned = len(events)
		return events, nil
	})
	if err == nil {
		s.meters.warnings.Add(warned)
	}
	return err
}

func (s *Service) countExpiring(ctx context.Context, now time.Time) error {
	return s.view(ctx, func(ctx context.Context, tx *store.Tx) error {
		count, err := tx.Credentials.CountExpiring(ctx, now, now.Add(warnAhead))
		if err == nil {
			s.meters.expiring.Store(int64(count))
		}
		return err
	})
}
