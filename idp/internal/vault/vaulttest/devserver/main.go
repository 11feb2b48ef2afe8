// Command devserver is a real HashiCorp Vault for tests: the core in memory, KV
// version 2 at secret/, transit, AppRole and Kubernetes logins. It leaves out
// Vault's command line and every other backend, which is what makes it build
// from published modules alone. It is a module of its own, so that nothing of it
// reaches the product's module graph. Never run it with anything worth keeping.
//
// The first line on standard output is {"addr","token","unsealKey"}; it ends
// when standard input does.
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
	kubernetes "github.com/hashicorp/vault-plugin-auth-kubernetes"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	"github.com/hashicorp/vault/builtin/credential/approle"
	"github.com/hashicorp/vault/builtin/logical/transit"
	"github.com/hashicorp/vault/helper/namespace"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "devserver:", err)
		os.Exit(1)
	}
}

func run() error {
	logger := hclog.New(&hclog.LoggerOptions{Output: os.Stderr, Level: hclog.Warn})
	storage, err := inmem.NewInmem(nil, logger)
	if err != nil {
		return err
	}
	core, err := vault.NewCore(&vault.CoreConfig{
		Physical: storage, Logger: logger, DisableMlock: true, BuiltinRegistry: registry{},
		LogicalBackends:    secrets,
		CredentialBackends: logins,
	})
	if err != nil {
		return err
	}
	token, key, err := start(core)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           vaulthttp.Handler.Handler(&vault.HandlerProperties{Core: core, ListenerConfig: &configutil.Listener{}}),
		ReadHeaderTimeout: 10 * time.Second,
	}
	err = json.NewEncoder(os.Stdout).Encode(map[string]string{
		"addr": "http://" + listener.Addr().String(), "token": token, "unsealKey": base64.StdEncoding.EncodeToString(key),
	})
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return server.Serve(listener)
}

// start initializes and unseals the core with one key and mounts the backends.
func start(core *vault.Core) (token string, key []byte, err error) {
	ctx := namespace.RootContext(context.Background())
	made, err := core.Initialize(ctx, &vault.InitParams{
		BarrierConfig:  &vault.SealConfig{Type: "shamir", SecretShares: 1, SecretThreshold: 1},
		RecoveryConfig: &vault.SealConfig{},
	})
	if err != nil {
		return "", nil, err
	}
	key = made.SecretShares[0]
	if _, err := core.Unseal(slices.Clone(key)); err != nil {
		return "", nil, err
	}
	mounts := []struct {
		path string
		data map[string]any
	}{
		{"sys/mounts/secret", map[string]any{"type": "kv", "options": map[string]string{"version": "2"}}},
		{"sys/mounts/transit", map[string]any{"type": "transit"}},
		{"sys/auth/approle", map[string]any{"type": "approle"}},
		{"sys/auth/kubernetes", map[string]any{"type": "kubernetes"}},
	}
	for _, m := range mounts {
		response, err := core.HandleRequest(ctx, &logical.Request{
			Operation: logical.UpdateOperation, ClientToken: made.RootToken, Path: m.path, Data: m.data,
		})
		if err == nil && response.IsError() {
			err = response.Error()
		}
		if err != nil {
			return "", nil, fmt.Errorf("%s: %w", m.path, err)
		}
	}
	return made.RootToken, key, nil
}

var (
	secrets = map[string]logical.Factory{"kv": kv.Factory, "transit": transit.Factory}
	logins  = map[string]logical.Factory{"approle": approle.Factory, "kubernetes": kubernetes.Factory}
)

// registry tells the core which plugins are built in.
type registry struct{}

func (registry) factory(name string, kind consts.PluginType) (logical.Factory, bool) {
	from := secrets
	if kind == consts.PluginTypeCredential {
		from = logins
	}
	factory, found := from[name]
	return factory, found
}

func (r registry) Contains(name string, kind consts.PluginType) bool {
	_, found := r.factory(name, kind)
	return found
}

func (r registry) Get(name string, kind consts.PluginType) (func() (any, error), bool) {
	factory, found := r.factory(name, kind)
	return func() (any, error) { return factory, nil }, found
}

func (r registry) Keys(kind consts.PluginType) (names []string) {
	for _, from := range []map[string]logical.Factory{secrets, logins} {
		for name := range from {
			if r.Contains(name, kind) {
				names = append(names, name)
			}
		}
	}
	return names
}

func (r registry) DeprecationStatus(name string, kind consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, r.Contains(name, kind)
}

func (registry) IsBuiltinEntPlugin(string, consts.PluginType) bool { return false }
