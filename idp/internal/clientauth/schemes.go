package clientauth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/sentryagent/agentidp/idp"
)

// Hasher is one way to keep secrets at rest. It is safe for concurrent use.
type Hasher interface {
	// Scheme is the idp.SecretHash.Scheme of its hashes.
	Scheme() string
	// Hash makes a hash of a secret of 1 to MaxSecret bytes without NUL, for that credential.
	Hash(ctx context.Context, credentialID, secret string) (idp.SecretHash, error)
	// Verify reports whether hash was made of secret for that credential. An
	// error says that it cannot tell, never that the secret is wrong; ErrLost,
	// that what the hash refers to is not there.
	Verify(ctx context.Context, credentialID string, hash idp.SecretHash, secret string) (bool, error)
	// Candidate reports, cheaply, whether hash can be of secret: false is
	// certain, true is a guess.
	Candidate(hash idp.SecretHash, secret string) bool
	// Current reports whether hash is as Hash would make it now. One that is not
	// is made anew when its secret is proven.
	Current(hash idp.SecretHash) bool
	// Decoys are hashes of no secret: what a refusal has still to verify, after
	// the hashes of this scheme in tried, to cost what every other refusal costs.
	Decoys(tried ...idp.SecretHash) []idp.SecretHash
}

// ErrLost says that a hash refers to something that is kept elsewhere, and is not
// there: destroyed with the credential, or lost.
var ErrLost = errors.New("what a stored secret refers to is not there")

// light is a Hasher that keeps no core busy: it need not stand in line.
type light interface{ light() }

// MaxSecret is the longest secret, in bytes. bcrypt would cut or refuse past 72.
const MaxSecret = 64

var errSecret = fmt.Errorf("a secret must have 1 to %d bytes and no NUL", MaxSecret)

func hashable(secret string) bool {
	return secret != "" && len(secret) <= MaxSecret && strings.IndexByte(secret, 0) < 0
}

// markLength is the length of a mark in hexadecimal digits.
const markLength = 2

// mark is the first byte of the SHA-256 of the secret.
//
// While two secrets of a credential are good, after a rotation with overlap, it
// tells which of the two hashes to try, so that an attempt costs one hash
// whoever makes it: a second one would tell a stranger that the client exists
// and was just rotated. Of the 256 random bits of a secret it leaves 248 unknown.
func mark(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:markLength/2])
}

// schemes are the ways to keep secrets that an installation knows. New hashes
// are made by one of them, a row is verified by the one that its tag names.
//
// A refusal costs one hash of every scheme, whatever the row's own is and
// whether there is a row: else the time of an answer would tell which clients
// exist once rows of a slower scheme are left over. A secret that is right pays
// for its own row alone.
type schemes struct {
	current Hasher
	all     []Hasher // those that stand in line first
	named   map[string]Hasher
}

func newSchemes(current Hasher, others []Hasher) (*schemes, error) {
	s := &schemes{current: current, named: map[string]Hasher{}}
	var lights []Hasher
	for _, h := range append([]Hasher{current}, others...) {
		if s.named[h.Scheme()] != nil {
			return nil, fmt.Errorf("clientauth: two hashers of the scheme %q", h.Scheme())
		}
		s.named[h.Scheme()] = h
		if _, isLight := h.(light); isLight {
			lights = append(lights, h)
		} else {
			s.all = append(s.all, h)
		}
	}
	s.all = append(s.all, lights...)
	return s, nil
}

func (s *schemes) candidate(hash idp.SecretHash, secret string) bool {
	h, known := s.named[hash.Scheme]
	return !known || h.Candidate(hash, secret)
}

// stale reports whether the hash is not as a new one would be.
func (s *schemes) stale(hash idp.SecretHash) bool {
	return hash.Scheme != s.current.Scheme() || !s.current.Current(hash)
}

// light reports whether verifying the hash needs no place in line.
func (s *schemes) light(hash idp.SecretHash) bool {
	_, yes := s.named[hash.Scheme].(light)
	return yes
}

func (s *schemes) verify(ctx context.Context, credentialID string, hash idp.SecretHash, secret string) (bool, error) {
	h, known := s.named[hash.Scheme]
	if !known {
		return false, fmt.Errorf("the scheme %q of a stored secret is not configured", hash.Scheme)
	}
	return h.Verify(ctx, credentialID, hash, secret)
}

// decoys are what a refusal has still to verify after tried.
func (s *schemes) decoys(tried []idp.SecretHash) (rest []idp.SecretHash) {
	for _, h := range s.all {
		var own []idp.SecretHash
		for _, hash := range tried {
			if hash.Scheme == h.Scheme() {
				own = append(own, hash)
			}
		}
		rest = append(rest, h.Decoys(own...)...)
	}
	return rest
}
