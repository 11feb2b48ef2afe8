package syncer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/sentryagent/agentidp/shared/durable"
	"github.com/sentryagent/agentidp/shared/feed"
)

const (
	journalName  = "revocations.log"
	journalBatch = 500              // entries of one line of a snapshot
	maxJournal   = 1 << 20          // appended bytes after which the file is written anew
	maxLine      = maxPage + 1<<10  // of the journal
	quiet        = 10 * time.Second // contact alone is noted no more often
)

// journal keeps the revocations on disk: a snapshot, then what came after, one
// line each, led by the CRC-32C of the rest. It is used by one goroutine.
type journal struct {
	path     string
	file     *os.File // nil: the next write begins a new file
	issuer   string
	appended int64
	noted    time.Time // when contact was last written
}

// journalLine is what happened at Seen. Until a line has a Cursor the file is
// an unfinished snapshot and means nothing.
type journalLine struct {
	Issuer  string       `json:"issuer,omitempty"` // of the first line
	Cursor  string       `json:"cursor,omitempty"`
	Seen    time.Time    `json:"seen,omitzero"`
	Entries []feed.Entry `json:"entries,omitempty"`
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// openJournal reads the file into r. What cannot be read is as good as not
// seen: then r is stale until the feed answers.
func openJournal(dir, issuer string, r *Revocations) (*journal, error) {
	j := &journal{path: filepath.Join(dir, journalName), issuer: issuer}
	file, err := os.OpenFile(j.path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil
	}
	if err != nil {
		return nil, fmt.Errorf("syncer: %w", err)
	}
	loaded, good, err := readJournal(file, issuer)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("syncer: %s: %w", j.path, err), file.Close())
	}
	if loaded.cursor == "" {
		return j, file.Close()
	}
	// An append that the end of the process cut off is cut off for good.
	if err := errors.Join(file.Truncate(good), seekEnd(file)); err != nil {
		return nil, errors.Join(fmt.Errorf("syncer: %w", err), file.Close())
	}
	j.file, j.appended = file, maxJournal // written anew at the first chance
	r.replace(loaded.entries, loaded.cursor, earlier(loaded.seen, r.now()))
	return j, nil
}

func seekEnd(file *os.File) error {
	_, err := file.Seek(0, io.SeekEnd)
	return err
}

type loadedJournal struct {
	entries revoked
	cursor  string
	seen    time.Time
}

// readJournal replays the lines and answers the length of the good part. After
// a bad line that is not merely the torn end, the contact is forgotten.
func readJournal(file io.Reader, issuer string) (loadedJournal, int64, error) {
	l := loadedJournal{entries: newRevoked()}
	reader := bufio.NewReaderSize(file, 64<<10)
	var good int64
	for {
		raw, err := readLine(reader)
		if errors.Is(err, io.EOF) {
			return l, good, nil // raw, if any, has no end: torn
		}
		if err != nil && !errors.Is(err, errLongLine) {
			return l, good, err
		}
		line, ok := parseJournalLine(raw)
		if !ok || err != nil || good == 0 && line.Issuer != issuer {
			if good == 0 {
				return loadedJournal{entries: newRevoked()}, 0, nil
			}
			l.seen = time.Time{}
			return l, good, nil
		}
		good += int64(len(raw))
		for i := range line.Entries {
			l.entries.add(&line.Entries[i])
		}
		if line.Cursor != "" {
			l.cursor = line.Cursor
		}
		if !line.Seen.IsZero() {
			l.seen = line.Seen
		}
	}
}

var errLongLine = errors.New("line too long")

func readLine(reader *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := reader.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return line, err
		case len(line) > maxLine:
			return line, errLongLine
		}
	}
}

func parseJournalLine(raw []byte) (line journalLine, ok bool) {
	sum, body, found := bytes.Cut(bytes.TrimSuffix(raw, []byte("\n")), []byte(" "))
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if !found || err != nil || uint32(want) != crc32.Checksum(body, castagnoli) {
		return line, false
	}
	return line, json.Unmarshal(body, &line) == nil
}

func writeJournalLine(w io.Writer, line journalLine) (int, error) {
	body, err := json.Marshal(line)
	if err != nil {
		return 0, err
	}
	return fmt.Fprintf(w, "%08x %s\n", crc32.Checksum(body, castagnoli), body)
}

// note appends what a poll brought. Entries are on disk when it returns; the
// mere contact follows with the kernel's leisure.
func (j *journal) note(entries []feed.Entry, cursor string, at time.Time) error {
	if len(entries) == 0 && at.Sub(j.noted) < quiet {
		return nil
	}
	if j.file == nil {
		return errors.New("syncer: no revocation journal is open")
	}
	n, err := writeJournalLine(j.file, journalLine{Cursor: cursor, Seen: at, Entries: entries})
	j.appended += int64(n)
	if err == nil && len(entries) > 0 {
		err = j.file.Sync()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("syncer: %w", err), j.abandon())
	}
	j.noted = at
	return nil
}

// abandon gives the file up after a write that failed. A later line in it would
// carry a cursor past entries that are not there: what stands in it is older, but
// whole, and the next write begins a new file.
func (j *journal) abandon() error {
	old := j.file
	j.file = nil
	if old == nil {
		return nil
	}
	return old.Close()
}

// due reports whether the file has grown enough to be written anew.
func (j *journal) due() bool { return j.file == nil || j.appended >= maxJournal }

// rewrite puts all of r, as it is, into a new file.
func (j *journal) rewrite(r *Revocations) error {
	temporary := j.path + ".tmp"
	file, err := os.OpenFile(temporary, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("syncer: %w", err)
	}
	buffered := bufio.NewWriterSize(file, 64<<10)
	err = j.dump(buffered, r)
	if err == nil {
		err = buffered.Flush()
	}
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = os.Rename(temporary, j.path)
	}
	if err == nil {
		err = durable.SyncDir(filepath.Dir(j.path))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("syncer: %w", err), file.Close(), j.abandon())
	}
	err = j.abandon()
	j.file, j.appended = file, 0
	return err
}

func (j *journal) dump(w io.Writer, r *Revocations) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if _, err := writeJournalLine(w, journalLine{Issuer: j.issuer}); err != nil {
		return err
	}
	batch := make([]feed.Entry, 0, journalBatch)
	for _, kind := range []string{feed.TypeOrganization, feed.TypeAgent, feed.TypeCredential, feed.TypeKID, feed.TypeJTI} {
		for id, value := range r.entries.of(kind) {
			e := feed.Entry{Type: kind, ID: id, Epoch: value}
			if kind == feed.TypeJTI {
				e.Epoch, e.Exp = 0, value
			}
			if batch = append(batch, e); len(batch) < journalBatch {
				continue
			}
			if _, err := writeJournalLine(w, journalLine{Entries: batch}); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	last := journalLine{Cursor: r.cursor, Entries: batch}
	if at := r.seen.Load(); at != nil {
		last.Seen = *at
	}
	_, err := writeJournalLine(w, last)
	return err
}

func (j *journal) close() error {
	if j.file == nil {
		return nil
	}
	err := errors.Join(j.file.Sync(), j.file.Close())
	j.file = nil
	return err
}
