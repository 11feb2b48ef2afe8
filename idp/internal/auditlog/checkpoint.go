package auditlog

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/issuer"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/durable"
)

// CheckpointKey is the log's own Ed25519 key. It signs C2SP checkpoints
// (signed notes) and nothing else.
type CheckpointKey struct {
	signer   note.Signer
	verifier note.Verifier
	vkey     string
}

// VerifierKey is the public half in the form that witnesses and monitors take:
// name+hash+base64.
func (k *CheckpointKey) VerifierKey() string { return k.vkey }

// Origin is the log's name, the first line of every checkpoint.
func (k *CheckpointKey) Origin() string { return k.verifier.Name() }

// OpenCheckpointKey loads the log's key, or makes it on first use. name becomes
// the origin of a new key; an existing one keeps its own. Exactly one of
// several replicas that start together makes the key.
func OpenCheckpointKey(ctx context.Context, db store.DB, sealer *issuer.Sealer, name string, now idp.Clock) (*CheckpointKey, error) {
	skey, vkey, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		return nil, fmt.Errorf("checkpoint key: %w", err)
	}
	sealed, err := sealer.Seal([]byte(skey), checkpointAAD(vkey))
	if err != nil {
		return nil, fmt.Errorf("checkpoint key: %w", err)
	}
	var kept store.Key
	err = db.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
		keys, err := tx.Keys.List(ctx, store.UseCheckpoint)
		if err != nil || len(keys) > 0 {
			if err == nil {
				kept = keys[0]
			}
			return err
		}
		at := idp.Time(now())
		kept = store.Key{ID: vkey, Use: store.UseCheckpoint, Status: store.KeyActive, Public: []byte(vkey), Sealed: sealed, CreatedAt: at, ActivatedAt: at}
		return tx.Keys.Insert(ctx, kept)
	})
	if err != nil {
		return nil, fmt.Errorf("checkpoint key: %w", err)
	}
	return unsealCheckpointKey(sealer, kept)
}

func checkpointAAD(vkey string) []byte { return []byte("checkpoint:" + vkey) }

func unsealCheckpointKey(sealer *issuer.Sealer, kept store.Key) (*CheckpointKey, error) {
	// The seal is authenticated and names the public half: who can write the
	// database, but has no master key, cannot put a key of theirs here.
	opened, err := sealer.Open(kept.Sealed, checkpointAAD(kept.ID))
	if err != nil {
		return nil, fmt.Errorf("checkpoint key: %w", err)
	}
	signer, err := note.NewSigner(string(opened))
	if err != nil {
		return nil, fmt.Errorf("checkpoint key: %w", err)
	}
	verifier, err := note.NewVerifier(kept.ID)
	if err != nil {
		return nil, fmt.Errorf("checkpoint key: %w", err)
	}
	return &CheckpointKey{signer: signer, verifier: verifier, vkey: kept.ID}, nil
}

// sign makes a checkpoint: origin, size, base64 root, signature
// (C2SP tlog-checkpoint).
func (k *CheckpointKey) sign(size int64, root tlog.Hash) ([]byte, error) {
	text := fmt.Sprintf("%s\n%d\n%s\n", k.Origin(), size, base64.StdEncoding.EncodeToString(root[:]))
	signed, err := note.Sign(&note.Note{Text: text}, k.signer)
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	}
	return signed, nil
}

var errCheckpoint = errors.New("checkpoint")

// ParseCheckpoint checks the signature of a checkpoint made under verifierKey
// and returns the tree it states.
func ParseCheckpoint(signed []byte, verifier note.Verifier) (tlog.Tree, error) {
	opened, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("%w: %w", errCheckpoint, err)
	}
	lines := bytes.SplitN([]byte(opened.Text), []byte("\n"), 4)
	if len(lines) < 4 || string(lines[0]) != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("%w: not of log %q", errCheckpoint, verifier.Name())
	}
	size, err := strconv.ParseInt(string(lines[1]), 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != string(lines[1]) {
		return tlog.Tree{}, fmt.Errorf("%w: malformed size", errCheckpoint)
	}
	hash, err := tlog.ParseHash(string(lines[2]))
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("%w: malformed root", errCheckpoint)
	}
	return tlog.Tree{N: size, Hash: hash}, nil
}

// checkpoint signs the tree as it stands, if it grew; the checkpoint that
// another replica signed since the last turn serves as well, unless this is the
// last turn. The error is for a tree that contradicts what was signed before;
// any other failure is logged and tried again at the next turn, the log itself
// goes on.
func (l *Log) checkpoint(ctx context.Context, last bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	var note []byte
	var tree tlog.Tree
	err := l.db.Update(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		note = nil
		if err := holds(ctx, tx.Tree, l.signed); err != nil {
			return err
		}
		if tree.N, err = tx.Tree.Size(ctx); err != nil || tree.N == l.signed.N {
			return err
		}
		if note, tree, err = l.adopt(ctx, tx, tree.N, last); err != nil || note != nil {
			return err
		}
		note, tree.Hash, err = l.sign(ctx, tx, tree.N)
		return err
	})
	if err == nil && note != nil {
		l.signed = tree
		err = l.copyOut(note)
	}
	if errors.Is(err, errContradiction) {
		return err
	}
	if err != nil {
		l.metrics.checkpointFailures.Inc()
		l.opts.Logger.Error("audit checkpoint", "error", err)
		return nil
	}
	l.metrics.checkpointAt.Store(l.opts.Now().Unix())
	return nil
}

// adopt returns the latest stored checkpoint if it says as much as a new one
// would: it covers all size events, or is another replica's, younger than a turn,
// and this is not the last. The one that came with the log's first event is
// nobody's turn. Without one note is nil and the tree is the one to sign.
func (l *Log) adopt(ctx context.Context, tx *store.Tx, size int64, last bool) (note []byte, tree tlog.Tree, err error) {
	unsigned := tlog.Tree{N: size}
	latest, err := tx.Tree.LatestCheckpoint(ctx)
	if errors.Is(err, idp.ErrNotFound) {
		return nil, unsigned, nil
	}
	if err != nil {
		return nil, unsigned, fmt.Errorf("latest checkpoint: %w", err)
	}
	age := l.opts.Now().Sub(latest.CreatedAt)
	young := !last && l.signed.N > 0 && latest.Size > l.signed.N && age >= 0 && age < l.opts.CheckpointEvery
	if latest.Size != size && !young {
		return nil, unsigned, nil
	}
	if tree, err = ParseCheckpoint(latest.Note, l.key.verifier); err != nil {
		return nil, unsigned, fmt.Errorf("%w: %w", errContradiction, err)
	}
	return latest.Note, tree, holds(ctx, tx.Tree, tree)
}

// sign stores a checkpoint of the first size events.
func (l *Log) sign(ctx context.Context, tx *store.Tx, size int64) ([]byte, tlog.Hash, error) {
	hash, err := root(ctx, tx.Tree, size)
	if err != nil {
		return nil, hash, err
	}
	signed, err := l.key.sign(size, hash)
	if err != nil {
		return nil, hash, err
	}
	return signed, hash, tx.Tree.SaveCheckpoint(ctx, store.Checkpoint{Size: size, Note: signed, CreatedAt: idp.Time(l.opts.Now())})
}

func (l *Log) copyOut(signed []byte) error {
	if l.opts.CheckpointFile == "" {
		return nil
	}
	if err := durable.WriteFile(l.opts.CheckpointFile, signed); err != nil {
		return fmt.Errorf("copy checkpoint: %w", err)
	}
	return nil
}

// errContradiction says that the stored log is not the one that was signed.
var errContradiction = errors.New("the audit log is not the one that was signed: run audit verify")

// holds checks that a signed tree is a prefix of the stored one.
func holds(ctx context.Context, stored store.Tree, signed tlog.Tree) error {
	if signed.N == 0 {
		return nil
	}
	size, err := stored.Size(ctx)
	if err != nil {
		return fmt.Errorf("tree size: %w", err)
	}
	if size < signed.N {
		return fmt.Errorf("%w: it holds %d events, a checkpoint of %d was signed", errContradiction, size, signed.N)
	}
	hash, err := root(ctx, stored, signed.N)
	if err != nil {
		return err
	}
	if hash != signed.Hash {
		return fmt.Errorf("%w: the first %d events differ", errContradiction, signed.N)
	}
	return nil
}

// trust holds the stored tree against every checkpoint at hand, the latest in
// the store and the copy outside it, before anything is appended or signed.
// The first event ever is stored together with a checkpoint, so a log without
// one had it taken away.
func (l *Log) trust(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	notes, err := l.outside()
	if err != nil {
		return err
	}
	return l.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		size, err := tx.Tree.Size(ctx)
		if err != nil {
			return fmt.Errorf("tree size: %w", err)
		}
		latest, err := tx.Tree.LatestCheckpoint(ctx)
		switch {
		case errors.Is(err, idp.ErrNotFound) && size > 0:
			return fmt.Errorf("%w: it holds %d events and no checkpoint", errContradiction, size)
		case err == nil:
			notes = append(notes, latest.Note)
		case !errors.Is(err, idp.ErrNotFound):
			return fmt.Errorf("latest checkpoint: %w", err)
		}
		for _, note := range notes {
			tree, err := ParseCheckpoint(note, l.key.verifier)
			if err != nil {
				return fmt.Errorf("%w: %w", errContradiction, err)
			}
			if err := holds(ctx, tx.Tree, tree); err != nil {
				return err
			}
			if tree.N > l.signed.N {
				l.signed = tree
			}
		}
		return nil
	})
}

// outside reads the copy of the checkpoint, if there is one.
func (l *Log) outside() ([][]byte, error) {
	if l.opts.CheckpointFile == "" {
		return nil, nil
	}
	note, err := os.ReadFile(l.opts.CheckpointFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("checkpoint copy: %w", err)
	}
	return [][]byte{note}, nil
}
