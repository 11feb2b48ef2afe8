package clientauth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/dgraph-io/ristretto/v2"

	"github.com/sentryagent/agentidp/idp"
)

// slot is one of the two places of a credential's secret.
type slot byte

const (
	slotCurrent  slot = 'c'
	slotPrevious slot = 'p'
)

// proof is a digest of a secret that was proven for one credential in one version.
type proof [sha256.Size]byte

// proofs remembers proven secrets, so that a client pays for a hash once. It
// keeps no secret, only digests under a key that lives and dies with the
// process; and it forgets by itself, because a digest binds to the credential's
// version, which every rotation and revocation raises. The store may drop an
// entry at any time: that costs a hash, nothing else.
type proofs struct {
	key   [32]byte
	cache *ristretto.Cache[string, proof]
}

func newProofs(size int) (*proofs, error) {
	p := &proofs{}
	rand.Read(p.key[:])
	var err error
	p.cache, err = ristretto.NewCache(&ristretto.Config[string, proof]{
		NumCounters: int64(size) * 10, MaxCost: int64(size), BufferItems: 64, IgnoreInternalCost: true,
	})
	return p, err
}

func (p *proofs) of(c *idp.Credential, secret string) (out proof) {
	mac := hmac.New(sha256.New, p.key[:])
	mac.Write([]byte(c.ID))
	var version [9]byte // a NUL, which ends the id, and the number
	binary.BigEndian.PutUint64(version[1:], uint64(c.Version))
	mac.Write(version[:])
	mac.Write([]byte(secret))
	mac.Sum(out[:0])
	return out
}

func place(clientID string, s slot) string {
	sum := sha256.Sum256([]byte(clientID))
	return string(append(sum[:], byte(s)))
}

// holds reports whether secret was proven for this version of the credential
// and is still good at now, and as which of the two: what was proven of the
// previous secret ends with the overlap.
func (p *proofs) holds(c *idp.Credential, secret string, now time.Time) (slot, bool) {
	want := p.of(c, secret)
	if p.has(c, slotCurrent, want) {
		return slotCurrent, true
	}
	return slotPrevious, !c.OverlapSecret(now).Zero() && p.has(c, slotPrevious, want)
}

func (p *proofs) has(c *idp.Credential, s slot, want proof) bool {
	got, found := p.cache.Get(place(c.ClientID, s))
	return found && hmac.Equal(got[:], want[:])
}

func (p *proofs) remember(c *idp.Credential, s slot, secret string) {
	p.cache.Set(place(c.ClientID, s), p.of(c, secret), 1)
}
