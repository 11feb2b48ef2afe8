package statuslist

import (
	"crypto/rand"
	"encoding/binary"
	"time"

	"github.com/google/uuid"
)

// NewTokenID makes the jti of a token issued now: a UUID of version 7 (RFC 9562
// section 5.7), so that the log need not be searched whole for it. It says no
// more of the time than the token's iat, but for the milliseconds.
func NewTokenID(now time.Time) string {
	var id uuid.UUID
	_, _ = rand.Read(id[:]) // never fails
	var at [8]byte
	binary.BigEndian.PutUint64(at[:], uint64(now.UnixMilli()))
	copy(id[:6], at[2:])
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}

// issuedAt is when NewTokenID made the jti; false for one that it did not make.
func issuedAt(jti string) (time.Time, bool) {
	id, err := uuid.Parse(jti)
	if err != nil || id.Version() != 7 || id.String() != jti {
		return time.Time{}, false
	}
	var at [8]byte
	copy(at[2:], id[:6])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(at[:]))), true
}
