package clientauth

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// settingRestored is when the store was put back last, in Unix milliseconds.
const settingRestored = "assertions_restored_at"

// Restored tells, in tx, that a store was put back to an earlier state, which has
// forgotten what was used up since: no assertion passes from now on that may have
// passed before.
func Restored(ctx context.Context, tx *store.Tx, at time.Time) error {
	return tx.Settings.Put(ctx, settingRestored, strconv.FormatInt(at.UnixMilli(), 10))
}

// newest is the latest time that the assertion says about its making: nobody
// whose clock is right took it earlier than assertionLeeway before that.
func (a *Assertion) newest() time.Time {
	newest := a.Expires.Add(-assertionLife)
	for _, claim := range []time.Time{a.notBefore, a.issuedAt} {
		if claim.After(newest) {
			newest = claim
		}
	}
	return newest
}

// unspent refuses what says that it was made before the store was put back, and may
// have been used up then. One that seems to be made afterwards may be of a client
// whose clock is fast, and one without iat (RFC 7519 section 4.1.6 does not demand
// it) of any time before its exp: the answer is to come back with another one.
func (a *Authenticator) unspent(ctx context.Context, t *Assertion) error {
	restored, err := a.restoredAt(ctx)
	if err != nil || restored.IsZero() {
		return err
	}
	newest, clear := t.newest(), restored.Add(assertionLeeway)
	if !newest.Before(clear) {
		return nil
	}
	wait := clear.Sub(a.options.Now())
	switch {
	case t.issuedAt.IsZero(): // the next one is later by as much as its client waits
		wait = clear.Sub(newest)
	case newest.Before(restored.Truncate(time.Second)): // claims are mostly in whole seconds
		return invalidClient(ReasonAssertionBeforeRestore)
	}
	return apierr.New(apierr.Unavailable, "the store was restored a moment ago; come back with a new assertion").
		WithReason(ReasonAssertionBeforeRestore).WithRetryAfter(max(time.Second, wait))
}

// restoredAt is zero when the store was never put back.
func (a *Authenticator) restoredAt(ctx context.Context) (time.Time, error) {
	var text string
	err := a.options.DB.Read(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		text, err = tx.Settings.Get(ctx, settingRestored)
		return err
	})
	switch {
	case errors.Is(err, idp.ErrNotFound):
		return time.Time{}, nil
	case err != nil:
		return time.Time{}, unreadable(err)
	}
	at, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("setting %s: %w", settingRestored, err)
	}
	return time.UnixMilli(at), nil
}
