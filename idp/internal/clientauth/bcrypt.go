package clientauth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"github.com/sentryagent/agentidp/idp"
)

// Hasher is one way to keep secrets at rest. It is safe for concurrent use.
type Hasher interface {
	// Scheme is the idp.SecretHash.Scheme of its hashes.
	Scheme() string
	// Hash makes a hash of a secret of 1 to MaxSecret bytes without NUL.
	Hash(ctx context.Context, secret string) (idp.SecretHash, error)
	// Verify reports whether hash is of secret. An error says that it cannot
	// tell, never that the secret is wrong.
	Verify(ctx context.Context, hash idp.SecretHash, secret string) (bool, error)
	// Candidate reports, cheaply, whether hash can be of secret: false is
	// certain, true is a guess.
	Candidate(hash idp.SecretHash, secret string) bool
	// Decoy is a hash that costs Verify what a true one costs and is of no secret.
	Decoy() idp.SecretHash
}

// MaxSecret is the longest secret, in bytes. bcrypt would cut or refuse past 72.
const MaxSecret = 64

// The bcrypt scheme.
const (
	SchemeBcrypt      = "bcrypt"
	MinBcryptCost     = bcrypt.DefaultCost
	DefaultBcryptCost = bcrypt.DefaultCost
)

// Bcrypt keeps secrets as bcrypt hashes. The encoded form is the modular crypt
// form behind two hexadecimal digits, the secret's mark.
//
// The mark is the first byte of the SHA-256 of the secret. While two secrets
// of a credential are good, after a rotation with overlap, it tells which of
// the two hashes to try, so that an attempt costs one hash whoever makes it: a
// second one would tell a stranger that the client exists and was just rotated.
// Of the 256 random bits of a secret it leaves 248 unknown.
type Bcrypt struct{ cost int }

// NewBcrypt makes the hasher; 0 means DefaultBcryptCost.
func NewBcrypt(cost int) (*Bcrypt, error) {
	if cost == 0 {
		cost = DefaultBcryptCost
	}
	if cost < MinBcryptCost || cost > bcrypt.MaxCost {
		return nil, fmt.Errorf("bcrypt cost must be %d to %d, is %d", MinBcryptCost, bcrypt.MaxCost, cost)
	}
	return &Bcrypt{cost: cost}, nil
}

const markLength = 2

func mark(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:markLength/2])
}

// Scheme implements Hasher.
func (*Bcrypt) Scheme() string { return SchemeBcrypt }

var errSecret = fmt.Errorf("a secret must have 1 to %d bytes and no NUL", MaxSecret)

func hashable(secret string) bool {
	return secret != "" && len(secret) <= MaxSecret && strings.IndexByte(secret, 0) < 0
}

// Hash implements Hasher. Once begun it does not stop for ctx.
func (b *Bcrypt) Hash(ctx context.Context, secret string) (idp.SecretHash, error) {
	if !hashable(secret) {
		return idp.SecretHash{}, errSecret
	}
	if err := ctx.Err(); err != nil {
		return idp.SecretHash{}, err
	}
	hashed, err := bcrypt.GenerateFromPassword([]byte(secret), b.cost)
	if err != nil {
		return idp.SecretHash{}, fmt.Errorf("bcrypt: %w", err)
	}
	return idp.SecretHash{Scheme: SchemeBcrypt, Encoded: mark(secret) + string(hashed)}, nil
}

// Verify implements Hasher. Once begun it does not stop for ctx.
func (b *Bcrypt) Verify(ctx context.Context, hash idp.SecretHash, secret string) (bool, error) {
	if !hashable(secret) {
		return false, nil
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if hash.Scheme != SchemeBcrypt || len(hash.Encoded) < markLength {
		return false, errors.New("bcrypt: not a bcrypt hash")
	}
	err := bcrypt.CompareHashAndPassword([]byte(hash.Encoded[markLength:]), []byte(secret))
	if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("bcrypt: %w", err)
	}
	return true, nil
}

// Candidate implements Hasher.
func (*Bcrypt) Candidate(hash idp.SecretHash, secret string) bool {
	return strings.HasPrefix(hash.Encoded, mark(secret))
}

// bcryptBase64 is the alphabet of the modular crypt form.
var bcryptBase64 = base64.NewEncoding("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789").WithPadding(base64.NoPadding)

// Decoy implements Hasher: random salt, random hash. It costs nothing to make.
func (b *Bcrypt) Decoy() idp.SecretHash {
	var random [16 + 23]byte // salt and hash, as bcrypt has them
	rand.Read(random[:])
	return idp.SecretHash{Scheme: SchemeBcrypt, Encoded: fmt.Sprintf("00$2a$%02d$%s%s", b.cost,
		bcryptBase64.EncodeToString(random[:16]), bcryptBase64.EncodeToString(random[16:]))}
}
