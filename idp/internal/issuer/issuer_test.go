package issuer

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/sqlite"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/token"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openStore(t testing.TB) store.DB {
	db, err := sqlite.OpenMemory(context.Background())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// journal commits as the audit log does and keeps the events.
type journal struct {
	db     store.DB
	mu     sync.Mutex
	events []idp.Event
}

func (j *journal) commit(ctx context.Context, change func(context.Context, *store.Tx) ([]idp.Event, error)) error {
	var events []idp.Event
	err := j.db.Update(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		events, err = change(ctx, tx)
		return err
	})
	if err == nil {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.events = append(j.events, events...)
	}
	return err
}

// clock is set by the test.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func newClock() *clock { return &clock{at: time.Unix(1_700_000_000, 0)} }

func claims(i *Issuer) token.Claims {
	now := i.now().Unix()
	return token.Claims{
		Issuer: "https://idp.test", Subject: "agent-1", Audience: []string{"https://notes.test"}, ClientID: "aidp_c_1",
		Scope: "notes:read", IssuedAt: now, ExpiresAt: now + 3600, JTI: "j1", Organization: "default", Rev: [3]int64{1, 0, 7},
		Status: token.Status{URI: "https://idp.test/statuslists/0", Index: 471_100},
	}
}

func verifier(i *Issuer) *token.Verifier {
	return &token.Verifier{Issuer: "https://idp.test", Audience: "https://notes.test", Keys: i.Keys(), Now: i.now}
}

func pemOf(t testing.TB, bits int) ([]byte, string) {
	private, err := rsa.GenerateKey(rand.Reader, bits)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), token.Thumbprint(&private.PublicKey)
}

func TestFirstKey(t *testing.T) {
	ctx, db, clock := t.Context(), openStore(t), newClock()
	issuer, err := Open(ctx, db, newSealer(t, 1), Auto, clock.now)
	require.NoError(t, err)
	require.Empty(t, issuer.ActiveKID())
	body, etag := issuer.JWKS()
	require.JSONEq(t, `{"keys":[]}`, string(body))
	require.NotEmpty(t, etag)
	require.Error(t, issuer.Ready())
	_, err = issuer.Mint(ctx, claims(issuer), nil)
	require.True(t, apierr.Is(err, apierr.Unavailable))
	_, err = issuer.Sign(ctx, "x+jwt", nil)
	require.True(t, apierr.Is(err, apierr.Unavailable))

	log := &journal{db: db}
	require.NoError(t, issuer.EnsureKey(ctx, log.commit))
	require.NoError(t, issuer.EnsureKey(ctx, log.commit))
	require.Len(t, log.events, 1)
	require.Equal(t, idp.ActionKeyCreated, log.events[0].Action)
	require.Equal(t, idp.OperatorOrganization, log.events[0].OrganizationID)
	require.Equal(t, map[string]any{"kid": issuer.ActiveKID(), "bits": int64(2048)}, log.events[0].Metadata)
	require.NoError(t, issuer.Ready())
	require.Equal(t, Auto.Backend(), issuer.Backend())

	reopened, err := Open(ctx, db, newSealer(t, 1), Auto, clock.now)
	require.NoError(t, err)
	require.Equal(t, issuer.ActiveKID(), reopened.ActiveKID())
	raw, err := reopened.Mint(ctx, claims(reopened), nil)
	require.NoError(t, err)
	_, err = verifier(issuer).Verify(ctx, raw)
	require.NoError(t, err)

	_, err = Open(ctx, db, newSealer(t, 2), Auto, clock.now)
	require.ErrorIs(t, err, ErrSeal, "another master key")
}

func TestOneFirstKeyOfManyReplicas(t *testing.T) {
	ctx, db := t.Context(), openStore(t)
	log := &journal{db: db}
	replicas := make([]*Issuer, 4)
	for n := range replicas {
		issuer, err := Open(ctx, db, newSealer(t, 1), Auto, newClock().now)
		require.NoError(t, err)
		replicas[n] = issuer
	}
	var group sync.WaitGroup
	for _, issuer := range replicas {
		group.Go(func() { require.NoError(t, issuer.EnsureKey(ctx, log.commit)) })
	}
	group.Wait()
	require.Len(t, log.events, 1)
	for _, issuer := range replicas {
		require.Equal(t, replicas[0].ActiveKID(), issuer.ActiveKID())
		require.Len(t, issuer.List(), 1)
	}
}

func TestJWKS(t *testing.T) {
	ctx, db := t.Context(), openStore(t)
	issuer, err := Open(ctx, db, newSealer(t, 1), Auto, newClock().now)
	require.NoError(t, err)
	_, empty := issuer.JWKS()
	require.NoError(t, issuer.EnsureKey(ctx, (&journal{db: db}).commit))
	body, etag := issuer.JWKS()
	require.Regexp(t, `^"[0-9a-f]{32}"$`, etag)
	require.NotEqual(t, empty, etag)
	set, skipped, err := token.ParseJWKS(body)
	require.NoError(t, err)
	require.Empty(t, skipped)
	require.Equal(t, []string{issuer.ActiveKID()}, set.KIDs())
	var document struct{ Keys []map[string]any }
	require.NoError(t, json.Unmarshal(body, &document))
	require.Len(t, document.Keys, 1)
	require.Len(t, document.Keys[0], 6, "nothing private")
	require.Equal(t, "sig", document.Keys[0]["use"])
	require.NoError(t, issuer.Reload(ctx))
	_, again := issuer.JWKS()
	require.Equal(t, etag, again)
}

func TestImport(t *testing.T) {
	ctx, db, clock := t.Context(), openStore(t), newClock()
	log := &journal{db: db}
	issuer, err := Open(ctx, db, newSealer(t, 1), Auto, clock.now)
	require.NoError(t, err)
	require.NoError(t, issuer.EnsureKey(ctx, log.commit))
	first := issuer.ActiveKID()
	old, err := issuer.Mint(ctx, claims(issuer), nil)
	require.NoError(t, err)
	replica, err := Open(ctx, db, newSealer(t, 1), Auto, clock.now)
	require.NoError(t, err)

	text, want := pemOf(t, 3072)
	kid, err := issuer.Import(ctx, log.commit, text)
	require.NoError(t, err)
	require.Equal(t, want, kid)
	require.Equal(t, kid, issuer.ActiveKID())
	require.Equal(t, idp.ActionKeyImported, log.events[1].Action)
	require.Equal(t, map[string]any{"kid": kid, "bits": int64(3072), "retired": []string{first}}, log.events[1].Metadata)
	list := issuer.List()
	require.Len(t, list, 2)
	require.Equal(t, []store.KeyStatus{store.KeyActive, store.KeyRetired}, []store.KeyStatus{list[0].Status, list[1].Status})
	require.Equal(t, 3072, list[0].Bits)
	require.Equal(t, clock.now().UTC(), list[1].RetiredAt.UTC())

	_, err = issuer.Import(ctx, log.commit, text)
	require.True(t, apierr.Is(err, apierr.InvalidState))
	require.Len(t, log.events, 2)

	// Who asked for a token under the key before gets none under the other.
	wrong := claims(issuer)
	wrong.KID = first
	_, err = issuer.Mint(ctx, wrong, nil)
	require.Equal(t, "key_changed", apierr.From(err).Reason)

	fresh, err := issuer.Mint(ctx, claims(issuer), nil)
	require.NoError(t, err)
	_, err = verifier(issuer).Verify(ctx, old)
	require.NoError(t, err, "a retired key still verifies")
	_, err = verifier(issuer).Verify(ctx, fresh)
	require.NoError(t, err)

	require.Equal(t, first, replica.ActiveKID())
	require.NoError(t, replica.Reload(ctx))
	require.Equal(t, kid, replica.ActiveKID())

	clock.forward(RetiredGrace - time.Second)
	require.NoError(t, issuer.Reload(ctx))
	require.Len(t, issuer.List(), 2)
	clock.forward(time.Second)
	require.NoError(t, issuer.Reload(ctx))
	require.Len(t, issuer.List(), 1)
	_, err = issuer.Keys().Key(first)
	require.ErrorIs(t, err, token.ErrUnknownKey)
}

func TestNextKeyIsPublishedUnused(t *testing.T) {
	ctx, db := t.Context(), openStore(t)
	log := &journal{db: db}
	issuer, err := Open(ctx, db, newSealer(t, 1), Auto, newClock().now)
	require.NoError(t, err)
	require.NoError(t, issuer.EnsureKey(ctx, log.commit))
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	row, err := issuer.seal(private)
	require.NoError(t, err)
	row.Status, row.ActivatedAt = store.KeyNext, time.Time{}
	require.NoError(t, db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.Keys.Insert(ctx, row) }))
	active := issuer.ActiveKID()
	require.NoError(t, issuer.Reload(ctx))
	require.Equal(t, active, issuer.ActiveKID())
	require.Equal(t, store.KeyNext, issuer.List()[1].Status)
	_, err = issuer.Keys().Key(row.ID)
	require.NoError(t, err)
}

// Who can write the store but has no master key cannot add a key of theirs.
func TestForeignRowsAreRefused(t *testing.T) {
	ctx := t.Context()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	refused := func(spoil func(row *store.Key), sealer *Sealer) {
		t.Helper()
		db := openStore(t)
		issuer, err := Open(ctx, db, newSealer(t, 1), Auto, newClock().now)
		require.NoError(t, err)
		require.NoError(t, issuer.EnsureKey(ctx, (&journal{db: db}).commit))
		maker := &Issuer{sealer: sealer, now: newClock().now}
		row, err := maker.seal(private)
		require.NoError(t, err)
		row.Status = store.KeyRetired
		row.RetiredAt = newClock().now()
		spoil(&row)
		require.NoError(t, db.Update(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.Keys.Insert(ctx, row) }))
		active := issuer.ActiveKID()
		require.Error(t, issuer.Reload(ctx))
		require.Equal(t, active, issuer.ActiveKID(), "the old ring stays")
		require.Len(t, issuer.List(), 1)
		_, err = Open(ctx, db, newSealer(t, 1), Auto, newClock().now)
		require.Error(t, err)
	}
	refused(func(*store.Key) {}, newSealer(t, 2))
	refused(func(row *store.Key) { row.Sealed = []byte{} }, newSealer(t, 1))
	refused(func(row *store.Key) { row.ID = "another" }, newSealer(t, 1))
	refused(func(row *store.Key) { row.Public = []byte("other") }, newSealer(t, 1))
	refused(func(row *store.Key) { // sealed by us, but under the name of another key
		der, err := x509.MarshalPKCS8PrivateKey(private)
		require.NoError(t, err)
		row.ID = "another"
		row.Sealed, err = newSealer(t, 1).Seal(der, sealedFor(row.Use, row.ID))
		require.NoError(t, err)
	}, newSealer(t, 1))
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	private = weak
	refused(func(*store.Key) {}, newSealer(t, 1))
}

func TestSelfCheck(t *testing.T) {
	ctx, db := t.Context(), openStore(t)
	issuer, err := Open(ctx, db, newSealer(t, 1), Auto, newClock().now)
	require.NoError(t, err)
	require.NoError(t, issuer.EnsureKey(ctx, (&journal{db: db}).commit))
	for _, b := range []backend{
		{name: "liar", perCore: 1, open: func(k *rsa.PrivateKey, _ int) (crypto.Signer, error) {
			return signerFunc{func([]byte) ([]byte, error) { return make([]byte, k.Size()), nil }}, nil
		}},
		{name: "broken", perCore: 1, open: func(*rsa.PrivateKey, int) (crypto.Signer, error) { return signerFunc{fail}, nil }},
		{name: "absent", perCore: 1, open: func(*rsa.PrivateKey, int) (crypto.Signer, error) { return nil, errors.New("no library") }},
	} {
		signs, err := open(ctx, db, newSealer(t, 1), nil, b)
		require.NoError(t, err, "crypto/rsa signs instead")
		require.Equal(t, "crypto/rsa", signs.Backend())
		require.ErrorContains(t, signs.Degraded(), b.name)
		_, err = signs.Sign(ctx, "statuslist+jwt", []byte("{}"))
		require.NoError(t, err)
		b.name = goBackend.name // there is nothing to fall back to
		_, err = open(ctx, db, newSealer(t, 1), nil, b)
		require.ErrorContains(t, err, b.name)
	}
	require.NoError(t, issuer.Degraded())
	require.Equal(t, Auto.Backend(), issuer.Backend())
}

type signerFunc struct {
	sign func(digest []byte) ([]byte, error)
}

func (s signerFunc) Public() crypto.PublicKey { return nil }

func (s signerFunc) Sign(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	return s.sign(digest)
}

func fail([]byte) ([]byte, error) { return nil, errors.New("no signature") }

func TestStoreFailure(t *testing.T) {
	ctx, db := t.Context(), openStore(t)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err := Open(ended, db, newSealer(t, 1), Auto, nil)
	require.Error(t, err)
	issuer, err := Open(ctx, db, newSealer(t, 1), Auto, nil)
	require.NoError(t, err)
	refusal := errors.New("no audit")
	broken := func(context.Context, func(context.Context, *store.Tx) ([]idp.Event, error)) error { return refusal }
	require.ErrorIs(t, issuer.EnsureKey(ctx, broken), refusal)
	text, _ := pemOf(t, 2048)
	_, err = issuer.Import(ctx, broken, text)
	require.ErrorIs(t, err, refusal)
	require.Empty(t, issuer.List())
}

func TestInstrument(t *testing.T) {
	ctx, db := t.Context(), openStore(t)
	issuer, err := Open(ctx, db, newSealer(t, 1), Auto, newClock().now)
	require.NoError(t, err)
	set := metrics.NewSet()
	issuer.Instrument(set)
	require.NoError(t, issuer.EnsureKey(ctx, (&journal{db: db}).commit))
	_, err = issuer.Mint(ctx, claims(issuer), nil)
	require.NoError(t, err)
	var text strings.Builder
	set.WritePrometheus(&text)
	require.Contains(t, text.String(), "agentidp_sign_seconds_count 1")
	require.Contains(t, text.String(), "agentidp_sign_queue_length 0")
	require.Contains(t, text.String(), `agentidp_sign_backend_info{backend="`+Auto.Backend()+`"} 1`)
}
