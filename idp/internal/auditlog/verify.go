package auditlog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/issuer"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// Report is the result of a verification.
type Report struct {
	Events      int64     `json:"events"`
	Signed      int64     `json:"signed"` // of them, under the last checkpoint
	Root        tlog.Hash `json:"root"`
	Checkpoints int       `json:"checkpoints"` // signed statements that were held against the log
	VerifierKey string    `json:"verifierKey"`
	Problem     *Problem  `json:"problem,omitempty"` // nil: the log is what was signed
}

// Problem is the first thing found wrong.
type Problem struct {
	Sequence int64  `json:"sequence"` // of the first bad event; when only a range is known, its first event
	EventID  string `json:"eventId,omitempty"`
	What     string `json:"what"`
}

// VerifyOptions say what to hold the log against.
type VerifyOptions struct {
	// Checkpoints are signed notes kept outside the database.
	Checkpoints [][]byte
	// Progress, when set, is told how many events were read.
	Progress func(events int64)
}

const verifyBatch = 2000

// unsignedSpan is how long a running log may go without a checkpoint: a crash
// loses the seconds since the last one, a busy store some more.
const unsignedSpan = 2 * time.Minute

// Verify recomputes the whole log from its events and holds it against the
// stored tree, every stored checkpoint and those kept elsewhere. It needs
// nobody's word but the master key's, under which the checkpoint key is sealed.
// The error is for a log that could not be read; a bad log is a Report with a Problem.
func Verify(ctx context.Context, db store.DB, sealer *issuer.Sealer, opts VerifyOptions) (Report, error) {
	var report Report
	err := db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		v := verification{tx: tx, opts: opts, roots: map[int64]tlog.Hash{}}
		err := v.run(ctx, sealer)
		report = v.report
		return err
	})
	return report, err
}

type verification struct {
	tx     *store.Tx
	opts   VerifyOptions
	report Report
	signed []tlog.Tree         // statements to hold against the log, by rising size
	roots  map[int64]tlog.Hash // recomputed, for the sizes in signed
	stack  []subtree
	since  time.Time // of the first event that no checkpoint covers
	last   time.Time // of the last event
}

type subtree struct {
	level int
	hash  tlog.Hash
}

func (v *verification) run(ctx context.Context, sealer *issuer.Sealer) error {
	verifier, err := v.verifier(ctx, sealer)
	if err != nil || v.report.Problem != nil {
		return err
	}
	if err := v.collect(ctx, verifier); err != nil || v.report.Problem != nil {
		return err
	}
	if err := v.recompute(ctx); err != nil || v.report.Problem != nil {
		return err
	}
	if v.judge(); v.report.Problem != nil {
		return nil
	}
	hidden, err := v.tx.Events.Hidden(ctx)
	if err != nil {
		return fmt.Errorf("indexes: %w", err)
	}
	if hidden >= 0 {
		v.fail(hidden, "", "the event is good, but an index was changed to hide it from queries")
	}
	return nil
}

func (v *verification) verifier(ctx context.Context, sealer *issuer.Sealer) (note.Verifier, error) {
	keys, err := v.tx.Keys.List(ctx, store.UseCheckpoint)
	if err != nil {
		return nil, fmt.Errorf("checkpoint key: %w", err)
	}
	if len(keys) == 0 {
		v.fail(0, "", "the checkpoint key is missing")
		return nil, nil //nolint:nilnil // the problem says it
	}
	key, err := unsealCheckpointKey(sealer, keys[0])
	if err != nil {
		v.fail(0, "", "the checkpoint key does not open under the master key: it was replaced, or the master key is not this log's")
		return nil, nil //nolint:nilnil,nilerr // the problem says it
	}
	v.report.VerifierKey = key.VerifierKey()
	return key.verifier, nil
}

// collect opens every signed statement: those in the store, by rising size,
// and those kept elsewhere.
func (v *verification) collect(ctx context.Context, verifier note.Verifier) error {
	size := int64(0)
	for {
		kept, err := v.tx.Tree.Checkpoints(ctx, size, verifyBatch)
		if err != nil {
			return fmt.Errorf("checkpoints: %w", err)
		}
		for _, c := range kept {
			tree, err := ParseCheckpoint(c.Note, verifier)
			if err != nil || tree.N != c.Size {
				v.fail(size, "", fmt.Sprintf("the stored checkpoint of %d events has no valid signature", c.Size))
				return nil //nolint:nilerr // the problem says it
			}
			v.signed, size = append(v.signed, tree), c.Size
		}
		if len(kept) < verifyBatch {
			break
		}
	}
	for _, external := range v.opts.Checkpoints {
		tree, err := ParseCheckpoint(external, verifier)
		if err != nil {
			v.fail(0, "", "a checkpoint given is not signed by this log's key: "+err.Error())
			return nil //nolint:nilerr // the problem says it
		}
		v.signed = append(v.signed, tree)
	}
	for _, tree := range v.signed {
		v.roots[tree.N] = tlog.Hash{}
		v.report.Signed = max(v.report.Signed, tree.N)
	}
	return nil
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

func (v *verification) batch(ctx context.Context, rows []store.EventRow) error {
	first := tlog.StoredHashCount(v.report.Events)
	var made []tlog.Hash
	var owner []int // made[i] belongs to rows[owner[i]]
	for i, row := range rows {
		if row.Sequence != v.report.Events {
			v.fail(v.report.Events, "", fmt.Sprintf("event %d is missing: the next one stored is %d", v.report.Events, row.Sequence))
			return nil
		}
		if what := columnsDiffer(row); what != "" {
			v.fail(row.Sequence, row.ID, what)
			return nil
		}
		if v.last = row.Timestamp; row.Sequence == v.report.Signed {
			v.since = row.Timestamp
		}
		hashes := v.push(tlog.RecordHash(row.Body))
		for range hashes {
			owner = append(owner, i)
		}
		made = append(made, hashes...)
	}
	indexes := make([]int64, len(made))
	for i := range indexes {
		indexes[i] = first + int64(i)
	}
	kept, err := v.tx.Tree.Hashes(ctx, indexes)
	if errors.Is(err, idp.ErrNotFound) {
		return v.firstMissingHash(ctx, rows, indexes, owner)
	}
	if err != nil {
		return fmt.Errorf("tree: %w", err)
	}
	for i := range made {
		if kept[i] != made[i] {
			row := rows[owner[i]]
			v.fail(row.Sequence, row.ID, "the event or its hash was changed: they do not match")
			return nil
		}
	}
	return nil
}

func (v *verification) firstMissingHash(ctx context.Context, rows []store.EventRow, indexes []int64, owner []int) error {
	for i, index := range indexes {
		_, err := v.tx.Tree.Hashes(ctx, []int64{index})
		if errors.Is(err, idp.ErrNotFound) {
			row := rows[owner[i]]
			v.fail(row.Sequence, row.ID, "a hash of the tree is missing at this event")
			return nil
		}
		if err != nil {
			return fmt.Errorf("tree: %w", err)
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
	if bits.OnesCount64(uint64(v.report.Events)) != len(v.stack) {
		return fmt.Errorf("verification itself is wrong: %d subtrees for %d events", len(v.stack), v.report.Events)
	}
	return nil
}

// judge holds the recomputed tree against every signed statement.
func (v *verification) judge() {
	good := int64(0)
	for _, tree := range v.signed {
		if tree.N > v.report.Events {
			v.fail(v.report.Events, "", fmt.Sprintf("a checkpoint of %d events is signed, only %d are stored: the tail was cut", tree.N, v.report.Events))
			return
		}
		if tree.N > 0 && v.roots[tree.N] != tree.Hash {
			v.fail(good, "", fmt.Sprintf("the tree was recomputed: an event from %d to %d is not the one that was signed", good, tree.N-1))
			return
		}
		good = max(good, tree.N)
		v.report.Checkpoints++
	}
	if v.report.Events > 0 && len(v.signed) == 0 {
		v.fail(0, "", "no checkpoint is stored: they were removed")
		return
	}
	if !v.since.IsZero() && v.last.Sub(v.since) > unsignedSpan {
		v.fail(v.report.Signed, "", fmt.Sprintf("events of %s follow the last checkpoint, which is signed every few seconds: checkpoints were removed", v.last.Sub(v.since)))
	}
}

func (v *verification) fail(sequence int64, eventID, what string) {
	v.report.Problem = &Problem{Sequence: sequence, EventID: eventID, What: what}
}

// columnsDiffer holds the columns that queries filter on against the signed bytes.
func columnsDiffer(row store.EventRow) string {
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
