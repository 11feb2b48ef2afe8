package spool

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sentryagent/agentidp/shared/durable"
)

const (
	stateName   = "state.json"
	lockName    = "lock"
	stateFormat = 1
)

// state is what the segments do not tell. The file is one line of JSON and one
// with its CRC-32C.
type state struct {
	Format int        `json:"format"`
	Acked  int64      `json:"acked"` // the next sequence that the IdP wants
	Next   int64      `json:"next"`  // at least so many sequences were given out
	Hash   string     `json:"hash"`  // of the line before Next
	Clean  bool       `json:"clean"` // closed in order
	BootID string     `json:"bootId"`
	Gaps   []savedGap `json:"gaps,omitempty"`
}

// savedGap is a chunk of kind gap.
type savedGap struct {
	First    int64  `json:"first"`
	Next     int64  `json:"next"`
	Count    int64  `json:"count"`
	PrevHash string `json:"prevHash"`
	Time     string `json:"time"`
	Reason   string `json:"reason"`
}

func (g savedGap) chunk() *chunk {
	c := &chunk{first: g.First, next: g.Next, prev: g.PrevHash, decisions: g.Count, touched: true}
	c.becomeGap(g.Time, g.Reason)
	return c
}

// readState reads the file; errNoState when there is none yet, errState when it
// cannot be believed.
func readState(dir string) (*state, error) {
	data, err := os.ReadFile(filepath.Join(dir, stateName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoState
	}
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	body, sum, _ := bytes.Cut(data, []byte("\n"))
	var st state
	if string(sum) != stateSum(body) || json.Unmarshal(body, &st) != nil || st.Format != stateFormat {
		return nil, errState
	}
	return &st, nil
}

var (
	errNoState = errors.New("spool: no state file")
	errState   = errors.New("spool: state file is damaged")
)

func stateSum(body []byte) string {
	return fmt.Sprintf("%08x\n", crc32.Checksum(body, castagnoli))
}

// save writes the state durably; then what it gave up may leave the disk.
func (s *Spool) save(clean bool) error {
	s.saveMu.Lock()
	defer s.saveMu.Unlock()
	s.mu.Lock()
	st := state{
		Format: stateFormat, Acked: s.acked, Next: s.next, Hash: string(s.hash[:s.hashed]), Clean: clean, BootID: s.opts.BootID,
	}
	for _, c := range s.chunks {
		if c.kind == gap {
			st.Gaps = append(st.Gaps, savedGap{c.first, c.next, c.decisions, c.prev, c.gap.Time, c.gap.Reason})
		}
	}
	trash, closing := s.trash, s.closing
	s.trash, s.closing, s.changed, s.urgent = nil, nil, false, false
	s.mu.Unlock()

	err := writeState(s.dir, st)
	if err != nil {
		s.mu.Lock()
		s.trash, s.closing = append(trash, s.trash...), append(closing, s.closing...)
		s.changed, s.urgent = true, s.urgent || len(trash) > 0
		s.mu.Unlock()
		return err
	}
	for _, file := range closing {
		err = errors.Join(err, file.Close())
	}
	for _, path := range trash {
		if rm := os.Remove(path); rm != nil && !errors.Is(rm, fs.ErrNotExist) {
			err = errors.Join(err, rm)
		}
	}
	return err
}

func writeState(dir string, st state) error {
	body, err := json.Marshal(st)
	if err != nil {
		return fmt.Errorf("spool: state: %w", err)
	}
	body = append(append(body, '\n'), stateSum(body)...)
	return durable.Replace(filepath.Join(dir, stateName), func(w io.Writer) error {
		_, err := w.Write(body)
		return err
	})
}

func lockDir(dir string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// bootID names this run of the machine; "" when the kernel does not tell: then
// every unclean end counts as a power loss.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}
