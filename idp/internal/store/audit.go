package store

import (
	"context"
	"time"

	"github.com/sentryagent/agentidp/idp"
)

// EventRow is an audit event as kept: the columns that queries filter on, and
// the canonical bytes that are served and hashed.
type EventRow struct {
	Sequence       int64
	ID             string
	OrganizationID string
	AgentID        string
	Action         idp.Action
	Outcome        idp.Outcome
	Timestamp      time.Time
	Body           []byte // RFC 8785
}

// EventFilter narrows a list; zero members do not filter.
type EventFilter struct {
	OrganizationID string
	AgentID        string
	TargetAgentID  string // EventRow.Target: never the one that acted
	Action         idp.Action
	Outcome        idp.Outcome
	From           time.Time // inclusive
	To             time.Time // exclusive
	Before         int64     // only sequences below it; 0: from the newest
	Limit          int       // 1..1000
}

// Events is the append-only log. UPDATE and DELETE are refused by the backend itself.
type Events interface {
	// Append inserts rows, whose sequences continue the log without a gap.
	Append(ctx context.Context, rows []EventRow) error
	Get(ctx context.Context, organizationID, id string) (EventRow, error)
	// List returns matching rows, highest sequence first.
	List(ctx context.Context, filter EventFilter) ([]EventRow, error)
	// Range returns up to limit rows with sequence >= from, lowest first, for verification and export.
	Range(ctx context.Context, organizationID string, from int64, limit int) ([]EventRow, error)
	// Window is where events of the time range, from inclusive, to exclusive, zero
	// times open, can be: all have first <= sequence < end. It may be too wide.
	Window(ctx context.Context, from, to time.Time) (first, end int64, err error)
	// Hidden is the lowest sequence that an index of the backend's own would
	// keep from a List it belongs in, -1 when there is none. For verification.
	Hidden(ctx context.Context) (int64, error)
}

// Checkpoint is a signed statement of the log's size and root.
type Checkpoint struct {
	Size      int64
	Note      []byte // C2SP signed note
	CreatedAt time.Time
}

// Tree keeps the hashes of the RFC 6962 tree in the order of
// golang.org/x/mod/sumdb/tlog.StoredHashIndex.
type Tree interface {
	// Size is the number of leaves. Inside Update it also locks the tree until
	// the transaction ends, so that only one writer on any replica appends.
	Size(ctx context.Context) (int64, error)
	// Append stores hashes from index first on and the new number of leaves.
	Append(ctx context.Context, first int64, hashes [][32]byte, size int64) error
	// Hashes returns the stored hashes at the indexes, in order; idp.ErrNotFound when one is missing.
	Hashes(ctx context.Context, indexes []int64) ([][32]byte, error)
	SaveCheckpoint(ctx context.Context, c Checkpoint) error
	// LatestCheckpoint is the one with the largest size.
	LatestCheckpoint(ctx context.Context) (Checkpoint, error)
	// Checkpoints returns up to limit checkpoints with Size above after, lowest first.
	Checkpoints(ctx context.Context, after int64, limit int) ([]Checkpoint, error)
}

// Revocations is the feed: what is cut off, in order, until no live token can be concerned.
type Revocations interface {
	// Append stores the entry, gives it the next Seq and returns that.
	Append(ctx context.Context, r idp.Revocation) (int64, error)
	// AppendOrganizations stores an entry for every organization with its epoch, by
	// id, in statements that do not grow in number; it returns how many they are.
	AppendOrganizations(ctx context.Context, reason string, at time.Time) (int64, error)
	// Since returns up to limit entries with Seq above after, lowest first.
	Since(ctx context.Context, after int64, limit int) ([]idp.Revocation, error)
	// Bounds returns the highest Seq ever given and the highest Seq ever pruned; 0 and 0 at first.
	Bounds(ctx context.Context) (last, pruned int64, err error)
	// CountRevoked is how many of the jtis an entry names.
	CountRevoked(ctx context.Context, jtis []string) (int, error)
	// RevokedToken reports whether an entry names the jti or the kid.
	RevokedToken(ctx context.Context, jti, kid string) (bool, error)
	// Prune removes up to PruneBatch entries, and reports whether there may be more:
	// jti entries that expired before now, and epoch entries made before
	// epochsBefore; kid entries stay.
	Prune(ctx context.Context, now, epochsBefore time.Time) (more bool, err error)
}

// KeyUse says what a key signs.
type KeyUse string

// The uses.
const (
	UseToken      KeyUse = "token"      // RS256, in the JWKS
	UseCheckpoint KeyUse = "checkpoint" // Ed25519, signs audit checkpoints
)

// KeyStatus is a step of a key's life.
type KeyStatus string

// next → active → retired (verifies only); each → revoked (final: neither signs nor verifies).
const (
	KeyNext    KeyStatus = "next"
	KeyActive  KeyStatus = "active"
	KeyRetired KeyStatus = "retired"
	KeyRevoked KeyStatus = "revoked"
)

// Key is a key pair at rest.
type Key struct {
	ID          string // kid: RFC 7638 thumbprint, or the checkpoint key's name
	Use         KeyUse
	Status      KeyStatus
	Public      []byte // PKIX DER; of a checkpoint key its note verifier key
	Sealed      []byte // private half (PKCS#8 DER, or a note signer key), encrypted under the master key
	CreatedAt   time.Time
	ActivateAt  time.Time // when a next key is to become active
	ActivatedAt time.Time
	RetiredAt   time.Time
}

// Keys keeps key pairs, private halves encrypted.
type Keys interface {
	// List returns all keys of a use, oldest first.
	List(ctx context.Context, use KeyUse) ([]Key, error)
	// Insert answers idp.ErrConflict when the id is taken.
	Insert(ctx context.Context, k Key) error
	// SetStatus moves a key, stamping ActivatedAt, or RetiredAt when it is retired or revoked.
	SetStatus(ctx context.Context, id string, status KeyStatus, at time.Time) error
	// Schedule writes ActivateAt.
	Schedule(ctx context.Context, id string, at time.Time) error
	// Delete forgets a key and its private half.
	Delete(ctx context.Context, id string) error
}

// Sidecar is one connected sidecar and where its decision stream stands.
type Sidecar struct {
	ID             string // UUID made once per data folder
	AgentID        string // whose credential it uses; part of the key
	OrganizationID string
	Name           string // as it calls itself; empty: it does not
	Version        string
	PolicyRevision string
	FeedCursor     string    // the cursor it last acknowledged
	FeedCursorAt   time.Time // when it first did
	NextSequence   int64     // of its decision stream, from 0
	LastHash       string    // hex SHA-256 of the last ingested record
	LastDecisionAt time.Time
	SeenAt         time.Time
}

// MaxSidecars is how many sidecars of one agent are kept.
const MaxSidecars = 1000

// Sidecars keeps who is connected.
type Sidecars interface {
	// Get answers idp.ErrNotFound for a pair never seen.
	Get(ctx context.Context, agentID, id string) (Sidecar, error)
	// Put inserts or replaces the row. An agent has at most MaxSidecars rows: one
	// more takes the place of the one that was not seen for longest.
	Put(ctx context.Context, s Sidecar) error
	// List returns a page, most recently seen first, and the total.
	List(ctx context.Context, organizationID string, page Page) ([]Sidecar, int, error)
}
