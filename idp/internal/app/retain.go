package app

import (
	"context"
	"time"
)

const (
	retainEvery = time.Hour
	retainLimit = 30 * time.Minute // a month of ten million events is minutes on SQLite
)

// retain lets audit events go whose time is over. What one turn does not finish,
// or another replica is at, the next one finds again.
func (a *App) retain(ctx context.Context) {
	ticker := time.NewTicker(retainEvery)
	defer ticker.Stop()
	for {
		limited, cancel := context.WithTimeout(ctx, retainLimit)
		if _, err := a.log.Prune(limited, a.cfg.retention()); err != nil && ctx.Err() == nil {
			a.logger.WarnContext(ctx, "audit retention", "error", err)
		}
		cancel()
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
