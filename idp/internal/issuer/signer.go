package issuer

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/token"
)

// key is one opened key pair: decrypted, validated and tried once, not per request.
type key struct {
	row    store.Key
	public *rsa.PublicKey
	signer crypto.Signer
	header string // of access tokens: encoded segment and dot
}

// sealedFor is the AAD of a private key: it opens for this use and kid only.
func sealedFor(use store.KeyUse, kid string) []byte {
	return []byte("key\x00" + string(use) + "\x00" + kid)
}

// openKey decrypts a row and holds it to its own id: whoever can write the
// store, but has no master key, cannot put in a key of theirs. A backend that
// does not open the key, or does not sign with it, is given up for Go's.
func (i *Issuer) openKey(row store.Key) (*key, error) {
	private, err := unseal(row, i.sealer)
	if err != nil {
		return nil, err
	}
	if row.Status == store.KeyRetired { // it signs no more: that a backend cannot take it says nothing
		return goBackend.key(row, private, i.cores)
	}
	b := i.backend.Load()
	k, err := b.key(row, private, i.cores)
	if err == nil || b.name == goBackend.name {
		return k, err
	}
	i.degraded.Store(&err)
	i.use(goBackend)
	return goBackend.key(row, private, i.cores)
}

// unseal decrypts a row's private key and checks it.
func unseal(row store.Key, sealer *Sealer) (*rsa.PrivateKey, error) {
	der, err := sealer.Open(row.Sealed, sealedFor(row.Use, row.ID))
	if err != nil {
		return nil, fmt.Errorf("signing key %.50q: %w", row.ID, err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", row.ID, err)
	}
	private, isRSA := parsed.(*rsa.PrivateKey)
	if !isRSA || token.WeakKey(&private.PublicKey) != "" {
		return nil, fmt.Errorf("signing key %s: not an RSA key fit for use", row.ID)
	}
	public, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil || token.Thumbprint(&private.PublicKey) != row.ID || !bytes.Equal(public, row.Public) {
		return nil, fmt.Errorf("signing key %s: the public half is another key's", row.ID)
	}
	return private, nil
}

// key opens a key pair and tries it.
func (b backend) key(row store.Key, private *rsa.PrivateKey, cores int) (*key, error) {
	signer, err := b.open(private, cores)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %s: %w", row.ID, b.name, err)
	}
	k := &key{row: row, public: &private.PublicKey, signer: signer, header: headerSegment(row.ID, token.Type)}
	if err := k.selfCheck(); err != nil {
		return nil, fmt.Errorf("signing key %s: %s fails its self-check: %w", row.ID, b.name, err)
	}
	return k, nil
}

// selfCheck signs with the backend and verifies with Go.
func (k *key) selfCheck() error {
	digest := sha256.Sum256([]byte("agentidp signing self-check"))
	signature, err := k.signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return err
	}
	return rsa.VerifyPKCS1v15(k.public, crypto.SHA256, digest[:], signature)
}

// headerSegment is the encoded protected header and its dot.
func headerSegment(kid, typ string) string {
	header, err := json.Marshal(struct {
		Algorithm string `json:"alg"`
		KeyID     string `json:"kid"`
		Type      string `json:"typ"`
	}{token.Algorithm, kid, typ})
	if err != nil {
		panic(err) // three strings always marshal
	}
	return base64.RawURLEncoding.EncodeToString(header) + "."
}

// signedLength is the length of a token with the header and so many payload bytes.
func (k *key) signedLength(header string, payload int) int {
	return len(header) + base64.RawURLEncoding.EncodedLen(payload) + 1 + base64.RawURLEncoding.EncodedLen(k.public.Size())
}

// sign makes a compact JWS.
func (i *Issuer) sign(ctx context.Context, k *key, header string, payload []byte, begun func() bool) (string, error) {
	out := make([]byte, 0, k.signedLength(header, len(payload)))
	out = append(out, header...)
	out = base64.RawURLEncoding.AppendEncode(out, payload)
	signature, err := i.signature(ctx, k, sha256.Sum256(out), begun)
	if err != nil {
		return "", err
	}
	out = append(out, '.')
	return string(base64.RawURLEncoding.AppendEncode(out, signature)), nil
}

// signature waits until the backend has room for one more, and signs. Who finds
// the line full, or whose ctx ends in it, gets OVERLOADED.
func (i *Issuer) signature(ctx context.Context, k *key, digest [sha256.Size]byte, begun func() bool) ([]byte, error) {
	line := i.turnstile.Load()
	if err := line.Enter(ctx); err != nil {
		return nil, apierr.New(apierr.Overloaded, "too many tokens are being signed").
			WithReason("signing_busy").WithRetryAfter(time.Second).WithCause(err)
	}
	defer line.Leave()
	if begun != nil && !begun() {
		return nil, ErrUnwanted
	}
	started := time.Now()
	signature, err := k.signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, apierr.New(apierr.Internal, "internal error").WithReason("signing_failed").WithCause(err)
	}
	if i.durations != nil {
		i.durations.Update(time.Since(started).Seconds())
	}
	return signature, nil
}
