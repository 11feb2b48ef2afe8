package faults

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/token"
)

// maxAge is how long relying parties keep the key set.
const maxAge = 3 * time.Second

// verifierOf is a relying party that keeps the key set for its max-age and asks
// no sooner, whatever kid it meets.
type verifierOf struct {
	url    string
	maxAge time.Duration

	mu   sync.Mutex
	set  *token.KeySet
	read time.Time
}

func (v *verifierOf) verify(raw, issuer string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if asked := time.Now(); v.set == nil || asked.Sub(v.read) >= v.maxAge {
		answer, err := http.Get(v.url)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			return err
		}
		set, _, err := token.ParseJWKS(body)
		if err != nil {
			return err
		}
		v.set, v.read = set, asked // as old as its question, at most (RFC 9111 section 4.2.3)
	}
	verifier := token.Verifier{Issuer: issuer, Audience: issuer, Keys: v.set, Now: time.Now}
	_, err := verifier.Verify(context.Background(), raw)
	return err
}

// kidOf reads the id of the key that signed, without judging the token.
func kidOf(raw string) string {
	segment, _, _ := strings.Cut(raw, ".")
	header, err := base64.RawURLEncoding.DecodeString(segment)
	if err != nil {
		return ""
	}
	var named struct {
		KID string `json:"kid"`
	}
	if json.Unmarshal(header, &named) != nil {
		return ""
	}
	return named.KID
}

// F14: the signing key changes under load, again and again, on two replicas that
// share a database; at the end the key that signs is removed in an emergency.
func TestF14Rotation(t *testing.T) {
	s := onPostgres(t)
	// A key is published for twice the max-age before it signs: what is beyond one
	// is the time that replicas have to hear of it, and that a goroutine may wait.
	env := []string{fmt.Sprintf("AGENTIDP_JWKS_MAX_AGE=%s", maxAge), fmt.Sprintf("AGENTIDP_KEY_ROTATION=%s", pick(2*maxAge, 10*time.Second))}
	tr := newTrial(t, plain, s, env...)
	tr.process.Start()
	other := newProcess(t, plain, s, env...)
	other.Start()
	second := newClient(other.url, tr.ledger)
	t.Cleanup(second.close)
	load := []*load{tr.load(), startLoad(second, loadWorkers)}
	tr.flowing(20)

	admin := holder{clientID: adminID, secret: adminSecret}
	relying := &verifierOf{url: other.url() + "/.well-known/jwks.json", maxAge: maxAge}
	kids, tokens, failed := map[string]bool{}, []string{}, 0
	for rotations := pick(2, 30); len(kids) <= rotations; {
		for _, c := range []*client{tr.client, second} {
			var raw string
			insist(t, func() (d deed) { d, raw = c.issue(admin); return d })
			kids[kidOf(raw)] = true
			tokens = append(tokens, raw)
		}
		for _, raw := range tokens[max(0, len(tokens)-50):] {
			if err := relying.verify(raw, s.issuer); err != nil {
				failed++
				t.Log(err)
			}
		}
		time.Sleep(20 * time.Millisecond) // between two looks of a relying party
	}
	for _, l := range load {
		l.stop()
	}
	require.True(t, second.known(t, tokens[0]), "a token outlives the key that signed it")

	last, fresh, begun := "", "", time.Now()
	await(t, "the key of a token is removed before its turn is over", func() bool {
		begun = time.Now()
		_, last = tr.client.issue(admin)
		_, a := tr.client.send(http.MethodPost, "/api/v1/keys/rotate", "application/json", tr.client.bearer(), []byte(`{"emergency":true}`))
		if a.status == http.StatusServiceUnavailable {
			return false
		}
		require.Equal(t, http.StatusAccepted, a.status, string(a.body))
		tr.client.forget()
		_, fresh = tr.client.issue(admin)
		keys := second.keys()
		return keys[kidOf(last)] == "" && keys[kidOf(fresh)] != ""
	})
	accepted := 0
	for _, c := range []*client{tr.client, second} {
		if c.known(t, last) {
			accepted++
		}
		if !c.known(t, fresh) {
			failed++
		}
	}
	refusal := await(t, "the relying party has dropped the key", func() bool { return relying.verify(last, s.issuer) != nil }) + time.Since(begun)
	tr.figures.runs = len(kids) - 1
	other.Stop()
	figures := tr.close()
	figures.extra = fmt.Sprintf("failed=%d accepted_after_removal=%d tokens=%d refused_by_relying_party_ms=%d", failed, accepted, len(tokens), refusal.Milliseconds())
	report(t, "F14", figures)
	require.Zero(t, failed)
	require.Zero(t, accepted)
}
