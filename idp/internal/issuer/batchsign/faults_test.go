package batchsign

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// faulty signs as Key.sign does, with a fault after one of the steps.
func faulty(k *Key, s *pass, digests *[4]digest, out *[4]signature, step string, fault func()) error {
	defer s.wipe()
	at := func(name string) {
		if name == step {
			fault()
		}
	}
	k.refresh(s)
	at("refreshed")
	k.c.encode(s, digests)
	at("encoded")
	k.c.multiply(&s.power, &s.message, &s.blind)
	at("blinded")
	k.c.tabulate(s, &s.power)
	at("tabulated")
	pick(&s.power, &s.table, &k.d[0])
	at("begun")
	k.c.climb(s, &s.power, k.d[1:100])
	at("half raised")
	k.c.climb(s, &s.power, k.d[100:])
	at("raised")
	k.c.multiply(&s.power, &s.power, &s.unblind)
	at("unblinded")
	k.c.multiply(&s.power, &s.power, &k.c.unit)
	at("halves")
	k.combine(s, out)
	at("combined")
	return k.release(s, digests, out)
}

// faults of one digit: its lowest bit that matters, one in the middle, one high up,
// and what a stuck line or a skipped store leaves.
func faultsOf(digit *uint64) map[string]func() {
	return map[string]func(){
		"the lowest bit": func() { *digit ^= 1 },
		"a bit":          func() { *digit ^= 1 << 23 },
		"a high bit":     func() { *digit ^= 1 << 51 },
		"zero":           func() { *digit = 0 },
		"all ones":       func() { *digit = digitMask },
	}
}

// bench is a key, memory and what is right.
type faultBench struct {
	private *rsa.PrivateKey
	key     *Key
	memory  pass
	digests [4]digest
	right   [4]signature
}

func newFaultBench(t *testing.T) *faultBench {
	b := &faultBench{private: known(t), digests: randomDigests(t)}
	var err error
	b.key, err = NewKey(b.private)
	require.NoError(t, err)
	require.NoError(t, b.key.sign(&b.memory, &b.digests, &b.right))
	return b
}

// requireNothingWrong: what comes out is right or nothing; it reports which.
func (b *faultBench) requireNothingWrong(t *testing.T, err error, out *[4]signature) (found bool) {
	if err == nil {
		require.Equal(t, b.right, *out, "a wrong signature was let out")
		return false
	}
	require.ErrorIs(t, err, errFault)
	require.Zero(t, *out)
	return true
}

// A fault in any digit of any lane, after any of the steps, lets no wrong signature
// out; and where the number matters to the result, it is found.
func TestEveryFaultInAPassIsFound(t *testing.T) {
	b := newFaultBench(t)
	s := &b.memory
	places := map[string]*lanes{"encoded": &s.message, "blinded": &s.power, "tabulated": nil, "begun": &s.power, "half raised": &s.power, "raised": &s.power, "unblinded": &s.power, "halves": &s.power, "refreshed": &s.unblind}
	faults := []string{"a bit"}
	if amount(0, 1) == 1 {
		faults = []string{"the lowest bit", "a bit", "a high bit", "zero", "all ones"}
	}
	found, harmless := 0, 0
	for lane := range 8 {
		for j := range digits {
			for step, place := range places {
				if place == nil { // an entry that a window of this lane's asks for
					place = &s.table[b.key.d[50][lane]]
				}
				for _, kind := range faults {
					var out [4]signature
					blind, unblind := s.blind, s.unblind
					before := place[j][lane]
					changed := false
					err := faulty(b.key, s, &b.digests, &out, step, func() {
						before = place[j][lane]
						faultsOf(&place[j][lane])[kind]()
						changed = before != place[j][lane]
					})
					s.blind, s.unblind = blind, unblind
					if b.requireNothingWrong(t, err, &out) {
						found++
						continue
					}
					require.False(t, changed, "%s, lane %d, digit %d: %s", step, lane, j, kind)
					harmless++
				}
			}
		}
	}
	t.Logf("%d faults found, %d that changed nothing", found, harmless)
	require.Greater(t, found, 8*digits*len(places)*len(faults)*3/4)
}

// A fault of any bit of a signature that is made is found before it leaves; so is a
// signature plus n, which is the same modulo n.
func TestEveryBitOfASignatureIsChecked(t *testing.T) {
	b := newFaultBench(t)
	for lane := range 4 {
		for bit := range 8 * keyBytes {
			out := b.right
			out[lane][bit/8] ^= 1 << (bit % 8)
			require.NotZero(t, b.key.different(&b.memory, &b.digests, &out), "lane %d, bit %d", lane, bit)
		}
	}
	// A signature below 2^2048 - n, to which n can be added.
	room := new(big.Int).Sub(twoTo(2048), b.private.N)
	tried := 0
	for tried < 1 {
		digests := randomDigests(t)
		var out [4]signature
		require.NoError(t, b.key.sign(&b.memory, &digests, &out))
		if n := new(big.Int).SetBytes(out[0][:]); n.Cmp(room) < 0 {
			n.Add(n, b.private.N).FillBytes(out[0][:])
			require.NotZero(t, b.key.different(&b.memory, &digests, &out))
			tried++
		}
	}
}

// A fault in any constant of a key lets no wrong signature out. Where a constant
// does not bear on any result the count says so.
func TestEveryFaultInAKeyIsFound(t *testing.T) {
	b := newFaultBench(t)
	numbers := map[string]*lanes{}
	for name, c := range map[string]*constants{"c.": b.key.c, "check.": b.key.check} {
		for field, to := range map[string]*lanes{"m": &c.m, "r2": &c.r2, "r3": &c.r3, "one": &c.one, "unit": &c.unit, "qInv": &c.qInv} {
			numbers[name+field] = to
		}
	}
	digit := map[string][]*uint64{}
	for name, n := range numbers {
		for j := range digits {
			for lane := range 8 {
				digit[name] = append(digit[name], &n[j][lane])
			}
		}
	}
	for lane := range 8 {
		digit["c.inverse"] = append(digit["c.inverse"], &b.key.c.inverse[lane])
		digit["check.inverse"] = append(digit["check.inverse"], &b.key.check.inverse[lane])
		for i := 0; i < windowCount; i += amount(17, 1) {
			digit["d"] = append(digit["d"], &b.key.d[i][lane])
			digit["f"] = append(digit["f"], &b.key.f[i][lane])
		}
	}
	for j := range digits {
		digit["p"] = append(digit["p"], &b.key.p[j])
		digit["q"] = append(digit["q"], &b.key.q[j])
		digit["n"] = append(digit["n"], &b.key.n[j], &b.key.n[j+digits])
	}
	// What signing computes with must be right, so each change of it is found. Of
	// qInv the lanes of q are not used, nor check.one and check.qInv; check.unit is a
	// factor of both sides; n only bounds.
	spare := map[string]bool{"c.qInv": true, "check.one": true, "check.qInv": true, "check.unit": true, "n": true}
	for name, all := range digit {
		found, harmless := 0, 0
		for _, d := range all {
			for _, kind := range []string{"the lowest bit", "zero", "a bit"}[:amount(1, 3)] {
				was := *d
				faultsOf(d)[kind]()
				changed := *d != was
				if !strings.HasPrefix(name, "check.") {
					b.memory.blinded = 0 // so that the power that inverts is taken too
				}
				var out [4]signature
				err := b.key.sign(&b.memory, &b.digests, &out)
				*d = was
				switch {
				case b.requireNothingWrong(t, err, &out):
					found++
				case changed:
					harmless++
					require.True(t, spare[name], "%s: %s of digit %x", name, kind, was)
				}
			}
		}
		t.Logf("%-14s %4d found, %4d harmless", name, found, harmless)
	}
	var out [4]signature
	for lane := range 8 { // what makes both sides zero makes nothing the same
		b.key.check.unit[0][lane] = 0
		require.ErrorIs(t, b.key.sign(&b.memory, &b.digests, &out), errFault)
		b.key.check.unit[0][lane] = 1
	}
	b.memory.blinded = 0
	require.NoError(t, b.key.sign(&b.memory, &b.digests, &out), "all is as it was")
	require.Equal(t, b.right, out)
}

// After one fault crypto/rsa signs, for all keys of the process, and whoever waited
// for a pass is not given one.
func TestAFaultTurnsItOff(t *testing.T) {
	opened, err := Open(known(t), runtime.GOMAXPROCS(0))
	require.NoError(t, err)
	s := opened.(*Signer)
	t.Cleanup(func() { faults.Store(0) })
	s.key.d[100][5] ^= 1
	digests := randomDigests(t)
	for range 3 {
		signed, err := s.Sign(rand.Reader, digests[0][:], crypto.SHA256)
		require.NoError(t, err)
		require.NoError(t, rsa.VerifyPKCS1v15(&s.private.PublicKey, crypto.SHA256, digests[0][:], signed))
	}
	require.EqualValues(t, 1, Faults())
	require.EqualValues(t, 1, s.begun)
	require.Empty(t, s.free, "its memory is not used again")
	_, err = Open(known(t), runtime.GOMAXPROCS(0))
	require.ErrorIs(t, err, errFault)
}
