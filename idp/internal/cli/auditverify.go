package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/shared/command"
)

var errInvalidExport = errors.New("the export is NOT valid")

// verifyExport needs neither the store nor any setting.
func (p program) verifyExport(file, key string, checkpoints []string) (err error) {
	verifier, err := readVerifierKey(key)
	if err != nil {
		return err
	}
	opts := auditlog.VerifyExportOptions{Verifier: verifier}
	if opts.Checkpoints, err = readFiles(checkpoints); err != nil {
		return err
	}
	told := int64(0)
	opts.Progress = func(events int64) {
		if events-told >= 1_000_000 {
			told = events
			fmt.Fprintf(p.Stderr, "%d events\n", events)
		}
	}
	export, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	defer func() { err = errors.Join(err, export.Close()) }()
	report, err := auditlog.VerifyExport(export, opts)
	if err != nil {
		return err
	}
	return p.printExportReport(report)
}

// readVerifierKey takes a key, or a file that holds one.
func readVerifierKey(key string) (note.Verifier, error) {
	verifier, err := note.NewVerifier(key)
	if err == nil {
		return verifier, nil
	}
	content, readErr := os.ReadFile(key)
	if readErr != nil {
		return nil, fmt.Errorf("%w: --key is neither a verifier key (name+hash+base64) nor a file: %w", command.ErrUsage, errors.Join(err, readErr))
	}
	if verifier, err = note.NewVerifier(strings.TrimSpace(string(content))); err != nil {
		return nil, fmt.Errorf("%s holds no verifier key (name+hash+base64): %w", key, err)
	}
	return verifier, nil
}

func (p program) printExportReport(r auditlog.ExportReport) error {
	if r.Problem != nil {
		fmt.Fprintf(p.Stdout, "NOT VALID: %v\n", r.Problem)
		return errInvalidExport
	}
	out := &strings.Builder{}
	fmt.Fprintf(out, "valid: %d events, of the %d that the checkpoint of %s covers, root %s\n", r.Events, r.Size, r.Origin, r.Root)
	for _, size := range r.Compared {
		fmt.Fprintf(out, "agrees with the checkpoint of %d events kept elsewhere\n", size)
	}
	for _, size := range r.Uncompared {
		fmt.Fprintf(out, "NOT compared with the checkpoint of %d events kept elsewhere: %s\n", size, whyUncompared(size, r.Size))
	}
	out.WriteString(proven(r))
	_, err := fmt.Fprint(p.Stdout, out)
	return err
}

func whyUncompared(size, covered int64) string {
	if size > covered {
		return "it covers more than the file does"
	}
	return "it ends amid events that the file leaves out"
}

// proven says in words what follows from the hashes, and what does not.
func proven(r auditlog.ExportReport) string {
	if r.Whole() {
		return "proven: this is the whole log up to the checkpoint; no event is missing, none was altered\n"
	}
	text := "proven: each event in the file is in the log, in its place and unaltered\n" +
		fmt.Sprintf("NOT proven: that no event of %s is missing; the file leaves out %d events of the log, and shows only their hashes\n", promise(r), r.Size-r.Events)
	return text
}

// promise is what the header says the export is of.
func promise(r auditlog.ExportReport) string {
	text := "the log"
	if r.OrganizationID != "" {
		text = fmt.Sprintf("organization %q", r.OrganizationID)
	}
	if r.From != "" {
		text += " from " + r.From
	}
	if r.To != "" {
		text += " until " + r.To
	}
	return text
}
