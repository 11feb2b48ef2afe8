// Package idp is the identity provider's domain: what an organization, an
// agent, a credential and an audit event are, and the rules that hold wherever
// they are kept. Standard library and the capability grammar only.
package idp

import (
	"errors"
	"time"
)

// OperatorOrganization is the organization of a fresh install. Only its agents
// can hold operator capabilities or name another organization.
const OperatorOrganization = "default"

// Sentinels of the domain. Stores and use cases wrap them.
var (
	ErrNotFound = errors.New("not found")
	ErrConflict = errors.New("conflict") // a uniqueness or revision conflict: someone else won
)

// Time is now in the precision everything is kept in: UTC milliseconds.
func Time(now time.Time) time.Time { return now.UTC().Truncate(time.Millisecond) }

// TimeLayout is RFC 3339 with three decimals; all times on the wire use it.
const TimeLayout = "2006-01-02T15:04:05.000Z"

// Origin says where a request came from, as the audit log records it.
type Origin struct {
	IPAddress string // client address after trusted proxies
	UserAgent string // valid UTF-8, at most 512 bytes
	RequestID string
}

// Rule is one broken rule of an input: which member, and what it must be.
type Rule struct {
	Field string
	Text  string
}

// Clock tells the time; tests pass their own.
type Clock func() time.Time
