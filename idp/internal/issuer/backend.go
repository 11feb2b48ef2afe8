package issuer

import (
	"crypto"
	"crypto/rsa"
	"fmt"
	"runtime"
	"slices"

	"github.com/sentryagent/agentidp/idp/internal/issuer/batchsign"
	"github.com/sentryagent/agentidp/idp/internal/issuer/libcrypto"
)

// Signer is who computes signatures, as an operator names it.
type Signer string

// Auto is the backend that this build is meant for, Go is crypto/rsa, and Batch
// four signatures at a time where the processor has AVX-512 IFMA.
const (
	Auto  Signer = "auto"
	Go    Signer = "go"
	Batch Signer = "batch"
)

// Signers are all there are.
func Signers() []Signer { return []Signer{Auto, Go, Batch} }

// backend makes RSA signatures. The seam is crypto.Signer, so that a faster
// implementation needs nothing else to change.
type backend struct {
	name string
	// open prepares a key for so many cores.
	open func(key *rsa.PrivateKey, cores int) (crypto.Signer, error)
	// perCore is how many signatures may be under way for each core.
	perCore int
	// givenUp, when not nil, says why crypto/rsa signs in its place by now; told
	// is closed when it first does.
	givenUp func() error
	told    <-chan struct{}
}

var (
	goBackend        = backend{name: "crypto/rsa", open: func(key *rsa.PrivateKey, _ int) (crypto.Signer, error) { return key, nil }, perCore: 1}
	libcryptoBackend = backend{name: libcrypto.Name, open: func(key *rsa.PrivateKey, _ int) (crypto.Signer, error) { return libcrypto.Open(key) }, perCore: 1}
	// A pass on each core has four, and the next ones are there when it ends.
	batchBackend = backend{name: batchsign.Name, open: batchsign.Open, perCore: 16, told: batchsign.Faulted(), givenUp: func() error {
		if faults := batchsign.Faults(); faults > 0 {
			return fmt.Errorf("%s: %d passes failed their check", batchsign.Name, faults)
		}
		return nil
	}}
)

// backend is what a name stands for in this binary. One that the processor cannot
// run is found out by the first key.
func (s Signer) backend() backend {
	switch {
	case s == Batch:
		return batchBackend
	case s == Auto && libcrypto.Available:
		return libcryptoBackend
	default:
		return goBackend
	}
}

// Backend names what an Issuer begins with on this processor, as long as it passes
// the check at start.
func (s Signer) Backend() string {
	if s == Batch && !batchsign.Available {
		return goBackend.name
	}
	return s.backend().name
}

// Open prepares a key for the backend.
func (s Signer) Open(key *rsa.PrivateKey) (crypto.Signer, error) {
	return s.backend().open(key, runtime.GOMAXPROCS(0))
}

// AtOnce is how many signatures an Issuer lets be under way.
func (s Signer) AtOnce() int { return s.backend().perCore * runtime.GOMAXPROCS(0) }

// Valid reports whether there is such a signer.
func (s Signer) Valid() bool { return slices.Contains(Signers(), s) }

// broken says why the backend does not sign any more; nil while it does.
func (b backend) broken() error {
	if b.givenUp == nil {
		return nil
	}
	return b.givenUp()
}
