package auditlog

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"math"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/idp/internal/issuer"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// Report is the result of a verification.
type Report struct {
	Events      int64     `json:"events"`
	Pruned      int64     `json:"pruned"` // of them, gone by retention: their hashes are left
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
	pruned prunings
	doubt  *Problem // with them, unless an event explains it
	plans  plans
	stack  []subtree
	since  time.Time // of the first event that no checkpoint covers
	last   time.Time // of the last event
}

func (v *verification) run(ctx context.Context, sealer *issuer.Sealer) error {
	verifier, err := v.verifier(ctx, sealer)
	if err != nil || v.report.Problem != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return v.collect(ctx, verifier) },
		func() error { return v.loadPrunings(ctx, verifier) },
		func() error { return v.loadPlans(ctx) },
		func() error { return v.recompute(ctx) },
	} {
		if err := step(); err != nil || v.report.Problem != nil {
			return err
		}
	}
	if v.report.Problem = v.doubt; v.doubt != nil {
		return nil
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

// strict reports whether the note's signatures are base64 in its one canonical
// form: note.Open also takes others, and two notes would say the same.
func strict(signed []byte) bool {
	_, signatures, _ := bytes.Cut(signed, []byte("\n\n"))
	for line := range bytes.Lines(signatures) {
		encoded := bytes.TrimSuffix(line[bytes.LastIndexByte(line, ' ')+1:], []byte("\n"))
		if _, err := base64.StdEncoding.Strict().DecodeString(string(encoded)); err != nil || len(encoded)+1 > len(line) {
			return false
		}
	}
	return true
}

// collect opens every signed statement: those in the store, by rising size,
// and those kept elsewhere.
func (v *verification) collect(ctx context.Context, verifier note.Verifier) error {
	size := int64(math.MinInt64)
	for {
		kept, err := v.tx.Tree.Checkpoints(ctx, size, verifyBatch)
		if err != nil {
			return fmt.Errorf("checkpoints: %w", err)
		}
		for _, c := range kept {
			tree, err := ParseCheckpoint(c.Note, verifier)
			if err != nil || tree.N != c.Size || !strict(c.Note) {
				v.fail(max(size, 0), "", fmt.Sprintf("the stored checkpoint of %d events has no valid signature", c.Size))
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
