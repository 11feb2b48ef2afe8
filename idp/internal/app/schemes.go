package app

import (
	"context"
	"fmt"

	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/idp/internal/vault"
)

// hashers are the scheme of new secrets and those that rows may still have.
// keeper is nil without Vault. An error of Vault alone does not keep the IdP
// from starting: warn gets it.
func (c *Config) hashers(ctx context.Context, keeper *vault.Client, warn func(error)) (clientauth.Hasher, []clientauth.Hasher, error) {
	known := map[string]clientauth.Hasher{}
	if c.secretScheme() == clientauth.SchemeBcrypt || c.BcryptCost != 0 {
		h, err := clientauth.NewBcrypt(c.BcryptCost)
		if err != nil {
			return nil, nil, err
		}
		known[h.Scheme()] = h
	}
	if c.Pepper != "" {
		h, err := clientauth.ParsePeppers(c.Pepper)
		if err != nil {
			return nil, nil, err
		}
		known[h.Scheme()] = h
	}
	if keeper != nil {
		h, err := clientauth.NewVault(ctx, keeper.Secrets())
		if err != nil {
			warn(err)
		}
		known[h.Scheme()] = h
	}
	current := known[c.secretScheme()]
	if current == nil {
		return nil, nil, fmt.Errorf("secret_scheme %q is not configured", c.secretScheme())
	}
	var others []clientauth.Hasher
	for scheme, h := range known {
		if scheme != c.secretScheme() {
			others = append(others, h)
		}
	}
	return current, others, nil
}
