package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	agentidp "github.com/sentryagent/agentidp/sdk/go"
)

func (p program) auditGet() *cobra.Command {
	var proof bool
	var key string
	cmd := p.api(&cobra.Command{
		Use: "get EVENT", Short: "Show one event, and prove that it is in the log", Args: takes("EVENT"),
		Long: `Get prints an event. With --proof it gets the proof of RFC 6962 too, and verifies here that the
event, byte for byte, is under the signed checkpoint of the log. The verifier key is
--key; without it the IdP's own word is taken for it.`,
		Example: "  agentidp audit get 0197c0de-0000-7000-8000-000000000001 --proof --key audit.key",
	}, briefly, func(ctx context.Context, s *session, args []string) error {
		event, leaf, err := s.Event(ctx, args[0])
		if err != nil {
			return err
		}
		if s.out.json {
			if _, err := s.Stdout.Write(append(bytes.TrimSpace(leaf), '\n')); err != nil {
				return err
			}
		} else if err := s.out.table(nil, eventRows(event)); err != nil {
			return err
		}
		if !proof {
			return nil
		}
		return s.prove(ctx, event, leaf, key)
	})
	cmd.Flags().BoolVar(&proof, "proof", false, "prove that it is in the log")
	cmd.Flags().StringVar(&key, "key", "", "verifier key of the log, or a file that holds it")
	return cmd
}

func eventRows(e agentidp.AuditEvent) [][]string {
	return [][]string{
		{"event", e.EventID}, {"sequence", fmt.Sprint(e.Sequence)}, {"time", e.Timestamp.String()}, {"action", e.Action}, {"outcome", string(e.Outcome)},
		{"reason", e.Reason}, {"agent", e.AgentID}, {"organization", e.OrganizationID}, {"address", e.IPAddress}, {"user agent", e.UserAgent},
		{"request", e.RequestID}, {"metadata", string(e.Metadata)},
	}
}

var errUnproven = errors.New("the event is NOT proven")

// checkpoint is the latest, verified.
func (s *session) checkpoint(ctx context.Context, key string) (tree tlog.Tree, verifierKey string, signed []byte, err error) {
	if key == "" {
		keys, err := s.Keys(ctx)
		if err != nil {
			return tree, "", nil, err
		}
		key = keys.VerifierKey
	}
	verifier, err := readVerifierKey(key)
	if err != nil {
		return tree, "", nil, err
	}
	if signed, err = s.Checkpoint(ctx); err != nil {
		return tree, "", nil, err
	}
	tree, err = auditlog.ParseCheckpoint(signed, verifier)
	return tree, key, signed, err
}

// prove verifies that the leaf is under the latest checkpoint.
func (s *session) prove(ctx context.Context, event agentidp.AuditEvent, leaf []byte, key string) error {
	tree, err := s.covering(ctx, event.Sequence, key)
	if err != nil {
		return err
	}
	proof, err := s.InclusionProof(ctx, event.Sequence, tree.N)
	if err != nil {
		return err
	}
	hashes, err := parseHashes(proof.Hashes)
	if err != nil {
		return err
	}
	if err := tlog.CheckRecord(hashes, tree.N, tree.Hash, event.Sequence, tlog.RecordHash(leaf)); err != nil {
		return fmt.Errorf("%w: %w", errUnproven, err)
	}
	fmt.Fprintf(s.Stderr, "proven: it is event %d of the %d under the signed checkpoint, root %s\n", event.Sequence, tree.N, tree.Hash)
	return nil
}

// covering waits for the checkpoint that covers an event: one is signed every few seconds.
func (s *session) covering(ctx context.Context, sequence int64, key string) (tlog.Tree, error) {
	for {
		tree, _, _, err := s.checkpoint(ctx, key)
		if err != nil || tree.N > sequence {
			return tree, err
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return tree, fmt.Errorf("%w: no checkpoint covers it yet: %w", errUnproven, ctx.Err())
		}
	}
}

func parseHashes(texts []string) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(texts))
	for i, text := range texts {
		hash, err := tlog.ParseHash(text)
		if err != nil {
			return nil, fmt.Errorf("proof: %w", err)
		}
		hashes[i] = hash
	}
	return hashes, nil
}
