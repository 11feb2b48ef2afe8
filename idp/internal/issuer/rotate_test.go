package issuer

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/token"
)

var monthly = Schedule{Period: 30 * 24 * time.Hour, Ahead: 10 * time.Minute}

func (i *Issuer) turn(t *testing.T, log *journal) {
	t.Helper()
	require.NoError(t, i.Turn(t.Context(), log.commit))
}

// statuses lists the keys by status, in the order of the JWKS.
func (i *Issuer) statuses() map[string]store.KeyStatus {
	found := map[string]store.KeyStatus{}
	for _, k := range i.List() {
		found[k.KID] = k.Status
	}
	return found
}

func actions(log *journal) []idp.Action {
	var found []idp.Action
	for _, e := range log.events {
		found = append(found, e.Action)
	}
	return found
}

// rotating has one key, whose turn has just begun.
func rotating(t *testing.T) (*Issuer, *journal, *clock) {
	t.Helper()
	db, clock := openStore(t), newClock()
	log := &journal{db: db}
	i, err := Open(t.Context(), db, newSealer(t, 1), Auto, clock.now)
	require.NoError(t, err)
	i.Follow(monthly)
	require.NoError(t, i.EnsureKey(t.Context(), log.commit))
	return i, log, clock
}

func TestAKeysLife(t *testing.T) {
	ctx := t.Context()
	i, log, clock := rotating(t)
	first := i.ActiveKID()
	old, err := i.Mint(ctx, claims(i), nil)
	require.NoError(t, err)

	ends := i.List()[0].ActivatedAt.Add(monthly.Period)
	require.Equal(t, ends, i.List()[0].RotateAt)

	clock.forward(monthly.Period - monthly.Ahead - time.Second)
	i.turn(t, log)
	require.Len(t, log.events, 1, "nothing is due yet")
	require.Equal(t, ends, i.List()[0].RotateAt)

	clock.forward(time.Second)
	i.turn(t, log)
	i.turn(t, log)
	require.Equal(t, []idp.Action{idp.ActionKeyCreated, idp.ActionKeyCreated}, actions(log))
	next := i.List()[1]
	require.Equal(t, store.KeyNext, next.Status)
	require.Equal(t, idp.Time(clock.now()).Add(monthly.Ahead), next.ActivateAt)
	require.Equal(t, next.ActivateAt, i.List()[0].RotateAt)
	require.Zero(t, next.RotateAt)
	require.Equal(t, first, i.ActiveKID(), "published, not signing")
	_, err = i.Keys().Key(next.KID)
	require.NoError(t, err)

	clock.forward(monthly.Ahead - time.Millisecond)
	i.turn(t, log)
	require.Equal(t, first, i.ActiveKID())
	clock.forward(time.Millisecond)
	i.turn(t, log)
	require.Equal(t, map[string]store.KeyStatus{next.KID: store.KeyActive, first: store.KeyRetired}, i.statuses())
	require.Equal(t, next.KID, i.ActiveKID())
	_, err = i.Keys().Key(first)
	require.NoError(t, err, "what it signed is still good")

	leaves := i.List()[1].LeavesAt
	require.Zero(t, i.List()[0].LeavesAt)
	require.Equal(t, i.List()[0].ActivatedAt.Add(monthly.Period), i.List()[0].RotateAt)

	clock.forward(RetiredGrace - time.Second)
	i.turn(t, log)
	require.Len(t, i.List(), 2)
	clock.forward(time.Second)
	require.Equal(t, leaves, idp.Time(clock.now()))
	i.turn(t, log)
	require.Equal(t, map[string]store.KeyStatus{next.KID: store.KeyActive}, i.statuses())
	_, err = verifier(i).Verify(ctx, old)
	require.Error(t, err)
	require.Equal(t, idp.ActionKeyRemoved, log.events[3].Action)
	require.Equal(t, first, log.events[3].Metadata["kid"])
	require.NoError(t, log.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		rows, err := tx.Keys.List(ctx, store.UseToken)
		require.Len(t, rows, 1, "its private half is gone too")
		return err
	}))
}

func TestWhatIsOverdueOrUnscheduledIsNotForetoldInThePast(t *testing.T) {
	i, _, clock := rotating(t)
	clock.forward(2 * monthly.Period)
	require.Equal(t, clock.now().Add(monthly.Ahead), i.List()[0].RotateAt, "another has to be published first")
	i.Follow(Schedule{Ahead: time.Minute})
	require.Zero(t, i.List()[0].RotateAt)
}

func TestReplicasTakeEachTurnOnce(t *testing.T) {
	ctx := t.Context()
	one, log, clock := rotating(t)
	two, err := Open(ctx, log.db, newSealer(t, 1), Auto, clock.now)
	require.NoError(t, err)
	two.Follow(monthly)
	for range 3 {
		clock.forward(monthly.Period)
		for range 2 { // once to publish, once to activate
			one.turn(t, log)
			two.turn(t, log)
			clock.forward(monthly.Ahead)
		}
		require.NoError(t, one.Reload(ctx))
		require.NoError(t, two.Reload(ctx))
		require.Equal(t, one.ActiveKID(), two.ActiveKID())
	}
	var activated int
	for _, action := range actions(log) {
		if action == idp.ActionKeyActivated {
			activated++
		}
	}
	require.Equal(t, 3, activated)
}

func TestAnEarlyRotationStillPublishesFirst(t *testing.T) {
	ctx := t.Context()
	i, log, clock := rotating(t)
	first := i.ActiveKID()
	rotate := func() (kid string, at time.Time) {
		t.Helper()
		spare, err := i.Spare()
		require.NoError(t, err)
		require.NoError(t, log.commit(ctx, func(ctx context.Context, tx *store.Tx) (events []idp.Event, err error) {
			kid, events, err = i.Rotate(ctx, tx, spare)
			return events, err
		}))
		require.NoError(t, i.Reload(ctx))
		at = i.List()[1].ActivateAt
		require.Equal(t, kid, i.List()[1].KID)
		return kid, at
	}
	kid, at := rotate()
	require.Equal(t, idp.Time(clock.now()).Add(monthly.Ahead), at)
	again, same := rotate()
	require.Equal(t, kid, again, "one next key at a time")
	require.Equal(t, at, same)
	require.Equal(t, first, i.ActiveKID())
	clock.forward(monthly.Ahead)
	i.turn(t, log)
	require.Equal(t, kid, i.ActiveKID())

	// One that the schedule published for later is called sooner.
	clock.forward(monthly.Period - monthly.Ahead)
	i.turn(t, log)
	clock.forward(monthly.Ahead / 2)
	planned := i.List()[1]
	require.Equal(t, store.KeyNext, planned.Status)
	kid, at = rotate()
	require.Equal(t, planned.KID, kid)
	require.Equal(t, planned.ActivateAt, at, "no sooner than it was published for long enough")

	// And the active key that is revoked gives way to it at once.
	require.NoError(t, i.revoke(t, log, i.ActiveKID(), nil))
	require.Equal(t, kid, i.ActiveKID())
	fresh, err := i.Mint(ctx, claims(i), nil)
	require.NoError(t, err)
	_, err = verifier(i).Verify(ctx, fresh)
	require.NoError(t, err)
	_, err = i.Keys().Key(first)
	require.ErrorIs(t, err, token.ErrUnknownKey)
}

func TestWithoutAPeriodKeysStay(t *testing.T) {
	i, log, clock := rotating(t)
	clock.forward(10 * monthly.Period)
	i.Follow(Schedule{Ahead: time.Minute})
	i.turn(t, log)
	require.Len(t, i.List(), 1)
}

func TestAnImportedKeyIsNotReplacedByTheOneThatWasToBeNext(t *testing.T) {
	ctx := t.Context()
	i, log, clock := rotating(t)
	clock.forward(monthly.Period - monthly.Ahead)
	i.turn(t, log)
	require.Len(t, i.List(), 2)
	text, _ := pemOf(t, 2048)
	kid, err := i.Import(ctx, log.commit, text)
	require.NoError(t, err)
	clock.forward(monthly.Ahead)
	i.turn(t, log)
	require.Equal(t, kid, i.ActiveKID())
}
