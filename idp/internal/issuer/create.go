package issuer

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/token"
)

// Commit makes a change and the events it returns durable together; it is the
// audit log's. change may rerun. Who acted, the caller adds to the events.
type Commit func(ctx context.Context, change func(ctx context.Context, tx *store.Tx) ([]idp.Event, error)) error

// EnsureKey makes the first key, RSA with token.MinKeyBits, unless there is an
// active one. Of several replicas that start together exactly one makes it.
func (i *Issuer) EnsureKey(ctx context.Context, commit Commit) error {
	if i.ActiveKID() != "" {
		return nil
	}
	spare, err := i.Spare()
	if err != nil {
		return err
	}
	err = commit(ctx, func(ctx context.Context, tx *store.Tx) ([]idp.Event, error) {
		keys, err := usable(ctx, tx)
		if err != nil {
			return nil, err
		}
		for _, k := range keys {
			if k.Status == store.KeyActive {
				return nil, nil // another replica was first
			}
		}
		return spare.insert(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("store the first signing key: %w", err)
	}
	if err := i.Reload(ctx); err != nil {
		return err
	}
	return i.Ready()
}

// Import makes the key in a PEM text the active one, at once, retires the key
// that was active and drops the one that was to be next. It takes one unencrypted RSA key, PKCS #1 or PKCS #8, of
// token.MinKeyBits to token.MaxKeyBits with exponent token.Exponent.
func (i *Issuer) Import(ctx context.Context, commit Commit, text []byte) (kid string, err error) {
	private, err := parsePEM(text)
	if err != nil {
		return "", err
	}
	row, err := i.seal(private)
	if err != nil {
		return "", err
	}
	err = commit(ctx, func(ctx context.Context, tx *store.Tx) ([]idp.Event, error) {
		keys, err := tx.Keys.List(ctx, store.UseToken)
		if err != nil {
			return nil, err
		}
		retired := []string{}
		for _, k := range keys {
			if k.ID == row.ID {
				return nil, apierr.New(apierr.InvalidState, "the key is in the store already").WithReason("key_exists")
			}
			switch k.Status {
			case store.KeyActive:
				if err := tx.Keys.SetStatus(ctx, k.ID, store.KeyRetired, row.ActivatedAt); err != nil {
					return nil, err
				}
				retired = append(retired, k.ID)
			case store.KeyNext: // it would take the imported key's place when its own time comes
				if err := tx.Keys.Delete(ctx, k.ID); err != nil {
					return nil, err
				}
			case store.KeyRetired, store.KeyRevoked:
			}
		}
		event := keyEvent(idp.ActionKeyImported, row.ID, private)
		event.Metadata["retired"] = retired
		return []idp.Event{event}, tx.Keys.Insert(ctx, row)
	})
	if err != nil {
		return "", err
	}
	return row.ID, i.Reload(ctx)
}

func keyEvent(action idp.Action, kid string, private *rsa.PrivateKey) idp.Event {
	return idp.Event{
		OrganizationID: idp.OperatorOrganization, Action: action, Outcome: idp.Success,
		Metadata: map[string]any{"kid": kid, "bits": int64(private.N.BitLen())},
	}
}

// seal makes the row of a key that is active from now on.
func (i *Issuer) seal(private *rsa.PrivateKey) (store.Key, error) {
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return store.Key{}, fmt.Errorf("encode a signing key: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		return store.Key{}, fmt.Errorf("encode a signing key: %w", err)
	}
	kid := token.Thumbprint(&private.PublicKey)
	sealed, err := i.sealer.Seal(der, sealedFor(store.UseToken, kid))
	if err != nil {
		return store.Key{}, err
	}
	at := idp.Time(i.now())
	return store.Key{
		ID: kid, Use: store.UseToken, Status: store.KeyActive, Public: public, Sealed: sealed, CreatedAt: at, ActivatedAt: at,
	}, nil
}

// parsePEM reads exactly one private key. Its errors show nothing of the text.
func parsePEM(text []byte) (*rsa.PrivateKey, error) {
	block, rest := pem.Decode(text)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return nil, badPEM("must be one PEM block")
	}
	var private *rsa.PrivateKey
	var err error
	switch block.Type {
	case "RSA PRIVATE KEY":
		if block.Headers["DEK-Info"] != "" {
			return nil, badPEM("must not be encrypted")
		}
		private, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "PRIVATE KEY":
		var parsed any
		parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		private, _ = parsed.(*rsa.PrivateKey)
	case "ENCRYPTED PRIVATE KEY":
		return nil, badPEM("must not be encrypted")
	default:
		return nil, badPEM("must be of type RSA PRIVATE KEY or PRIVATE KEY")
	}
	if err != nil || private == nil || len(private.Primes) != 2 || private.Validate() != nil {
		return nil, badPEM("must hold a valid RSA private key of two primes")
	}
	switch token.WeakKey(&private.PublicKey) {
	case "":
		return private, nil
	case "key_size":
		return nil, badPEM(fmt.Sprintf("must have %d to %d bits", token.MinKeyBits, token.MaxKeyBits))
	case "exponent":
		return nil, badPEM(fmt.Sprintf("must have the public exponent %d", token.Exponent))
	default:
		return nil, badPEM("must not be a known weak key")
	}
}

func badPEM(rule string) error { return apierr.Invalid(apierr.Field{Field: "pem", Rule: rule}) }
