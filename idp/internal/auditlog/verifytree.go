package auditlog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// subtree is a complete subtree of the recomputed tree.
type subtree struct {
	level int
	hash  tlog.Hash
}

// leaf is one place in the log. Of what retention took only the stored hash is left.
type leaf struct {
	sequence int64
	eventID  string
	pruned   bool
	hash     tlog.Hash // of an event that is there
}

// recompute reads all events in order and rebuilds the tree beside the stored one.
func (v *verification) recompute(ctx context.Context) error {
	for {
		rows, err := v.tx.Events.Range(ctx, store.AnyOrganization, v.report.Events, verifyBatch)
		if err != nil {
			return fmt.Errorf("events: %w", err)
		}
		if len(rows) == 0 {
			return v.size(ctx)
		}
		if err := v.batch(ctx, rows); err != nil || v.report.Problem != nil {
			return err
		}
		if v.opts.Progress != nil {
			v.opts.Progress(v.report.Events)
		}
	}
}

// batch checks the rows and the holes before each.
func (v *verification) batch(ctx context.Context, rows []store.EventRow) error {
	classes, err := v.tx.Retention.Classes(ctx, rows[0].Sequence, rows[len(rows)-1].Sequence)
	if err != nil {
		return fmt.Errorf("retention classes: %w", err)
	}
	var leaves []leaf
	bad := func(sequence int64, eventID, what string) error { // unless one before it is
		err := v.extend(ctx, leaves)
		if err == nil && v.report.Problem == nil {
			v.fail(sequence, eventID, what)
		}
		return err
	}
	for i := range rows {
		row, next := &rows[i], v.report.Events+int64(len(leaves))
		if row.Sequence < next {
			return bad(row.Sequence, row.ID, fmt.Sprintf("event %d is stored twice", row.Sequence))
		}
		for ; next < row.Sequence; next++ {
			if v.pruned.of(next) == nil {
				return bad(next, "", fmt.Sprintf("event %d is missing: the next one stored is %d", next, row.Sequence))
			}
			if leaves = append(leaves, leaf{sequence: next, pruned: true}); len(leaves) == verifyBatch {
				if err := v.extend(ctx, leaves); err != nil || v.report.Problem != nil {
					return err
				}
				leaves = leaves[:0]
			}
		}
		what, err := v.wrong(ctx, row, classes[row.Sequence])
		if err != nil {
			return err
		}
		if what != "" {
			return bad(row.Sequence, row.ID, what)
		}
		if v.last = row.Timestamp; row.Sequence >= v.report.Signed && v.since.IsZero() {
			v.since = row.Timestamp
		}
		leaves = append(leaves, leaf{sequence: row.Sequence, eventID: row.ID, hash: tlog.RecordHash(row.Body)})
	}
	return v.extend(ctx, leaves)
}

// wrong says what of a row is not as its event says or as the log's rules have it.
func (v *verification) wrong(ctx context.Context, row *store.EventRow, class store.Class) (string, error) {
	if what := columnsDiffer(row); what != "" {
		return what, nil
	}
	if p := v.pruned.of(row.Sequence); p != nil && !p.takes(row, class) {
		return "the record of a pruning takes the event, which is not of its month and class", nil
	}
	fits, err := v.plans.fit(ctx, row, class)
	if err == nil && !fits {
		return fmt.Sprintf("the event is kept as class %s, which is not what its organization's plan was", class), nil
	}
	return "", err
}

// extend appends the leaves to the recomputed tree and holds it against the stored one.
func (v *verification) extend(ctx context.Context, leaves []leaf) error {
	if len(leaves) == 0 {
		return nil
	}
	first := tlog.StoredHashCount(leaves[0].sequence)
	indexes := make([]int64, tlog.StoredHashCount(leaves[0].sequence+int64(len(leaves)))-first)
	for i := range indexes {
		indexes[i] = first + int64(i)
	}
	kept, err := v.tx.Tree.Hashes(ctx, indexes)
	if errors.Is(err, idp.ErrNotFound) {
		return v.firstMissingHash(ctx, leaves)
	}
	if err != nil {
		return fmt.Errorf("tree: %w", err)
	}
	for _, l := range leaves {
		stored := kept[tlog.StoredHashIndex(0, l.sequence)-first:]
		if l.pruned {
			l.hash = stored[0]
			v.report.Pruned++
		}
		for i, made := range v.push(l.hash) {
			if stored[i] == made {
				continue
			}
			what := "the event or its hash was changed: they do not match"
			if l.pruned {
				what = "a hash of the tree was changed at this event, which is pruned"
			}
			v.fail(l.sequence, l.eventID, what)
			return nil
		}
	}
	return nil
}

func (v *verification) firstMissingHash(ctx context.Context, leaves []leaf) error {
	for _, l := range leaves {
		for index := tlog.StoredHashIndex(0, l.sequence); index < tlog.StoredHashCount(l.sequence+1); index++ {
			_, err := v.tx.Tree.Hashes(ctx, []int64{index})
			if errors.Is(err, idp.ErrNotFound) {
				v.fail(l.sequence, l.eventID, "a hash of the tree is missing at this event")
				return nil
			}
			if err != nil {
				return fmt.Errorf("tree: %w", err)
			}
		}
	}
	return fmt.Errorf("tree: %w", idp.ErrNotFound)
}

// push appends a leaf to the recomputed tree and returns the hashes that are
// stored for it: its own and those of the subtrees it completes (RFC 6962
// section 2.1). It is written apart from the writer's code on purpose.
func (v *verification) push(leaf tlog.Hash) []tlog.Hash {
	hashes := []tlog.Hash{leaf}
	top := subtree{0, leaf}
	for n := len(v.stack); n > 0 && v.stack[n-1].level == top.level; n-- {
		top = subtree{top.level + 1, tlog.NodeHash(v.stack[n-1].hash, top.hash)}
		v.stack = v.stack[:n-1]
		hashes = append(hashes, top.hash)
	}
	v.stack = append(v.stack, top)
	v.report.Events++
	if _, wanted := v.roots[v.report.Events]; wanted {
		v.roots[v.report.Events] = v.root()
	}
	return hashes
}

func (v *verification) root() tlog.Hash {
	if len(v.stack) == 0 {
		return tlog.Hash{}
	}
	last := len(v.stack) - 1
	hash := v.stack[last].hash
	for i := last - 1; i >= 0; i-- {
		hash = tlog.NodeHash(v.stack[i].hash, hash)
	}
	return hash
}

// size holds the number of events against the tree's own account.
func (v *verification) size(ctx context.Context) error {
	v.report.Root = v.root()
	size, err := v.tx.Tree.Size(ctx)
	if err != nil {
		return fmt.Errorf("tree size: %w", err)
	}
	if size != v.report.Events {
		v.fail(v.report.Events, "", fmt.Sprintf("%d events are stored, the tree says %d: the tail was cut or added to", v.report.Events, size))
	}
	_, err = v.tx.Tree.Hashes(ctx, []int64{tlog.StoredHashCount(size)})
	if err == nil {
		v.fail(v.report.Events, "", "the tree holds more hashes than its events have")
		return nil
	}
	if !errors.Is(err, idp.ErrNotFound) {
		return fmt.Errorf("tree: %w", err)
	}
	if bits.OnesCount64(uint64(v.report.Events)) != len(v.stack) {
		return fmt.Errorf("verification itself is wrong: %d subtrees for %d events", len(v.stack), v.report.Events)
	}
	return nil
}

// columnsDiffer holds the columns that queries filter on against the signed bytes.
func columnsDiffer(row *store.EventRow) string {
	var e struct {
		Action         string `json:"action"`
		AgentID        string `json:"agentId"`
		EventID        string `json:"eventId"`
		OrganizationID string `json:"organizationId"`
		Outcome        string `json:"outcome"`
		Sequence       int64  `json:"sequence"`
		Timestamp      string `json:"timestamp"`
	}
	decoder := json.NewDecoder(bytes.NewReader(row.Body))
	if err := decoder.Decode(&e); err != nil {
		return "the event's bytes are not JSON: " + err.Error()
	}
	for _, column := range []struct{ name, stored, signed string }{
		{"action", string(row.Action), e.Action},
		{"agentId", row.AgentID, e.AgentID},
		{"eventId", row.ID, e.EventID},
		{"organizationId", row.OrganizationID, e.OrganizationID},
		{"outcome", string(row.Outcome), e.Outcome},
		{"timestamp", row.Timestamp.UTC().Format(idp.TimeLayout), e.Timestamp},
	} {
		if column.stored != column.signed {
			return fmt.Sprintf("the column %s says %q, the event %q", column.name, column.stored, column.signed)
		}
	}
	if e.Sequence != row.Sequence {
		return fmt.Sprintf("the column sequence says %d, the event %d", row.Sequence, e.Sequence)
	}
	return ""
}
