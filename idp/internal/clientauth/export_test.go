package clientauth

// Settle waits until everything that was remembered can be asked for.
func (a *Authenticator) Settle() { a.proofs.cache.Wait() }
