// Package feed is the wire form of the revocation feed: what the IdP sends and
// every sidecar keeps.
package feed

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Media type and JWS typ of a snapshot.
const (
	SnapshotType      = "agentidp-revocations+jwt"
	SnapshotMediaType = "application/" + SnapshotType
)

// MaxWait is the longest long poll, in seconds.
const MaxWait = 30

// Entry cuts something off. Types agent, credential (by client_id) and
// organization carry Epoch: a token whose rev member is lower is dead. jti
// carries Exp, after which the entry may be forgotten. kid carries neither.
type Entry struct {
	Seq    int64  `json:"seq"`
	Type   string `json:"type"`
	ID     string `json:"id"`
	Epoch  int64  `json:"epoch,omitempty"`
	Exp    int64  `json:"exp,omitempty"` // Unix seconds
	Reason string `json:"reason"`
	At     string `json:"at"` // RFC 3339, UTC, three decimals
}

// The types of entries.
const (
	TypeAgent        = "agent"
	TypeCredential   = "credential"
	TypeOrganization = "organization"
	TypeJTI          = "jti"
	TypeKID          = "kid"
)

// Page is the JSON answer to a poll that names a known cursor. Entries are in
// order of Seq; an empty list means that nothing happened within the wait.
type Page struct {
	Epoch   string  `json:"epoch"`
	Cursor  string  `json:"cursor"`
	Entries []Entry `json:"entries"`
}

// Snapshot is the payload of the signed answer to a poll without a cursor, or
// with one that is unknown or past pruning: every live entry, replacing all before.
type Snapshot struct {
	Issuer   string  `json:"iss"`
	IssuedAt int64   `json:"iat"`
	Epoch    string  `json:"epoch"`
	Cursor   string  `json:"cursor"`
	Entries  []Entry `json:"entries"`
}

// ErrCursor is wrapped by errors of ParseCursor.
var ErrCursor = errors.New("cursor must be <epoch>.<sequence> as the feed gave it")

// Cursor is a place in one feed. Epoch names the feed, one for each store: a
// cursor of another store gets a snapshot. A restored backup keeps its epoch.
type Cursor struct {
	Epoch string
	Seq   int64
}

// String is the wire form.
func (c Cursor) String() string { return c.Epoch + "." + strconv.FormatInt(c.Seq, 10) }

// ParseCursor reads the wire form.
func ParseCursor(s string) (Cursor, error) {
	epoch, seq, found := strings.Cut(s, ".")
	n, err := strconv.ParseInt(seq, 10, 64)
	if !found || epoch == "" || len(s) > 128 || err != nil || n < 0 || strconv.FormatInt(n, 10) != seq {
		return Cursor{}, fmt.Errorf("%w: %.140q", ErrCursor, s)
	}
	return Cursor{Epoch: epoch, Seq: n}, nil
}
