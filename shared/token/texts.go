package token

import (
	"strings"
	"sync"
	"sync/atomic"
)

// mostTexts bounds the texts that are kept; past it the keeping begins anew.
const mostTexts = 4_096

// texts keep one copy of what many tokens say alike: issuer, audience, scope,
// key, and often agent and client. Of ten thousand remembered tokens it saves a
// third, and of a new one most of what would be allocated.
type texts struct {
	mu        sync.Mutex
	known     map[string]string   // guarded by mu
	audiences map[string][]string // of one member; guarded by mu
}

// kept gives the claims texts of their own, shared where another token had them.
func (t *texts) kept(c Claims) Claims {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil || len(t.known) >= mostTexts {
		t.known, t.audiences = map[string]string{}, map[string][]string{}
	}
	for _, text := range [...]*string{&c.Issuer, &c.Subject, &c.ClientID, &c.Organization, &c.KID, &c.Scope, &c.Status.URI} {
		*text = t.text(*text)
	}
	c.Audience = t.audience(c.Audience)
	c.JTI = strings.Clone(c.JTI)
	return c
}

// text is the shared copy. mu is held.
func (t *texts) text(text string) string {
	if text == "" {
		return ""
	}
	shared, known := t.known[text]
	if !known {
		shared = strings.Clone(text)
		t.known[shared] = shared
	}
	return shared
}

// audience is the shared copy. mu is held.
func (t *texts) audience(members []string) []string {
	if len(members) == 1 {
		if shared, known := t.audiences[members[0]]; known {
			return shared
		}
	}
	own := make([]string, len(members))
	for i, member := range members {
		own[i] = t.text(member)
	}
	if len(own) == 1 {
		t.audiences[own[0]] = own
	}
	return own
}

// headers know the header of the last good token: all that a key signs have the
// same, so that it is judged once.
type headers struct{ last atomic.Pointer[knownHeader] }

type knownHeader struct{ segment, kid string }

// judge is parseHeader of an access token.
func (h *headers) judge(segment string) (kid string, err error) {
	if last := h.last.Load(); last != nil && last.segment == segment {
		return last.kid, nil
	}
	return parseHeader(segment, Type)
}

// remember is told of headers that judge let pass, when the signature was good.
func (h *headers) remember(segment, kid string) {
	if last := h.last.Load(); last == nil || last.segment != segment {
		h.last.Store(&knownHeader{segment: strings.Clone(segment), kid: strings.Clone(kid)})
	}
}
