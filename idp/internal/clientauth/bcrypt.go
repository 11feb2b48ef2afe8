package clientauth

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"math/bits"
	"regexp"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/bcrypt"

	"github.com/sentryagent/agentidp/idp"
)

// The bcrypt scheme.
const (
	SchemeBcrypt      = "bcrypt"
	MinBcryptCost     = bcrypt.DefaultCost // of hashes that are made here
	DefaultBcryptCost = bcrypt.DefaultCost
)

// The costs of hashes that may be imported. The dearest hash sets the price of
// every refusal, which strangers can order: at 12 it is four times the default's.
const (
	MinImportCost = bcrypt.MinCost
	MaxImportCost = 12
)

// Bcrypt keeps secrets as bcrypt hashes. The encoded form is the modular crypt
// form behind the secret's mark; an imported hash, whose secret nobody here has
// seen, has no mark until it is first proven.
type Bcrypt struct {
	cost int
	// ceiling is the highest cost that a refusal is known to need: of new hashes,
	// or of a dearer row that was met since, up to MaxImportCost.
	ceiling atomic.Int32
}

// NewBcrypt makes the hasher; 0 means DefaultBcryptCost.
func NewBcrypt(cost int) (*Bcrypt, error) {
	if cost == 0 {
		cost = DefaultBcryptCost
	}
	if cost < MinBcryptCost || cost > bcrypt.MaxCost {
		return nil, fmt.Errorf("bcrypt cost must be %d to %d, is %d", MinBcryptCost, bcrypt.MaxCost, cost)
	}
	b := &Bcrypt{cost: cost}
	b.ceiling.Store(int32(cost))
	return b, nil
}

// Scheme implements Hasher.
func (*Bcrypt) Scheme() string { return SchemeBcrypt }

// Hash implements Hasher. Once begun it does not stop for ctx.
func (b *Bcrypt) Hash(ctx context.Context, _, secret string) (idp.SecretHash, error) {
	if !hashable(secret) {
		return idp.SecretHash{}, errSecret
	}
	if err := ctx.Err(); err != nil {
		return idp.SecretHash{}, err
	}
	var hashed []byte
	var err error
	gently(func() { hashed, err = bcrypt.GenerateFromPassword([]byte(secret), b.cost) })
	if err != nil {
		return idp.SecretHash{}, fmt.Errorf("bcrypt: %w", err)
	}
	return idp.SecretHash{Scheme: SchemeBcrypt, Encoded: mark(secret) + string(hashed)}, nil
}

var importedForm = regexp.MustCompile(`^\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}$`)

// ImportBcrypt takes a bcrypt hash that another system made of a client secret:
// $2a$, $2b$ or $2y$ with a cost of MinImportCost to MaxImportCost. Nothing of
// the hash is in the error.
func ImportBcrypt(crypt string) (idp.SecretHash, error) {
	if !importedForm.MatchString(crypt) {
		return idp.SecretHash{}, errors.New("must be a bcrypt hash: $2a$, $2b$ or $2y$, two digits of cost, $ and 53 characters")
	}
	cost, err := bcrypt.Cost([]byte(crypt))
	if err != nil || cost < MinImportCost {
		return idp.SecretHash{}, fmt.Errorf("must be a bcrypt hash with a cost of %d to %d", MinImportCost, MaxImportCost)
	}
	if cost > MaxImportCost {
		return idp.SecretHash{}, fmt.Errorf("must have a bcrypt cost of %d at most, has %d: every refused request would cost as much; give the client a new secret instead", MaxImportCost, cost)
	}
	return idp.SecretHash{Scheme: SchemeBcrypt, Encoded: crypt}, nil
}

// BcryptCost is the cost of a bcrypt hash, 0 of anything else.
func BcryptCost(hash idp.SecretHash) int {
	_, crypt := splitMark(hash)
	cost, err := bcrypt.Cost([]byte(crypt))
	if hash.Scheme != SchemeBcrypt || err != nil {
		return 0
	}
	return cost
}

// splitMark takes the encoded form apart; an imported hash has no mark.
func splitMark(hash idp.SecretHash) (mark, crypt string) {
	if strings.HasPrefix(hash.Encoded, "$") || len(hash.Encoded) < markLength {
		return "", hash.Encoded
	}
	return hash.Encoded[:markLength], hash.Encoded[markLength:]
}

// Verify implements Hasher. Once begun it does not stop for ctx.
func (b *Bcrypt) Verify(ctx context.Context, _ string, hash idp.SecretHash, secret string) (bool, error) {
	if !hashable(secret) {
		return false, nil
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if hash.Scheme != SchemeBcrypt {
		return false, errors.New("bcrypt: not a bcrypt hash")
	}
	_, crypt := splitMark(hash)
	var err error
	gently(func() { err = bcrypt.CompareHashAndPassword([]byte(crypt), []byte(secret)) })
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
	known, _ := splitMark(hash)
	return known == "" || known == mark(secret)
}

// Current implements Hasher: the cost is the one of new hashes, and there is a mark.
func (b *Bcrypt) Current(hash idp.SecretHash) bool {
	known, _ := splitMark(hash)
	return known != "" && BcryptCost(hash) == b.cost
}

// Decoys implements Hasher. A refusal costs what one hash of the ceiling costs:
// a cheaper row is made up for by hashes of the costs between, each of which
// doubles the work; a dearer one raises the ceiling for as long as the process
// lives. So what a stranger could time is one attempt at a row dearer than
// every row met since the start and than new ones. Who imports dearer hashes
// sets the cost of new ones as high, and there is none. Past MaxImportCost no row
// raises it: one that was made here when new hashes cost more is dearer than
// a refusal until its secret is used, and nobody else pays for it.
func (b *Bcrypt) Decoys(tried ...idp.SecretHash) []idp.SecretHash {
	spent, dearest := uint64(0), int32(0)
	for _, hash := range tried {
		if cost := BcryptCost(hash); cost > 0 {
			spent += 1 << cost
			dearest = max(dearest, int32(cost))
		}
	}
	ceiling, raised := b.ceiling.Load(), min(dearest, MaxImportCost)
	for raised > ceiling && !b.ceiling.CompareAndSwap(ceiling, raised) {
		ceiling = b.ceiling.Load()
	}
	whole := uint64(1) << max(ceiling, dearest)
	var decoys []idp.SecretHash
	for rest := whole - min(spent, whole); rest != 0; rest &= rest - 1 {
		decoys = append(decoys, decoyBcrypt(bits.TrailingZeros64(rest)))
	}
	return decoys
}

// bcryptBase64 is the alphabet of the modular crypt form.
var bcryptBase64 = base64.NewEncoding("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789").WithPadding(base64.NoPadding)

// decoyBcrypt is a random salt and a random hash. It costs nothing to make.
func decoyBcrypt(cost int) idp.SecretHash {
	var random [16 + 23]byte // salt and hash, as bcrypt has them
	rand.Read(random[:])
	return idp.SecretHash{Scheme: SchemeBcrypt, Encoded: fmt.Sprintf("00$2a$%02d$%s%s", cost,
		bcryptBase64.EncodeToString(random[:16]), bcryptBase64.EncodeToString(random[16:]))}
}
