package clientauth

import "context"

// CheapBcrypt makes hashes of a cost that the product refuses, for tests of
// anything but the cost.
func CheapBcrypt(cost int) *Bcrypt {
	b := &Bcrypt{cost: cost}
	b.ceiling.Store(int32(cost))
	return b
}

// Settle waits until everything that was remembered can be asked for.
func (a *Authenticator) Settle() {
	a.proofs.cache.Wait()
	a.gates.cache.Wait()
}

// HoldChecks takes every place in the line for assertions until release.
func (a *Authenticator) HoldChecks() (release func()) {
	for range a.assertions.line.Width() {
		if err := a.assertions.line.Enter(context.Background()); err != nil {
			panic(err)
		}
	}
	return func() {
		for range a.assertions.line.Width() {
			a.assertions.line.Leave()
		}
	}
}
