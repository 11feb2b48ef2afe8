package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/shared/durable"
)

// seen is the last checkpoint of a log that doctor saw from here, and whose it was.
type seen struct {
	URL         string `json:"url"`
	VerifierKey string `json:"verifierKey"`
	Checkpoint  string `json:"checkpoint"`
}

// log wants the checkpoint to be signed, and to extend the one seen last.
func (x *examination) log(ctx context.Context) finding {
	if x.keys == nil {
		return skip("the verifier key is not to be seen")
	}
	folder, err := x.configFolder()
	if err != nil {
		return problem("set HOME", "%v", err)
	}
	digest := sha256.Sum256([]byte(x.URL()))
	path := filepath.Join(folder, "log-"+hex.EncodeToString(digest[:8])+".json")
	before, err := readSeen(path)
	if err != nil {
		return problem("look at the file, and remove it if you know why", "%v", err)
	}
	if before != nil && before.VerifierKey != x.keys.VerifierKey {
		return problem("find out who replaced the log, then remove "+path, "the audit log has another key than the last time: it is another log")
	}
	tree, key, signed, err := x.checkpoint(ctx, x.keys.VerifierKey)
	if err != nil {
		return denied(err, "the signed checkpoint")
	}
	if before != nil {
		if err := x.extends(ctx, before, tree); err != nil {
			return problem("agentidp audit verify, and keep "+path+": it holds the checkpoint that proves it", "the log does not extend the one seen the last time: %v", err)
		}
	}
	if err := writeSeen(path, seen{URL: x.URL(), VerifierKey: key, Checkpoint: string(signed)}); err != nil {
		return problem("make the folder writable", "%v", err)
	}
	if before == nil {
		return ok("the checkpoint of %s is signed; the next look compares", counted(tree.N, "event"))
	}
	return ok("the checkpoint of %s is signed and extends the one seen last", counted(tree.N, "event"))
}

// extends proves that the tree has that of the checkpoint before as its beginning.
func (x *examination) extends(ctx context.Context, before *seen, tree tlog.Tree) error {
	verifier, err := readVerifierKey(before.VerifierKey)
	if err != nil {
		return err
	}
	old, err := auditlog.ParseCheckpoint([]byte(before.Checkpoint), verifier)
	if err != nil {
		return err
	}
	switch {
	case old.N > tree.N:
		return fmt.Errorf("it had %d events then and has %d now", old.N, tree.N)
	case old.N == tree.N && old.Hash != tree.Hash:
		return errors.New("its root was another")
	case old.N == tree.N || old.N == 0:
		return nil
	}
	proof, err := x.ConsistencyProof(ctx, old.N, tree.N)
	if err != nil {
		return err
	}
	hashes, err := parseHashes(proof.Hashes)
	if err != nil {
		return err
	}
	return tlog.CheckTree(hashes, tree.N, tree.Hash, old.N, old.Hash)
}

func readSeen(path string) (*seen, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // nothing was seen
	}
	before := &seen{}
	if err == nil {
		err = json.Unmarshal(content, before)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return before, nil
}

func writeSeen(path string, s seen) error {
	content, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return durable.WriteFile(path, append(content, '\n'))
}
