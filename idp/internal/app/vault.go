package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"net/url"
	"os"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/idp/internal/issuer"
	"github.com/sentryagent/agentidp/idp/internal/vault"
	"github.com/sentryagent/agentidp/shared/config"
)

// Where the master key is in Vault.
const (
	masterKeyKV      = "kv"
	masterKeyTransit = "transit"
)

// secretScheme is the scheme of new secrets: as set, or what else is set asks for.
func (c *Config) secretScheme() string {
	switch {
	case c.SecretScheme != "":
		return c.SecretScheme
	case c.VaultAddr != "":
		return vault.Scheme
	case c.Pepper != "":
		return clientauth.SchemeHMAC
	default:
		return clientauth.SchemeBcrypt
	}
}

// secretProblems are those of the settings about secrets at rest.
func (c *Config) secretProblems() (problems []config.Problem) {
	demand := func(holds bool, key, text string) {
		if !holds {
			problems = append(problems, config.Problem{Key: key, Text: text})
		}
	}
	switch c.secretScheme() {
	case clientauth.SchemeBcrypt:
	case clientauth.SchemeHMAC:
		demand(c.Pepper != "", "pepper", "is required with secret_scheme hmac-sha256")
	case vault.Scheme:
		demand(c.VaultAddr != "", "vault_addr", "is required with secret_scheme vault")
	default:
		demand(false, "secret_scheme", "must be bcrypt, hmac-sha256 or vault")
	}
	if c.Pepper != "" {
		if _, err := clientauth.ParsePeppers(c.Pepper); err != nil {
			demand(false, "pepper", err.Error())
		}
	}
	return append(problems, c.vaultProblems()...)
}

func (c *Config) vaultProblems() (problems []config.Problem) {
	demand := func(holds bool, key, text string) {
		if !holds {
			problems = append(problems, config.Problem{Key: key, Text: text})
		}
	}
	if c.VaultAddr == "" {
		for key, value := range map[string]string{
			"vault_token": c.VaultToken, "vault_role_id": c.VaultRoleID, "vault_secret_id": c.VaultSecretID,
			"vault_kubernetes_role": c.VaultKubernetesRole, "vault_master_key": c.VaultMasterKey,
		} {
			demand(value == "", key, "is of no use without vault_addr")
		}
		return problems
	}
	u, err := url.Parse(c.VaultAddr)
	demand(err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && (c.AllowHTTP || onLoopback(u))), "vault_addr", "must be an https URL, or http on loopback or with allow_http")
	ways := 0
	for _, set := range []bool{c.VaultToken != "", c.VaultRoleID != "", c.VaultKubernetesRole != ""} {
		if set {
			ways++
		}
	}
	demand(ways == 1, "vault_addr", "needs exactly one of vault_token, vault_role_id and vault_kubernetes_role")
	demand((c.VaultRoleID == "") == (c.VaultSecretID == ""), "vault_role_id", "must be set together with vault_secret_id")
	switch c.VaultMasterKey {
	case "", masterKeyTransit:
	case masterKeyKV:
		demand(c.MasterKey == "", "master_key", "is of no use with vault_master_key kv")
	default:
		demand(false, "vault_master_key", "must be kv or transit")
	}
	return problems
}

func onLoopback(u *url.URL) bool {
	addr, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && addr.IsLoopback()
}

// openVault makes the client, which logs in when it is first needed; nil without Vault.
func openVault(ctx context.Context, cfg Config, logger *slog.Logger, set *metrics.Set, now idp.Clock) (*vault.Client, error) {
	if cfg.VaultAddr == "" {
		return nil, nil //nolint:nilnil // no Vault is no error
	}
	options := vault.Options{
		Addr: cfg.VaultAddr, Namespace: cfg.VaultNamespace, CACert: cfg.VaultCACert, Mount: cfg.VaultMount,
		Token: cfg.VaultToken, Logger: logger, Metrics: set, Now: now,
	}
	if cfg.VaultTokenFile != "" {
		options.Token, options.TokenFile = "", cfg.VaultTokenFile
	}
	if cfg.VaultRoleID != "" {
		options.AppRole = &vault.AppRole{RoleID: cfg.VaultRoleID, SecretID: cfg.VaultSecretID, SecretIDFile: cfg.VaultSecretIDFile}
	}
	if cfg.VaultKubernetesRole != "" {
		options.Kubernetes = &vault.Kubernetes{Role: cfg.VaultKubernetesRole}
	}
	return vault.Open(ctx, options)
}

// theVault is what a start waits for where the master key is there.
var theVault = dependency{name: "Vault", reason: "vault_unreachable", heals: vault.Heals}

// masterKey is the setting, the file in the data folder, or what Vault keeps.
func masterKey(ctx context.Context, cfg Config, keeper *vault.Client) ([]byte, error) {
	switch {
	case cfg.VaultMasterKey == masterKeyKV:
		return keeper.MasterKey(ctx)
	case cfg.VaultMasterKey == masterKeyTransit && cfg.MasterKey != "":
		return keeper.Unwrap(ctx, cfg.MasterKey)
	case cfg.VaultMasterKey == masterKeyTransit:
		return keeper.WrappedMasterKey(ctx, cfg.wrappedKeyPath())
	default:
		return issuer.LoadMasterKey(cfg.MasterKey, cfg.MasterKeyPath())
	}
}

// wrappedKeyPath is where the master key is that Vault's transit key wraps.
func (c *Config) wrappedKeyPath() string { return c.path("master.key.vault") }

// keptMasterKey is masterKey, but that it makes none and changes nothing:
// ErrNoMasterKey where a first start would make one.
func keptMasterKey(ctx context.Context, cfg Config, keeper *vault.Client) (key []byte, err error) {
	switch {
	case cfg.VaultMasterKey == masterKeyKV:
		key, err = keeper.KeptMasterKey(ctx)
	case cfg.VaultMasterKey == masterKeyTransit && cfg.MasterKey == "":
		key, err = keeper.KeptWrappedMasterKey(ctx, cfg.wrappedKeyPath())
	case cfg.MasterKey == "":
		if _, err := os.Stat(cfg.MasterKeyPath()); errors.Is(err, fs.ErrNotExist) {
			return nil, ErrNoMasterKey
		}
		fallthrough
	default:
		key, err = masterKey(ctx, cfg, keeper)
	}
	if errors.Is(err, vault.ErrNoMasterKey) {
		return nil, fmt.Errorf("%w: %w", ErrNoMasterKey, err)
	}
	return key, err
}

// haveMasterKey refuses where a first start would make a master key.
func haveMasterKey(ctx context.Context, cfg Config) error {
	keeper, err := openVault(ctx, cfg, slog.Default(), nil, nil)
	if err != nil {
		return err
	}
	defer closeVault(keeper)
	_, err = keptMasterKey(ctx, cfg, keeper)
	return err
}

func closeVault(keeper *vault.Client) {
	if keeper != nil {
		keeper.Close()
	}
}

// forget deletes what Vault keeps of a credential that is revoked. Without its
// row's key it is of no use to anybody, so a failure is only logged.
func (a *App) forget(ctx context.Context, c idp.Credential) {
	if a.vault == nil || c.Secret.Scheme != vault.Scheme && c.Previous.Scheme != vault.Scheme {
		return
	}
	if err := a.vault.Secrets().DeleteCredential(ctx, c.ID); err != nil {
		a.logger.WarnContext(ctx, "the digest of a revoked credential is still in Vault", "credential_id", c.ID, "error", err)
	}
}
