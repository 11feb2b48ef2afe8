package verify

import "github.com/sentryagent/agentidp/shared/token"

// Settle waits for the fetches under way.
func (v *Verifier) Settle() { v.keys.fetches.Wait() }

// AfterAMiss calls f once, between the next lookup that misses a key and what is done about it.
func (v *Verifier) AfterAMiss(f func()) { v.rules.Keys = &missed{v.keys, f} }

type missed struct {
	token.Keys
	f func()
}

func (m *missed) Key(kid string) (*token.Key, error) {
	key, err := m.Keys.Key(kid)
	if f := m.f; err != nil && f != nil {
		m.f = nil
		f()
	}
	return key, err
}
