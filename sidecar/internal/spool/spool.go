// Package spool is the sidecar's durable queue of decision records.
//
// Append copies a record into a file mapping: no system call, yet a killed
// process loses nothing, because the pages belong to the kernel. The disk
// follows within SyncInterval, and always before a record is shipped. Full
// segments are packed with zstd (zstdcat reads them: NDJSON), and removed once
// the IdP has acknowledged them. Whatever is lost is counted and declared by a
// gap record in the stream.
package spool

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sentryagent/agentidp/shared/decision"
)

// Policy says what happens to a decision when the spool is full.
type Policy string

// The policies.
const (
	Block      Policy = "block"       // refuse it: the request is answered 503
	DropAllow  Policy = "drop_allow"  // leave allowed ones out; keep the rest while there is room
	DropOldest Policy = "drop_oldest" // give up the oldest segment that was not shipped
)

// Errors of Admit and Append.
var (
	ErrFull   = errors.New("spool: full")
	ErrLocked = errors.New("spool: another process has it open")
	ErrClosed = errors.New("spool: closed")
	// ErrBroken is final: the disk refused a write that was promised. The
	// process should end; what Append took and the disk kept is found at the next start.
	ErrBroken = errors.New("spool: broken")
)

// Bounds of Options.
const (
	DefaultMaxBytes = 1 << 30
	MinMaxBytes     = 256 << 10 // a segment holds at least one record of the greatest length
	maxSegment      = 4 << 20
	segmentsInCap   = 8
	SyncInterval    = 100 * time.Millisecond
	stateInterval   = time.Second // how far the saved place may lag behind, when nothing hangs on it
)

// Options of Open. The zero value is usable.
type Options struct {
	MaxBytes int64  // on disk; 0: DefaultMaxBytes; at least MinMaxBytes
	Policy   Policy // "": Block
	// Local: nobody ships; with DropOldest the files simply rotate, undeclared.
	Local   bool
	Now     func() time.Time // nil: time.Now
	BootID  string           // changes when the machine restarts; "": asked of the kernel
	Logger  *slog.Logger     // nil: slog.Default
	Metrics *metrics.Set     // nil: not exposed
}

// Spool is safe for concurrent use; Next, Ack and Rewind are for one shipper.
type Spool struct {
	dir     string
	opts    Options
	segment int   // bytes of a raw segment
	soft    int64 // from here on it is tight: Admit refuses, drop_allow drops
	lock    *os.File
	log     *slog.Logger
	lost    *metrics.Counter

	tight  atomic.Bool
	broken atomic.Pointer[error]
	failed chan struct{} // closed with broken
	data   chan struct{} // capacity 1: something to ship
	wake   chan struct{} // capacity 1: work for tend

	mu       sync.Mutex
	closed   bool
	chunks   []*chunk // never empty while open; the last one is active
	used     int64    // bytes of chunks
	next     int64    // sequence to give out
	hash     [hashSize]byte
	hashed   int // length of the valid part of hash: 0 or hashSize
	pending  losses
	head     bool // pending changed since the last flush
	owed     *owed
	spare    *blank
	acked    int64 // the next sequence that the IdP wants
	unsynced []*chunk
	renamed  bool       // the folder must be synced
	trash    []string   // to remove once the state is saved
	closing  []*os.File // to close then
	stuck    bool       // the disk had no room for the next segment
	changed  bool       // the saved state is behind
	urgent   bool       // and something hangs on it: trash, a gap

	reader reader // guarded by readMu
	readMu sync.Mutex

	syncMu sync.Mutex // one flush at a time; guards unmapping
	saveMu sync.Mutex // one save at a time

	stop chan struct{}
	done sync.WaitGroup
}

func (o *Options) complete() error {
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.MaxBytes < MinMaxBytes {
		return fmt.Errorf("spool: size limit must be at least %d bytes", MinMaxBytes)
	}
	switch o.Policy {
	case "":
		o.Policy = Block
	case Block, DropAllow, DropOldest:
	default:
		return fmt.Errorf("spool: policy must be %s, %s or %s", Block, DropAllow, DropOldest)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.BootID == "" {
		o.BootID = bootID()
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Metrics == nil {
		o.Metrics = metrics.NewSet()
	}
	return nil
}

// Open takes the folder for this process, recovers what is in it and starts
// the work in the background that Close ends.
func Open(dir string, opts Options) (*Spool, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	segment := int(min(maxSegment, opts.MaxBytes/segmentsInCap)) &^ (os.Getpagesize() - 1)
	s := &Spool{
		dir: dir, opts: opts, segment: segment, soft: opts.MaxBytes - max(opts.MaxBytes/segmentsInCap, int64(segment)),
		lock: lock, log: opts.Logger, lost: opts.Metrics.NewCounter("sidecar_audit_lost_total"),
		failed: make(chan struct{}), data: make(chan struct{}, 1), wake: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	if s.owed, err = openOwed(dir); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(err, s.release(), lock.Close())
	}
	opts.Metrics.NewGauge("sidecar_audit_spooled_bytes", func() float64 { return float64(s.Status().Bytes) })
	opts.Metrics.NewGauge("sidecar_audit_acked_seq", func() float64 { return float64(s.Status().Acked) })
	opts.Metrics.NewGauge("sidecar_audit_next_seq", func() float64 { return float64(s.Status().Next) })
	s.done.Go(s.syncLoop)
	s.done.Go(s.tendLoop)
	s.signal()
	return s, nil
}

// Status is what /ready and metrics show.
type Status struct {
	Next  int64 // the next sequence to give out
	Acked int64 // the next sequence that the IdP wants
	Bytes int64 // on disk
	Full  bool  // Admit refuses, or would under Block
	Lost  uint64
	Err   error // ErrBroken with its cause
}

// Status answers the state of this moment.
func (s *Spool) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Status{Next: s.next, Acked: s.acked, Bytes: s.used, Full: s.tight.Load(), Lost: s.lost.Get(), Err: s.Err()}
}

// Err is nil, or says why the spool takes no more records.
func (s *Spool) Err() error {
	if err := s.broken.Load(); err != nil {
		return *err
	}
	return nil
}

// Broken is closed when the spool breaks; Err then says why.
func (s *Spool) Broken() <-chan struct{} { return s.failed }

// fail makes err final.
func (s *Spool) fail(err error) {
	err = fmt.Errorf("%w: %w", ErrBroken, err)
	if s.broken.CompareAndSwap(nil, &err) {
		s.log.Error("decision spool broken", "error", err)
		close(s.failed)
	}
}

// Admit asks, before a request is forwarded, whether its decision will find
// room: nil, ErrFull (policy Block only) or ErrBroken. The reserve behind it,
// an eighth of the size limit, takes the decisions of requests under way.
func (s *Spool) Admit() error {
	if err := s.Err(); err != nil {
		return err
	}
	if s.opts.Policy == Block && s.tight.Load() {
		return ErrFull
	}
	return nil
}

// Ready receives when there may be something to ship; signals coalesce.
func (s *Spool) Ready() <-chan struct{} { return s.data }

func (s *Spool) signal() {
	select {
	case s.data <- struct{}{}:
	default:
	}
}

func (s *Spool) kick() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// now is the time of records made here.
func (s *Spool) now() string { return s.opts.Now().UTC().Format(decision.TimeLayout) }
