package issuer

import (
	"context"
	"slices"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// Schedule says when keys take turns.
type Schedule struct {
	// Period is how long a key signs; 0: until it is told to give way.
	Period time.Duration
	// Ahead is how long the next key is published before it signs. Verifiers
	// that keep the key set for half of it know every key before they need it.
	Ahead time.Duration
}

// Follow makes keys take turns by the schedule. Call it before the first Turn.
func (i *Issuer) Follow(s Schedule) { i.schedule = s }

// turn is what is due on the keys at a moment. Every replica finds the same, and
// the one that commits first does it.
type turn struct {
	active   *store.Key  // nil: EnsureKey is for that
	next     *store.Key  // published, not signing yet
	activate bool        // next's time has come
	prepare  time.Time   // when a key to be made now is to sign; zero: none is to be made
	remove   []store.Key // retired, and every token they signed has expired
}

func (s Schedule) due(keys []store.Key, now time.Time) turn {
	var t turn
	for _, k := range keys {
		switch {
		case k.Status == store.KeyActive && (t.active == nil || k.ActivatedAt.After(t.active.ActivatedAt)):
			t.active = &k
		case k.Status == store.KeyNext && t.next == nil:
			t.next = &k
		case k.Status == store.KeyRetired && !now.Before(k.RetiredAt.Add(RetiredGrace)):
			t.remove = append(t.remove, k)
		}
	}
	switch {
	case t.next != nil:
		t.activate = !now.Before(t.next.ActivateAt)
	case t.active != nil && s.Period > 0 && !now.Before(t.active.ActivatedAt.Add(s.Period-s.Ahead)):
		t.prepare = later(now.Add(s.Ahead), t.active.ActivatedAt.Add(s.Period))
	}
	return t
}

// foretell writes into the keys of the JWKS what is to become of them.
func (s Schedule) foretell(list []Info, now time.Time) {
	var rotateAt time.Time // by a next key, which comes behind the active one
	for n := len(list) - 1; n >= 0; n-- {
		switch k := &list[n]; k.Status {
		case store.KeyRetired:
			k.LeavesAt = k.RetiredAt.Add(RetiredGrace)
		case store.KeyNext:
			rotateAt = k.ActivateAt
		case store.KeyActive:
			if rotateAt.IsZero() && s.Period > 0 {
				rotateAt = later(now.Add(s.Ahead), k.ActivatedAt.Add(s.Period))
			}
			k.RotateAt = rotateAt
		case store.KeyRevoked: // not in it
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (t *turn) nothing() bool { return !t.activate && t.prepare.IsZero() && len(t.remove) == 0 }

// Turn does what is due by the schedule: publishes the next key, lets it take
// over, removes keys that have nothing left to verify. Replicas call it every
// now and then; together they do each step once.
func (i *Issuer) Turn(ctx context.Context, commit Commit) error {
	var keys []store.Key
	err := i.db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		keys, err = usable(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	due := i.schedule.due(keys, i.now())
	if due.nothing() {
		return nil
	}
	var spare *Spare
	if !due.prepare.IsZero() {
		if spare, err = i.Spare(); err != nil {
			return err
		}
	}
	err = commit(ctx, func(ctx context.Context, tx *store.Tx) ([]idp.Event, error) {
		keys, err := usable(ctx, tx)
		if err != nil {
			return nil, err
		}
		now := idp.Time(i.now())
		due := i.schedule.due(keys, now)
		return due.take(ctx, tx, spare, now)
	})
	if err != nil {
		return err
	}
	return i.Reload(ctx)
}

// take makes the steps of t in tx.
func (t *turn) take(ctx context.Context, tx *store.Tx, spare *Spare, now time.Time) (events []idp.Event, err error) {
	if t.activate {
		if events, err = t.replace(ctx, tx, now); err != nil {
			return nil, err
		}
	}
	if !t.prepare.IsZero() && spare != nil {
		made, err := spare.publish(ctx, tx, t.prepare)
		if err != nil {
			return nil, err
		}
		events = append(events, made)
	}
	for _, k := range t.remove {
		if err := tx.Keys.Delete(ctx, k.ID); err != nil {
			return nil, err
		}
		events = append(events, rotationEvent(idp.ActionKeyRemoved, k.ID, map[string]any{"retiredAt": k.RetiredAt.Format(idp.TimeLayout)}))
	}
	return events, nil
}

// replace lets the next key sign; the one before only verifies from now on.
func (t *turn) replace(ctx context.Context, tx *store.Tx, now time.Time) ([]idp.Event, error) {
	metadata := map[string]any{}
	if t.active != nil {
		if err := tx.Keys.SetStatus(ctx, t.active.ID, store.KeyRetired, now); err != nil {
			return nil, err
		}
		metadata["retired"] = t.active.ID
	}
	if err := tx.Keys.SetStatus(ctx, t.next.ID, store.KeyActive, now); err != nil {
		return nil, err
	}
	return []idp.Event{rotationEvent(idp.ActionKeyActivated, t.next.ID, metadata)}, nil
}

// publish stores the spare as the next key, to sign from at on.
func (s *Spare) publish(ctx context.Context, tx *store.Tx, at time.Time) (idp.Event, error) {
	row := s.row
	row.Status, row.ActivatedAt, row.ActivateAt = store.KeyNext, time.Time{}, at
	event := keyEvent(idp.ActionKeyCreated, row.ID, s.private)
	event.Metadata["activateAt"] = at.Format(idp.TimeLayout)
	return event, tx.Keys.Insert(ctx, row)
}

func rotationEvent(action idp.Action, kid string, metadata map[string]any) idp.Event {
	metadata["kid"] = kid
	return idp.Event{OrganizationID: idp.OperatorOrganization, Action: action, Outcome: idp.Success, Metadata: metadata}
}

// Rotate makes, in tx, the next key take over as soon as it has been published
// for long enough: the one that is published already, or else the spare. The
// events lack who acted. The caller reloads after the commit.
func (i *Issuer) Rotate(ctx context.Context, tx *store.Tx, spare *Spare) (kid string, events []idp.Event, err error) {
	keys, err := usable(ctx, tx)
	if err != nil {
		return "", nil, err
	}
	now := idp.Time(i.now())
	t := i.schedule.due(keys, now)
	if t.next == nil {
		made, err := spare.publish(ctx, tx, now.Add(i.schedule.Ahead))
		return spare.row.ID, []idp.Event{made}, err
	}
	at := later(now, t.next.CreatedAt.Add(i.schedule.Ahead))
	if !at.Before(t.next.ActivateAt) {
		return t.next.ID, nil, nil // it comes as soon as it can
	}
	event := rotationEvent(idp.ActionKeyScheduled, t.next.ID, map[string]any{"activateAt": at.Format(idp.TimeLayout)})
	return t.next.ID, []idp.Event{event}, tx.Keys.Schedule(ctx, t.next.ID, at)
}

// succeed puts the next key, or else the spare, in the place of an active key
// that was revoked. Without either it is an OVERLOADED: the caller found
// another key active.
func succeed(ctx context.Context, tx *store.Tx, keys []store.Key, spare *Spare, now time.Time) ([]idp.Event, error) {
	at := slices.IndexFunc(keys, func(k store.Key) bool { return k.Status == store.KeyNext })
	if at >= 0 {
		t := turn{next: &keys[at]}
		return t.replace(ctx, tx, now)
	}
	if spare == nil {
		return nil, apierr.New(apierr.Overloaded, "the signing key was just changed; try again").
			WithReason("key_changed").WithRetryAfter(time.Second)
	}
	return spare.insert(ctx, tx)
}
