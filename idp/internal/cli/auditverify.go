package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	agentidp "github.com/sentryagent/agentidp/sdk/go"
	"github.com/sentryagent/agentidp/shared/command"
)

var errInvalidExport = errors.New("the export is NOT valid")

// verifyExport needs neither the store nor any setting.
func (p program) verifyExport(file, key string, checkpoints []string) (err error) {
	verifier, err := readVerifierKey(key)
	if err != nil {
		return err
	}
	export, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	defer func() { err = errors.Join(err, export.Close()) }()
	_, err = p.verifyStream(export, verifier, checkpoints)
	return err
}

// verifyLog verifies what the IdP exports, as it comes.
func (s *session) verifyLog(ctx context.Context, key string, checkpoints []string) (err error) {
	taken := key == ""
	if taken {
		keys, err := s.Keys(ctx)
		if err != nil {
			return err
		}
		key = keys.VerifierKey
	}
	verifier, err := readVerifierKey(key)
	if err != nil {
		return err
	}
	stream, err := s.Export(ctx, agentidp.ExportNDJSON, agentidp.EventFilter{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stream.Close()) }()
	report, err := s.verifyStream(stream, verifier, checkpoints)
	if err != nil {
		return err
	}
	if err := s.tellLater(ctx, report.Size); err != nil {
		return err
	}
	if taken {
		fmt.Fprintf(s.Stderr, "the verifier key is the IdP's own word: keep %s elsewhere and give it as --key\n", key)
	}
	return nil
}

// mostLater is how many events beyond the checkpoint are counted.
const mostLater = 1000

// tellLater says how many of the events that "audit list" shows are not under
// the checkpoint yet. The export itself made one.
func (s *session) tellLater(ctx context.Context, size int64) error {
	later := 0
	for event, err := range s.Events(ctx, agentidp.EventFilter{}) {
		if err != nil {
			return err
		}
		if event.Sequence < size || later > mostLater {
			break
		}
		later++
	}
	return s.printLater(int64(later))
}

func (p program) printLater(n int64) (err error) {
	switch {
	case n == 0:
	case n == 1:
		_, err = fmt.Fprintln(p.Stdout, "1 later event belongs to the next checkpoint")
	case n > mostLater:
		_, err = fmt.Fprintf(p.Stdout, "more than %d later events belong to the next checkpoint\n", mostLater)
	default:
		_, err = fmt.Fprintf(p.Stdout, "%d later events belong to the next checkpoint\n", n)
	}
	return err
}

func (p program) verifyStream(export io.Reader, verifier note.Verifier, checkpoints []string) (report auditlog.ExportReport, err error) {
	opts := auditlog.VerifyExportOptions{Verifier: verifier}
	if opts.Checkpoints, err = readFiles(checkpoints); err != nil {
		return report, err
	}
	told := int64(0)
	opts.Progress = func(events int64) {
		if events-told >= 1_000_000 {
			told = events
			fmt.Fprintf(p.Stderr, "%d events\n", events)
		}
	}
	if report, err = auditlog.VerifyExport(export, opts); err != nil {
		return report, err
	}
	return report, p.printExportReport(report)
}

// readVerifierKey takes a key, or a file that holds one.
func readVerifierKey(key string) (note.Verifier, error) {
	verifier, err := note.NewVerifier(key)
	if err == nil {
		return verifier, nil
	}
	content, readErr := os.ReadFile(key)
	if readErr != nil {
		return nil, fmt.Errorf("%w: --key is neither a verifier key (name+hash+base64) nor a file: %w; %w", command.ErrUsage, err, readErr)
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
	fmt.Fprintf(out, "valid: %s, of the %d that the checkpoint of %s covers, root %s\n", counted(r.Events, "event"), r.Size, r.Origin, r.Root)
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
	for _, narrowed := range [][2]string{
		{"done by ", r.Filter.AgentID}, {"done by others to ", r.Filter.TargetAgentID}, {"of action ", string(r.Filter.Action)}, {"of outcome ", string(r.Filter.Outcome)},
	} {
		if narrowed[1] != "" {
			text += " " + narrowed[0] + plain(narrowed[1])
		}
	}
	if r.Filter.Text != "" {
		text += fmt.Sprintf(" that hold %q", r.Filter.Text)
	}
	if r.From != "" {
		text += " from " + r.From
	}
	if r.To != "" {
		text += " until " + r.To
	}
	return text
}
