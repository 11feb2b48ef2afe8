package auditlog

import (
	"context"
	"fmt"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

// turn is one transaction's attempt at a group, and what became of it.
type turn struct {
	group      []*write // admissions first; otherwise in the order of the queue
	admissions int      // how many
	taken      int      // group[:taken] is in the transaction; the rest had no time
	outcomes   []outcome
	events     int
	from, to   int // group[from:to] is what a failing statement is for
}

func newTurn(group []*write) *turn {
	t := &turn{group: make([]*write, 0, len(group)), outcomes: make([]outcome, len(group))}
	for _, w := range group {
		if w.admission != nil {
			t.group = append(t.group, w)
		}
	}
	t.admissions = len(t.group)
	for _, w := range group {
		if w.admission == nil {
			t.group = append(t.group, w)
		}
	}
	t.reset()
	return t
}

// reset forgets an attempt that the store repeats. What fails before anything
// was begun fails everyone.
func (t *turn) reset() {
	clear(t.outcomes)
	t.taken, t.events = 0, 0
	t.suspect(0, len(t.group))
}

func (t *turn) suspect(from, to int) { t.from, t.to = from, to }

// suspects are the writes that the failing statement was for.
func (t *turn) suspects() []*write { return t.group[t.from:t.to] }

// unsuspected are the others, in order.
func (t *turn) unsuspected() []*write {
	others := make([]*write, 0, len(t.group)-(t.to-t.from))
	return append(append(others, t.group[:t.from]...), t.group[t.to:]...)
}

// admit decides on the admissions in one batch.
func (t *turn) admit(ctx context.Context, tx *store.Tx, leaves *leaves) error {
	var batch []store.Admission
	var at []int
	for i, w := range t.group[:t.admissions] {
		if err := w.ctx.Err(); err != nil {
			t.outcomes[i].err = unavailable(err)
			continue
		}
		batch, at = append(batch, *w.admission), append(at, i)
	}
	t.taken = t.admissions
	if len(batch) == 0 {
		return nil
	}
	t.suspect(0, t.admissions)
	verdicts, err := tx.Admissions.Admit(ctx, batch)
	if err != nil {
		return fmt.Errorf("admit: %w", err)
	}
	for n, i := range at {
		t.outcomes[i].verdict = verdicts[n]
		if verdicts[n] == store.Admitted {
			leaves.add(t.group[i].entries)
		}
	}
	return nil
}
