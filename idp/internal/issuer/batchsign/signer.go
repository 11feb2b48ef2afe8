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
var (
	faults  atomic.Int64
	faulted = make(chan struct{})
	tell    = sync.OnceFunc(func() { close(faulted) })
)

// fault gives this package up for the life of the program.
func fault() {
	faults.Add(1)
	tell()
}

// Faults is how many passes failed their check since the program began. From the
// first on crypto/rsa signs whatever is asked for.
func Faults() int64 { return faults.Load() }

// Faulted is closed when Faults is no longer 0.
func Faulted() <-chan struct{} { return faulted }

var errPanic = errors.New("batchsign: the pass did not end")

// Signer signs with one key. Callers that come while all cores are at work wait,
// and up to four of them go in one pass, first come first: whoever ends a pass
// leaves the next to one who waits. There is no goroutine to end and no timer. Who
// calls bounds how many wait. It is safe for concurrent use.
type Signer struct {
	key     *Key
	private *rsa.PrivateKey
	instead chan struct{} // one element for each signature by crypto/rsa

	mu      sync.Mutex // guards the rest
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

// Open prepares a key, and tries it in every lane. Passes in flight are bounded to
// the cores. What was prepared is wiped when the signer is garbage.
func Open(private *rsa.PrivateKey, cores int) (crypto.Signer, error) {
	if !Available {
		return nil, errors.New("batchsign: this processor has no AVX-512 IFMA")
	}
	if faults.Load() > 0 {
		return nil, errFault
	}
	if err := knownAnswer(); err != nil {
		fault()
		return nil, err
	}
	key, err := NewKey(private)
	if err != nil {
		return nil, err
	}
	s := &Signer{key: key, private: private, instead: make(chan struct{}, cores), limit: cores}
	runtime.AddCleanup(s, (*Key).wipe, key)
	if err := s.try(); err != nil {
		fault()
		return nil, err
	}
	return s, nil
}

// try signs four messages, which crypto/rsa verifies: its verification stands
// Project Wycheproof's vectors.
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
		if err := s.verify(&digests[i], &out[i]); err != nil {
			return fmt.Errorf("batchsign: lane %d: %w", i, err)
		}
	}
	return nil
}

// verify asks crypto/rsa, of which nothing here is a part.
func (s *Signer) verify(hash *digest, signed *signature) error {
	return rsa.VerifyPKCS1v15(&s.private.PublicKey, crypto.SHA256, hash[:], signed[:])
}

// Public is the key's public half.
func (s *Signer) Public() crypto.PublicKey { return s.private.Public() }

// Sign makes an RSASSA-PKCS1-v1_5 signature of a SHA-256 digest. opts is
// crypto.SHA256 itself: whatever else there is may stand for another scheme. The
// randomness of the caller is not used.
func (s *Signer) Sign(_ io.Reader, hash []byte, opts crypto.SignerOpts) ([]byte, error) {
	if len(hash) != sha256.Size || opts != crypto.SignerOpts(crypto.SHA256) {
		return nil, errors.New("batchsign: only digests of SHA-256, for PKCS #1 v1.5")
	}
	r := &request{digest: digest(hash), err: errFault}
	if faults.Load() == 0 {
		s.serve(r)
	}
	if r.err == nil {
		return r.signature[:], nil
	}
	s.instead <- struct{}{}
	defer func() { <-s.instead }()
	return s.private.Sign(nil, r.digest[:], crypto.SHA256)
}

// serve returns when the request is done, in this goroutine's pass or another's.
func (s *Signer) serve(r *request) {
	s.mu.Lock()
	if wait := s.passes == s.limit; wait {
		r.turn = make(chan bool, 1)
		s.waiting = append(s.waiting, r)
		s.mu.Unlock()
		if lead := <-r.turn; !lead {
			return
		}
	} else {
		s.passes++
		s.mu.Unlock()
	}
	s.lead(r)
}

// lead makes one pass, of r and of those that wait.
func (s *Signer) lead(r *request) {
	// Callers that could run would not come to ask while passes hold all cores.
	if s.few() {
		runtime.Gosched()
	}
	batch, memory, sample := s.begin(r)
	err := errPanic
	defer func() {
		if errors.Is(err, errPanic) {
			fault()
		}
		s.settle(batch, memory, err)
	}()
	err = s.pass(memory, batch, sample)
}

// few reports whether a pass would have lanes to spare.
func (s *Signer) few() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting) < 3
}

// begin takes those that wait longest, and memory; sample is whose signature
// crypto/rsa is to verify, or -1.
func (s *Signer) begin(r *request) (batch []*request, memory *pass, sample int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := min(3, len(s.waiting))
	batch = append([]*request{r}, s.waiting[:taken]...)
	clear(s.waiting[:taken]) // the slice's array lives on
	s.waiting = s.waiting[taken:]
	if last := len(s.free) - 1; last >= 0 {
		memory, s.free = s.free[last], s.free[:last]
	} else {
		memory = new(pass)
	}
	s.begun++
	if s.begun%sampled == 0 {
		return batch, memory, int(s.begun/sampled) % len(batch)
	}
	return batch, memory, -1
}

// pass signs the batch, unless there was a fault in any pass of the process. Lanes
// that nobody asked for sign the first digest again.
func (s *Signer) pass(memory *pass, batch []*request, sample int) error {
	if faults.Load() > 0 {
		return errFault
	}
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
		err = s.verify(&batch[sample].digest, &out[sample])
	}
	if err != nil {
		fault()
		return err
	}
	return deliver(batch, &out)
}

// deliver gives each request its signature, unless another pass found a fault while
// this one was at work: what stood its check on such a processor is not trusted.
func deliver(batch []*request, out *[4]signature) error {
	if faults.Load() > 0 {
		return errFault
	}
	for i, r := range batch {
		r.signature = out[i]
	}
	return nil
}

// settle tells those of the batch, and leaves the next pass to one who waits.
func (s *Signer) settle(batch []*request, memory *pass, err error) {
	for i, r := range batch {
		r.err = err
		if i > 0 {
			r.turn <- false
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.free = append(s.free, memory)
	}
	if len(s.waiting) == 0 {
		s.passes--
		return
	}
	next := s.waiting[0]
	s.waiting[0] = nil
	s.waiting = s.waiting[1:]
	next.turn <- true
}
