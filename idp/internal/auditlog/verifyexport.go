package auditlog

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// ExportReport is the result of the verification of an export.
type ExportReport struct {
	Origin         string // of the log
	OrganizationID string // whose events the export promises; "": all
	From, To       string // the range it promises; "": no end
	Filter         Filter // what else the events fit: agents, action, outcome, text
	Size           int64  // events under its checkpoint
	Root           tlog.Hash
	Events         int64   // in the file
	Compared       []int64 // sizes of checkpoints kept elsewhere that agree
	Uncompared     []int64 // sizes that the file cannot speak about
	Problem        *ExportProblem
}

// Whole reports that the file holds every event of the log up to its
// checkpoint, so that not one can be missing.
func (r *ExportReport) Whole() bool { return r.Problem == nil && r.Events == r.Size }

// ExportProblem is the first thing found wrong. A hash that does not come out
// right says that one of several lines was changed, not which.
type ExportProblem struct {
	FirstLine, LastLine int64 // from 1
	What                string
}

func (p *ExportProblem) Error() string {
	if p.FirstLine == p.LastLine {
		return fmt.Sprintf("line %d: %s", p.FirstLine, p.What)
	}
	return fmt.Sprintf("lines %d to %d: %s", p.FirstLine, p.LastLine, p.What)
}

// VerifyExportOptions say what to hold an export against.
type VerifyExportOptions struct {
	Verifier    note.Verifier // of the log's key
	Checkpoints [][]byte      // signed notes kept elsewhere
	Progress    func(events int64)
}

// VerifyExport reads an NDJSON export once, in memory that does not grow with
// it, recomputes the root and holds it against the checkpoint in the file and
// those kept elsewhere. The error is for a file that could not be read and
// checkpoints that are not the log's; a bad file is a report with a Problem.
func VerifyExport(r io.Reader, opts VerifyExportOptions) (ExportReport, error) {
	v := exportVerification{opts: opts, lines: bufio.NewReaderSize(r, maxExportLine+1), good: 1}
	for _, signed := range opts.Checkpoints {
		tree, err := ParseCheckpoint(signed, opts.Verifier)
		if err != nil {
			return v.report, fmt.Errorf("a checkpoint given is not signed by this log's key: %w", err)
		}
		v.kept = append(v.kept, tree)
	}
	slices.SortStableFunc(v.kept, func(a, b tlog.Tree) int { return cmp.Compare(a.N, b.N) })
	err := v.run()
	if errors.As(err, &v.report.Problem) {
		err = nil
	}
	return v.report, err
}

// maxExportLine is more than an event or a header with its checkpoint takes.
const maxExportLine = 128 << 10

type exportVerification struct {
	opts   VerifyExportOptions
	lines  *bufio.Reader
	line   int64 // of what was read last, from 1
	report ExportReport
	signed tlog.Tree
	kept   []tlog.Tree // to be held against the file, by rising size
	sieve  sieve
	stack  exportStack
	good   int64          // the last line that a checkpoint kept elsewhere vouches for
	forked *ExportProblem // the first of these that disagrees
}

func (v *exportVerification) run() error {
	header, err := v.next()
	if err != nil {
		return err
	}
	if err := v.open(header); err != nil {
		return v.bad(err)
	}
	for {
		line, err := v.next()
		if errors.Is(err, io.EOF) {
			return v.judge()
		}
		if err != nil {
			return err
		}
		if err := v.take(line); err != nil {
			return v.bad(err)
		}
		v.compare()
		if v.opts.Progress != nil {
			v.opts.Progress(v.stack.size)
		}
	}
}

// bad blames the line read last.
func (v *exportVerification) bad(err error) *ExportProblem {
	return &ExportProblem{FirstLine: v.line, LastLine: v.line, What: err.Error()}
}

// next reads a line, without its LF; io.EOF after the last.
func (v *exportVerification) next() ([]byte, error) {
	line, err := v.lines.ReadSlice('\n')
	switch {
	case err == nil:
		v.line++
		return line[:len(line)-1], nil
	case errors.Is(err, bufio.ErrBufferFull):
		v.line++
		return nil, v.bad(fmt.Errorf("longer than %d bytes", maxExportLine))
	case errors.Is(err, io.EOF) && len(line) > 0:
		v.line++
		return nil, v.bad(errors.New("it has no end: the file was cut"))
	case errors.Is(err, io.EOF) && v.line == 0:
		v.line++
		return nil, v.bad(errors.New("the file is empty"))
	case errors.Is(err, io.EOF):
		return nil, io.EOF
	default:
		return nil, fmt.Errorf("read the export: %w", err)
	}
}

// open checks the header and the signature of its checkpoint.
func (v *exportVerification) open(line []byte) error {
	header, err := parseExportHeader(line)
	if err != nil {
		return err
	}
	if v.signed, err = ParseCheckpoint([]byte(header.Checkpoint), v.opts.Verifier); err != nil {
		return fmt.Errorf("the checkpoint is not signed by the key given: %w", err)
	}
	if !strict([]byte(header.Checkpoint)) {
		return fmt.Errorf("the checkpoint's signature: %w", errSpelling)
	}
	if v.signed.N == 0 {
		return errors.New("the checkpoint is of an empty log, which is never exported")
	}
	v.report = ExportReport{
		Origin: v.opts.Verifier.Name(), OrganizationID: header.OrganizationID, From: header.From, To: header.To, Filter: header.Filter, Size: v.signed.N, Root: v.signed.Hash,
	}
	v.sieve = header.sieve()
	return nil
}

// take adds an event or a subtree to the tree.
func (v *exportVerification) take(line []byte) error {
	if v.stack.size == v.signed.N {
		return fmt.Errorf("the checkpoint covers %d events, which all stand before it", v.signed.N)
	}
	if bytes.HasPrefix(line, []byte(`{"subtree":`)) {
		s, err := parseExportSubtree(line)
		if err != nil {
			return err
		}
		return v.stack.subtree(*s, v.signed.N)
	}
	e, err := parseExportEvent(line)
	if err != nil {
		return err
	}
	if err := v.promised(e, line); err != nil {
		return err
	}
	v.stack.leaf(tlog.RecordHash(line))
	v.report.Events++
	return nil
}

// promised holds an event against its place and the header.
func (v *exportVerification) promised(e idp.Event, line []byte) error {
	at := e.Timestamp.Format(idp.TimeLayout)
	switch {
	case e.Sequence != v.stack.size:
		return fmt.Errorf("event %d stands in the place of event %d", e.Sequence, v.stack.size)
	case v.report.OrganizationID != "" && e.OrganizationID != v.report.OrganizationID:
		return fmt.Errorf("the event is of organization %q, the export of %q", e.OrganizationID, v.report.OrganizationID)
	case v.report.From != "" && at < v.report.From, v.report.To != "" && at >= v.report.To:
		return fmt.Errorf("the event's time %s is outside the export's", at)
	case !v.sieve.holds(&store.EventRow{AgentID: e.AgentID, Action: e.Action, Outcome: e.Outcome, Timestamp: e.Timestamp, Body: line}):
		return errors.New("the event does not fit the export's filter")
	}
	return nil
}

// compare holds the tree so far against the checkpoints of its size.
func (v *exportVerification) compare() {
	for len(v.kept) > 0 && v.kept[0].N <= v.stack.size {
		tree := v.kept[0]
		v.kept = v.kept[1:]
		switch {
		case tree.N != 0 && tree.N < v.stack.size:
			v.report.Uncompared = append(v.report.Uncompared, tree.N) // its end is inside a subtree
		case tree.N == 0 || tree.Hash == v.stack.root():
			v.report.Compared = append(v.report.Compared, tree.N)
			if v.forked == nil {
				v.good = v.line
			}
		case v.forked == nil:
			v.forked = &ExportProblem{FirstLine: v.good + 1, LastLine: v.line, What: fmt.Sprintf("the file's first %d events are not those of the checkpoint given", tree.N)}
		}
	}
}

// judge holds the whole tree against the file's own checkpoint.
func (v *exportVerification) judge() error {
	if v.stack.size != v.signed.N {
		return v.bad(fmt.Errorf("the file ends after it, at event %d of %d: it is incomplete", v.stack.size, v.signed.N))
	}
	genuine := v.stack.root() == v.signed.Hash
	for _, tree := range v.kept {
		v.report.Uncompared = append(v.report.Uncompared, tree.N)
	}
	switch {
	case genuine && v.forked != nil:
		v.forked.What += ", although the log's key signed the file's too: the log was rewritten"
		return v.forked
	case v.forked != nil:
		v.forked.What += ": one of these lines was changed"
		return v.forked
	case !genuine:
		return &ExportProblem{FirstLine: v.good + 1, LastLine: v.line, What: "one of these lines is not what was signed: the recomputed root is not the checkpoint's"}
	}
	return nil
}
