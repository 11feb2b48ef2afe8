package authn

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/token"
)

// The turn of a refused token rests, and nobody waits for that but the next token
// that has to be verified.
func TestATurnRestsAfterARefusal(t *testing.T) {
	_, err := generate() // outside of the bubble: it is everybody's
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.Verifying, o.Entries = 1, -1 })
		took := func(raw string, refused bool) time.Duration {
			t.Helper()
			began := time.Now()
			_, err := w.a.Verify(t.Context(), raw)
			require.Equal(t, refused, err != nil, err)
			return time.Since(began)
		}
		good := w.sign("k1", nil)
		forged := good[:strings.LastIndexByte(good, '.')+1] + strings.Repeat("A", 342)
		require.Zero(t, took(good, false))
		require.Zero(t, took(good, false), "a good one leaves at once")
		for name, bad := range map[string]string{"forged": forged, "of an unknown key": w.sign("k3", nil)} {
			require.Zero(t, took(bad, true), name)
			require.Equal(t, restLeast, took(good, false), "after one that is %s", name)
			require.Zero(t, took(good, false))
		}
	})
}

// frozen is a key set under which the whole program stands still.
type frozen struct{ *keys }

func (f frozen) Key(kid string) (*token.Key, error) {
	time.Sleep(30 * time.Second)
	return f.keys.Key(kid)
}

// A program that was stopped meanwhile does not rest for so much longer.
func TestARestIsBounded(t *testing.T) {
	_, err := generate()
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.Verifying, o.Entries = 1, -1 })
		w.a.verifier.Keys = frozen{w.keys}
		_, err := w.a.Verify(t.Context(), w.sign("k3", nil))
		require.Error(t, err)
		w.a.verifier.Keys = w.keys
		began := time.Now()
		_, err = w.a.Verify(t.Context(), w.sign("k1", nil))
		require.NoError(t, err)
		require.Equal(t, restMost, time.Since(began))
	})
}

type panicking struct{ *keys }

func (panicking) Key(string) (*token.Key, error) { panic("a broken key set") }

// A panic is one request's: it keeps no turn.
func TestAPanicLeavesItsTurn(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		o.Verifying, o.Keys = 1, panicking{&keys{}}
	})
	raw := w.sign("k1", nil)
	for range 3 {
		require.PanicsWithValue(t, "a broken key set", func() { _, _ = w.a.Verify(t.Context(), raw) })
	}
}
