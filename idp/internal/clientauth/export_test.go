package clientauth

import "context"

// Settle waits until everything that was remembered can be asked for.
func (a *Authenticator) Settle() { a.proofs.cache.Wait() }

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
