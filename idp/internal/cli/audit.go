package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/idp/internal/app"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/shared/command"
)

func (p program) audit() *cobra.Command {
	return command.Group("audit", "The audit log", p.auditList(), p.auditTail(), p.auditGet(), p.auditExport(), p.auditVerify())
}

var errInvalidLog = errors.New("the audit log is NOT valid")

func (p program) auditVerify() *cobra.Command {
	var files []string
	var export, key string
	cmd := p.settings.Command("verify", "Recompute the audit log and hold it against what was signed", `Verify exports the log from the running IdP, recomputes the Merkle tree from the events here,
and compares it with the signed checkpoint and with those given. It names the first bad
event. Exit status 0: valid, 1: not valid. The verifier key is --key; without it the
IdP's own word is taken for it, and told.

With --offline it opens the store, and compares the events with the stored tree too,
with every signed checkpoint in the store, and with the copy in the data folder.
That copy belongs to the same machine: give one that was kept elsewhere
(GET /api/v1/audit/checkpoint) to be sure of a log that was cut or rewritten together
with everything beside it.

With --export it verifies an NDJSON export instead, anywhere: without the IdP, the
store, the settings or the master key. --key is the log's verifier key, as verify
prints it and GET /api/v1/keys shows it, or a file that holds it.`,
		func(cmd *cobra.Command, cfg app.Config) (err error) {
			checkpoints, err := readCheckpoints(cfg, files)
			if err != nil {
				return err
			}
			store, err := openStore(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, store.Close()) }()
			report, err := store.Verify(cmd.Context(), auditlog.VerifyOptions{Checkpoints: checkpoints, Progress: func(events int64) {
				if events%100_000 == 0 {
					fmt.Fprintf(p.Stderr, "%d events\n", events)
				}
			}})
			if err != nil {
				return err
			}
			return p.printReport(report)
		})
	cmd.Example = "  agentidp audit verify --key audit.key --checkpoint kept.checkpoint\n  agentidp audit verify --offline --data-dir ./data\n  agentidp audit verify --export audit.ndjson --key audit.key"
	p.either(cmd, forever, func(ctx context.Context, s *session, _ []string) error { return s.verifyLog(ctx, key, files) })
	storeOrAPI := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ofStore := cmd.Flags().Changed("offline")
		switch {
		case export != "" && key == "":
			return fmt.Errorf("%w: --export wants --key", command.ErrUsage)
		case export == "" && key != "" && ofStore:
			return fmt.Errorf("%w: --key is not for the store, which holds it: leave out --offline or --key", command.ErrUsage)
		case export == "":
			return storeOrAPI(cmd, args)
		case ofStore:
			return fmt.Errorf("%w: --export needs no store: leave out --offline", command.ErrUsage)
		default:
			return p.verifyExport(export, key, files)
		}
	}
	cmd.Flags().StringVar(&export, "export", "", "NDJSON export to verify, instead of the log in the store")
	cmd.Flags().StringVar(&key, "key", "", "verifier key, or a file that holds it")
	cmd.Flags().StringArrayVar(&files, "checkpoint", nil, "file with a signed checkpoint kept elsewhere; may be repeated")
	return cmd
}

// readCheckpoints reads the files given and, if there is one, the copy in the data folder.
func readCheckpoints(cfg app.Config, files []string) ([][]byte, error) {
	checkpoints, err := readFiles(files)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(cfg.CheckpointPath())
	if errors.Is(err, fs.ErrNotExist) {
		return checkpoints, nil
	}
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	return append(checkpoints, content), nil
}

func readFiles(files []string) ([][]byte, error) {
	var contents [][]byte
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("checkpoint: %w", err)
		}
		contents = append(contents, content)
	}
	return contents, nil
}

func (p program) printReport(r auditlog.Report) error {
	if r.Problem != nil {
		where := fmt.Sprintf("event %d", r.Problem.Sequence)
		if r.Problem.EventID != "" {
			where += " (" + r.Problem.EventID + ")"
		}
		fmt.Fprintf(p.Stdout, "NOT VALID at %s: %s\n", where, r.Problem.What)
		return errInvalidLog
	}
	_, err := fmt.Fprintf(p.Stdout, "valid: %d events, %d of them pruned by retention, root %s\n%d signed checkpoints agree, the last one covers %d events\nverifier key: %s\n", r.Events, r.Pruned, r.Root, r.Checkpoints, r.Signed, r.VerifierKey)
	if err != nil {
		return err
	}
	return p.printLater(r.Events - r.Signed)
}
