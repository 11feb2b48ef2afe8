package batchsign

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
)

// Name of the backend.
const Name = "batch"

// sampled: of so many passes one has a signature verified by crypto/rsa.
const sampled = 16

// faults counts passes whose signatures did not stand a check. After the first
// nothing is signed here any more: what computes wrongly once may be anything.
var faults atomic.Int64

// Faults is how many passes failed their check since the program began. From the
// first on crypto/rsa signs whatever is asked for.
func Faults() int64 { return faults.Load() }

// Signer signs with one key. Callers that come while all cores are at work wait,
// and up to four of them go in one pass, first come first: whoever ends a pass
// leaves the next to one who waits. There is no goroutine to end and no timer. Who
// calls bounds how many wait. It is safe for concurrent use.
type Signer struct {
	key     *Key
	private *rsa.PrivateKey

	mu      sync.Mutex
	free    []*pass
	passes  int // at work
	limit   int
	waiting []*request
	begun   uint64 // passes ever
}

// request is a caller who waits.
type request struct {
	digest    digest
	signature signature
	err       error
	turn      chan bool // true: go on with a pass of your own; false: it is done
}

// Open prepares a key, and tries it in every lane. Signatures in flight are
// bounded to the cores.
func Open(private *rsa.PrivateKey) (crypto.Signer, error) {
	if !Available {
		return nil, errors.New("batchsign: this processor has no AVX-512 IFMA")
	}
	if faults.Load() > 0 {
		return nil, errFault
	}
	if err := knownAnswer(); err != nil {
		return nil, err
	}
	key, err := NewKey(private)
	if err != nil {
		return nil, err
	}
	s := &Signer{key: key, private: private, limit: runtime.GOMAXPROCS(0)}
	return s, s.try()
}

// try signs four messages, which crypto/rsa verifies: its verification stands
// Project Wycheproof's vectors (shared/token).
func (s *Signer) try() error {
	var digests [4]digest
	var out [4]signature
	for i := range digests {
		digests[i] = sha256.Sum256([]byte{'b', 'a', 't', 'c', 'h', byte(i)})
	}
	if err := s.key.sign(new(pass), &digests, &out); err != nil {
		return err
	}
	for i := range out {
		if err := rsa.VerifyPKCS1v15(&s.private.PublicKey, crypto.SHA256, digests[i][:], out[i][:]); err != nil {
			return fmt.Errorf("batchsign: lane %d: %w", i, err)
		}
	}
	return nil
}

// Public is the key's public half.
func (s *Signer) Public() crypto.PublicKey { return s.private.Public() }

// Sign makes an RSASSA-PKCS1-v1_5 signature of a SHA-256 digest.
func (s *Signer) Sign(random io.Reader, hash []byte, opts crypto.SignerOpts) ([]byte, error) {
	if len(hash) != sha256.Size || opts.HashFunc() != crypto.SHA256 {
		return nil, errors.New("batchsign: only digests of SHA-256")
	}
	if _, isPSS := opts.(*rsa.PSSOptions); isPSS {
		return nil, errors.New("batchsign: only PKCS #1 v1.5")
	}
	if faults.Load() == 0 {
		r := request{digest: digest(hash)}
		if s.serve(&r); r.err == nil {
			return r.signature[:], nil
		}
	}
	return s.private.Sign(random, hash, opts)
}

// serve returns when the request is done, in this goroutine's pass or another's.
func (s *Signer) serve(r *request) {
	s.mu.Lock()
	if s.passes == s.limit {
		r.turn = make(chan bool, 1)
		s.waiting = append(s.waiting, r)
		s.mu.Unlock()
		if lead := <-r.turn; !lead {
			return
		}
		s.mu.Lock()
	} else {
		s.passes++
	}
	s.mu.Unlock()
	s.lead(r)
}

// lead makes one pass, of r and of those that wait.
func (s *Signer) lead(r *request) {
	// Callers that could run would not come to ask while passes hold all cores.
	if s.few() {
		runtime.Gosched()
	}
	s.mu.Lock()
	batch := append([]*request{r}, s.waiting[:min(3, len(s.waiting))]...)
	s.waiting = s.waiting[len(batch)-1:]
	memory := s.memory()
	s.begun++
	sample := -1
	if s.begun%sampled == 0 {
		sample = int(s.begun/sampled) % len(batch)
	}
	s.mu.Unlock()
	err := errors.New("batchsign: the pass did not end") // a panic's
	defer func() { s.settle(batch, memory, err) }()
	err = s.pass(memory, batch, sample)
}

// few reports whether a pass would have lanes to spare.
func (s *Signer) few() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting) < 3
}

// memory takes one that is free. The lock is held.
func (s *Signer) memory() *pass {
	if last := len(s.free) - 1; last >= 0 {
		m := s.free[last]
		s.free = s.free[:last]
		return m
	}
	return new(pass)
}

// pass signs the batch. Lanes that nobody asked for sign the first digest again.
func (s *Signer) pass(memory *pass, batch []*request, sample int) error {
	var digests [4]digest
	var out [4]signature
	for i := range digests {
		digests[i] = batch[0].digest
		if i < len(batch) {
			digests[i] = batch[i].digest
		}
	}
	err := s.key.sign(memory, &digests, &out)
	if err == nil && sample >= 0 {
		err = rsa.VerifyPKCS1v15(&s.private.PublicKey, crypto.SHA256, digests[sample][:], out[sample][:])
	}
	if err != nil {
		return err
	}
	for i, r := range batch {
		r.signature = out[i]
	}
	return nil
}

// settle tells those of the batch, and leaves the next pass to one who waits.
func (s *Signer) settle(batch []*request, memory *pass, err error) {
	if err != nil {
		faults.Add(1)
	}
	for i, r := range batch {
		r.err = err
		if i > 0 {
			r.turn <- false
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = append(s.free, memory)
	if len(s.waiting) == 0 {
		s.passes--
		return
	}
	next := s.waiting[0]
	s.waiting = s.waiting[1:]
	next.turn <- true
}
