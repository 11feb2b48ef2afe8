package syncer

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/token"
	"github.com/sentryagent/agentidp/sidecar/internal/authn"
)

// A15: forged tokens of a thousand keys that nobody has cost one fetch of the
// key set, and good tokens pass meanwhile.
func TestA15_AFloodOfForgedTokensCostsOneFetch(t *testing.T) {
	p, c := newPeer(t), newClock()
	keys := knownKeys(t, p, func(o *Options) { o.Now = c.now })
	c.add(DefaultKeysCooldown)
	const audience = "https://notes.example.com"
	a, err := authn.New(authn.Options{Issuer: p.URL, Audience: audience, Keys: keys, Wait: time.Minute})
	require.NoError(t, err)
	defer a.Close()
	good := accessToken(t, p, audience, "jti-1")
	_, rest, _ := strings.Cut(good, ".")
	verify := func(raw string) error {
		_, err := a.Verify(context.Background(), raw)
		return err
	}
	var flood sync.WaitGroup
	for worker := range 50 {
		flood.Go(func() {
			for i := range 20 {
				header := fmt.Sprintf(`{"alg":"RS256","typ":"at+jwt","kid":"random-%d-%d"}`, worker, i)
				var refused *token.Error
				if err := verify(base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + rest); !errors.As(err, &refused) || refused.Reason != token.UnknownKey {
					t.Error("a forged token:", err)
				}
				if err := verify(good); err != nil {
					t.Error("a good one:", err)
				}
			}
		})
	}
	flood.Wait()
	require.Equal(t, 2, p.count("/jwks"), "the first, and one for all of them")
}
