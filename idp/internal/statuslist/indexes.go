package statuslist

import (
	"context"
	cryptorand "crypto/rand"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/token"
)

const (
	blockSize = 1 << 14
	refillAt  = blockSize / 4   // indexes left when the next block is taken
	takeLimit = 2 * time.Second // for taking one
	takeAgain = time.Second     // after a failure, in the background
)

// IndexOptions are the parts of Indexes; DB and Issuer are required.
type IndexOptions struct {
	DB      store.DB
	Issuer  string
	Now     idp.Clock    // default time.Now
	Logger  *slog.Logger // default slog.Default
	Metrics *metrics.Set // default: a set nobody reads
}

// Indexes gives out places in status lists. It takes them from the store in
// blocks, and those of a block in an order that tells nothing of when or for whom:
// what a process did not use before it ended is never used. At most two blocks
// are held. It is safe for concurrent use.
type Indexes struct {
	db     store.DB
	base   string
	now    idp.Clock
	logger *slog.Logger
	low    chan struct{} // wakes Run

	turn    chan struct{} // one element; who has it may take a block
	failure error         // of the last attempt; guarded by turn

	mu       sync.Mutex // guards what follows
	blocks   [2]block   // the one given out, and the next
	failures int
}

// block is what is left of one.
type block struct {
	first int64
	order []uint16 // offsets, the next one last
	taken time.Time
}

// NewIndexes takes nothing yet.
func NewIndexes(o IndexOptions) *Indexes {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Metrics == nil {
		o.Metrics = metrics.NewSet()
	}
	x := &Indexes{db: o.DB, base: base(o.Issuer), now: o.Now, logger: o.Logger, low: make(chan struct{}, 1), turn: make(chan struct{}, 1)}
	x.turn <- struct{}{}
	o.Metrics.NewGauge("agentidp_statuslist_indexes_left", func() float64 { return float64(x.left()) })
	return x
}

// Next is a place that no token had, and its index over all lists. While there
// is none to be had it is a 503.
func (x *Indexes) Next(ctx context.Context) (index int64, place token.Status, err error) {
	for {
		index, found := x.pop()
		if found {
			return index, x.place(index), nil
		}
		if err := x.refill(ctx); err != nil {
			return 0, token.Status{}, apierr.New(apierr.Unavailable, "tokens cannot be issued now").
				WithReason("status_index_missing").WithRetryAfter(time.Second).WithCause(err)
		}
	}
}

func (x *Indexes) place(index int64) token.Status { return place(x.base, index) }

func (x *Indexes) pop() (index int64, found bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range x.blocks {
		if age := x.now().Sub(x.blocks[i].taken); age < 0 || age >= blockLife {
			x.blocks[i] = block{}
		}
	}
	if len(x.blocks[0].order) == 0 {
		x.blocks[0], x.blocks[1] = x.blocks[1], block{}
	}
	b := &x.blocks[0]
	last := len(b.order) - 1
	if last < 0 {
		return 0, false
	}
	index = b.first + int64(b.order[last])
	b.order = b.order[:last]
	if last < refillAt && len(x.blocks[1].order) == 0 {
		select {
		case x.low <- struct{}{}:
		default: // Run knows
		}
	}
	return index, true
}

func (x *Indexes) left() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.blocks[0].order) + len(x.blocks[1].order)
}

// Run takes blocks ahead of need until ctx ends.
func (x *Indexes) Run(ctx context.Context) {
	for {
		select {
		case <-x.low:
		case <-ctx.Done():
			return
		}
		for x.left() < refillAt {
			err := x.ahead(ctx)
			if err == nil || ctx.Err() != nil {
				break
			}
			x.logger.WarnContext(ctx, "no indexes for status lists", "error", err)
			select {
			case <-time.After(takeAgain):
			case <-ctx.Done():
				return
			}
		}
	}
}

// ahead takes the next block while there are indexes left.
func (x *Indexes) ahead(ctx context.Context) error {
	select {
	case <-x.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { x.turn <- struct{}{} }()
	return x.take(ctx)
}

// refill takes a block for a caller who found none. Callers who waited in line
// while another one failed fail with it, so that the line moves.
func (x *Indexes) refill(ctx context.Context) error {
	seen := x.failed()
	select {
	case <-x.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { x.turn <- struct{}{} }()
	if x.left() > 0 {
		return nil
	}
	if x.failed() != seen {
		return x.failure
	}
	return x.take(ctx)
}

func (x *Indexes) failed() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.failures
}

// take adds a block. Who calls it has the turn.
func (x *Indexes) take(ctx context.Context) error {
	b := block{order: make([]uint16, blockSize), taken: x.now()}
	limited, cancel := context.WithTimeout(ctx, takeLimit)
	defer cancel()
	err := x.db.Update(limited, func(ctx context.Context, tx *store.Tx) (err error) {
		b.first, err = tx.StatusLists.Take(ctx, blockSize, b.taken)
		return err
	})
	x.mu.Lock()
	defer x.mu.Unlock()
	if err != nil {
		x.failures++
		x.failure = errors.Join(errors.New("take indexes"), err)
		return x.failure
	}
	b.shuffle()
	if len(x.blocks[0].order) == 0 {
		x.blocks[0] = b
	} else {
		x.blocks[1] = b
	}
	return nil
}

// shuffle gives the block an order that nobody can foresee.
func (b *block) shuffle() {
	var seed [32]byte
	_, _ = cryptorand.Read(seed[:]) // never fails
	for i := range b.order {
		b.order[i] = uint16(i)
	}
	random := rand.New(rand.NewChaCha8(seed)) //nolint:gosec // G404: a cipher, keyed by crypto/rand
	random.Shuffle(len(b.order), func(i, j int) { b.order[i], b.order[j] = b.order[j], b.order[i] })
}
