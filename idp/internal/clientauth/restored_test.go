package clientauth_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

func (w keyedWorld) restore() {
	w.t.Helper()
	w.update(func(ctx context.Context, tx *store.Tx) error { return clientauth.Restored(ctx, tx, w.now()) })
}

// doubted wants an assertion that nobody can tell from a used one to be put off.
func (w keyedWorld) doubted(raw string, wait time.Duration) {
	w.t.Helper()
	_, err := w.present(raw)
	require.True(w.t, apierr.Is(err, apierr.Unavailable), "%v", err)
	require.Equal(w.t, clientauth.ReasonAssertionBeforeRestore, apierr.From(err).Reason)
	require.Equal(w.t, wait, apierr.From(err).RetryAfter)
}

// The jti of what was used since the backup is forgotten.
func TestAssertionsOfBeforeARestore(t *testing.T) {
	w := newKeyedWorld(t, nil)
	before := w.draft().sign()
	fast := w.draft() // of a client whose clock is as far ahead as may be
	fast.claims["iat"], fast.claims["exp"] = w.now().Unix()+60, w.now().Unix()+360
	nameless := w.draft()
	delete(nameless.claims, "iat")
	nameless.claims["exp"] = w.now().Unix() + 360
	for _, raw := range []string{before, fast.sign(), nameless.sign()} {
		w.accepts(raw)
	}

	w.forward(time.Second)
	w.restore()
	w.refuses(clientauth.ReasonAssertionBeforeRestore, before)
	w.doubted(fast.sign(), time.Minute)
	w.doubted(nameless.sign(), time.Second)
	w.doubted(w.draft().sign(), time.Minute)
	wrong := w.draft()
	wrong.claims["iat"], wrong.key = w.now().Unix()-10, rsaKey()
	wrong.method, wrong.header["kid"] = ps256(20), "rsa"
	w.refuses(clientauth.ReasonAssertionSignature, wrong.sign()) // nobody else is told

	w.forward(30 * time.Second)
	w.refuses(clientauth.ReasonAssertionBeforeRestore, before)
	w.doubted(fast.sign(), 30*time.Second)
	w.doubted(w.draft().sign(), 30*time.Second)
	w.forward(29999 * time.Millisecond)
	w.doubted(w.draft().sign(), time.Second)
	w.forward(time.Second)
	w.accepts(w.draft().sign())
	w.refuses(clientauth.ReasonAssertionBeforeRestore, before)
	w.doubted(fast.sign(), time.Second)

	// Another restore counts from its own moment.
	second := w.draft().sign()
	w.forward(time.Second)
	w.restore()
	w.refuses(clientauth.ReasonAssertionBeforeRestore, second)
	w.forward(time.Minute + time.Second)
	w.accepts(w.draft().sign())
}

// A client that has just come back tells whole seconds: of the one that the restore
// was in nobody can say whether it is before.
func TestAssertionsOfTheSecondOfARestore(t *testing.T) {
	w := newKeyedWorld(t, nil)
	w.forward(400 * time.Millisecond)
	w.restore()
	w.forward(200 * time.Millisecond)
	w.doubted(w.draft().sign(), 59800*time.Millisecond)
}

// Of an assertion without iat nobody can say that it was made before the restore:
// its client is told when one that it makes like this will do.
func TestAssertionsThatDoNotSayWhenTheyWereMade(t *testing.T) {
	w := newKeyedWorld(t, nil)
	silent := func() draft { // it ends in a minute: it may have been used for four
		d := w.draft()
		delete(d.claims, "iat")
		return d
	}
	backdated := silent()
	backdated.claims["nbf"] = w.now().Unix() - 10
	w.restore()
	w.doubted(silent().sign(), 5*time.Minute)
	w.doubted(backdated.sign(), 70*time.Second)
	w.forward(5*time.Minute - time.Second)
	w.doubted(silent().sign(), time.Second)
	w.forward(time.Second)
	w.accepts(silent().sign())
}
