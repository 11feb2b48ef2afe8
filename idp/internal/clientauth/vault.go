package clientauth

import (
	"context"
	"errors"
	"fmt"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/vault"
)

// Vault keeps the digests of secrets in Vault; see vault.Secrets. Vault waits
// for its own bounded line, not for ours.
type Vault struct {
	secrets *vault.Secrets
	decoy   idp.SecretHash
}

// NewVault makes the hasher. With an error, when Vault cannot be asked now, it
// is good as well, but for the entry that a refusal reads: reading what is not
// there is hardly less work.
func NewVault(ctx context.Context, secrets *vault.Secrets) (*Vault, error) {
	encoded, err := secrets.Decoy(ctx)
	if err != nil {
		err = fmt.Errorf("decoy: %w", err)
	}
	return &Vault{secrets: secrets, decoy: idp.SecretHash{Scheme: vault.Scheme, Encoded: encoded}}, err
}

// Scheme implements Hasher.
func (*Vault) Scheme() string { return vault.Scheme }

func (*Vault) light() {}

// Hash implements Hasher. An idp.ErrConflict says that the credential gets
// another secret at the same time.
func (v *Vault) Hash(ctx context.Context, credentialID, secret string) (idp.SecretHash, error) {
	if !hashable(secret) {
		return idp.SecretHash{}, errSecret
	}
	encoded, err := v.secrets.Hash(ctx, credentialID, secret)
	if err != nil {
		return idp.SecretHash{}, err
	}
	return idp.SecretHash{Scheme: vault.Scheme, Encoded: encoded}, nil
}

// Verify implements Hasher. The encoded form names the credential.
func (v *Vault) Verify(ctx context.Context, _ string, hash idp.SecretHash, secret string) (bool, error) {
	right, err := v.secrets.Verify(ctx, hash.Encoded, secret)
	if errors.Is(err, vault.ErrLost) {
		return false, fmt.Errorf("%w: %w", ErrLost, err)
	}
	return right, err
}

// Candidate implements Hasher.
func (v *Vault) Candidate(hash idp.SecretHash, secret string) bool {
	return v.secrets.Candidate(hash.Encoded, secret)
}

// Current implements Hasher: there is one form.
func (*Vault) Current(idp.SecretHash) bool { return true }

// Decoys implements Hasher.
func (v *Vault) Decoys(tried ...idp.SecretHash) []idp.SecretHash {
	if len(tried) > 0 {
		return nil
	}
	return []idp.SecretHash{v.decoy}
}
