// Package store says what the IdP keeps and what every backend promises. No
// SQL here. storetest is the suite that holds a backend to these comments.
//
// Common contract: a missing row is idp.ErrNotFound; a broken uniqueness or a
// lost optimistic update is idp.ErrConflict; a backend that cannot answer is
// ErrUnavailable; all other errors are faults. Times are UTC milliseconds.
// Strings compare byte for byte. Organization arguments scope the row: another
// organization's row is idp.ErrNotFound; AnyOrganization lifts that.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// AnyOrganization as an organization argument means: do not scope.
const AnyOrganization = ""

// ErrUnavailable says that the backend cannot serve now and, unless it is
// ErrUnknown too, that nothing was done; the caller answers 503.
var ErrUnavailable = errors.New("store unavailable")

// ErrUnknown says that the transaction may have been committed, and that the
// backend could not find out. It is an ErrUnavailable.
var ErrUnknown = fmt.Errorf("%w: it may have been committed", ErrUnavailable)

// ErrStatement says that one statement took too long or could not be carried
// out, and that the backend is well otherwise: nothing was done, and a
// transaction without that statement may succeed. It is an ErrUnavailable.
var ErrStatement = fmt.Errorf("%w: a statement failed", ErrUnavailable)

// ErrReadOnly answers a write inside View.
var ErrReadOnly = errors.New("write in a read-only transaction")

// DB opens transactions. It is safe for concurrent use.
type DB interface {
	// Update runs fn in one serializable read-write transaction and commits when
	// fn returns nil. The commit is durable (fsync) when Update returns nil.
	// fn may run more than once: it must have no effect outside tx.
	Update(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error
	// View runs fn on one consistent snapshot that sees every commit that returned before it.
	View(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error
	// Read is View without its promise: each statement in fn is a snapshot of its
	// own, which sees every commit that returned before it. For a single read it is
	// as good, and spares the statements around it. There is no savepoint in it.
	// A gate read in it may be shared, and its LastAuthAt and LastUsedAt of before:
	// callers change nothing that it refers to.
	Read(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error
	// Drop frees what a month of a class takes up, as far as its events are
	// recorded by Retention, in transactions of its own that hold no writer up. It
	// reports whether nothing is left; false: somebody was in the way, or there are
	// events that are not recorded. To repeat it is harmless, on any replica.
	Drop(ctx context.Context, class Class, month time.Time) (done bool, err error)
	// Watch returns a channel that is signalled after any process committed a
	// revocation or a change of a key. Signals coalesce and may be spurious. stop releases it.
	Watch() (changed <-chan struct{}, stop func())
	// Ping asks whether the backend can serve reads and writes now.
	Ping(ctx context.Context) error
	Close() error
}

// Tx is one open transaction. It must not be used after fn returned, nor concurrently.
type Tx struct {
	Organizations Organizations
	Agents        Agents
	Credentials   Credentials
	Admissions    Admissions
	Events        Events
	Tree          Tree
	Retention     Retention
	Revocations   Revocations
	Keys          Keys
	Idempotency   Idempotency
	Assertions    Assertions
	Sidecars      Sidecars
	Settings      Settings
	Stats         Stats
	StatusLists   StatusLists
	// Savepoint runs fn so that its error undoes its own writes only. It returns fn's error.
	Savepoint func(ctx context.Context, fn func(ctx context.Context) error) error
}

// Page asks for one page of a list sorted by creation, newest first, then by id.
type Page struct {
	Number int // from 1
	Limit  int // 1..100
}

// Offset is the number of rows before the page.
func (p Page) Offset() int { return (p.Number - 1) * p.Limit }
