// Package vaulttest gives tests a Vault: a real one where it can be had, and a
// double that speaks the part of the protocol that package vault uses. Both are
// set up through the same endpoints, and the double answers as a real server was
// recorded to answer: see Exchanges.
package vaulttest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Server is a running Vault with transit mounted at transit/ and the AppRole and
// Kubernetes logins at their usual paths.
type Server struct {
	Name      string // of the subtest
	Addr      string
	Token     string // root's
	UnsealKey string // empty: it must not be sealed
	Pinned    bool   // of the version that was recorded
}

// Call sends one request as root, or with another token, and returns the
// status and the answer as it came.
func (s *Server) Call(ctx context.Context, token, method, path string, body any) (status int, text []byte, err error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return 0, nil, err
	}
	if body == nil {
		encoded = nil
	}
	r, err := http.NewRequestWithContext(ctx, method, s.Addr+"/v1/"+path, bytes.NewReader(encoded))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("X-Vault-Token", token)
	r.Header.Set("X-Vault-Request", "true")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close() //nolint:errcheck // was read
	text, err = io.ReadAll(response.Body)
	return response.StatusCode, text, err
}

// root sends one request as root that must succeed, again for up to 10 s while
// a mount is on its way, and decodes the answer.
func (s *Server) root(t testing.TB, method, path string, body any) (answer struct {
	Data map[string]any
	Auth map[string]any
	Keys []string
}) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		status, text, err := s.Call(context.WithoutCancel(t.Context()), s.Token, method, path, body)
		if err == nil && status < 300 {
			if len(text) > 0 {
				if err := json.Unmarshal(text, &answer); err != nil {
					t.Fatalf("%s %s: %v", method, path, err)
				}
			}
			return answer
		}
		if err != nil || status < 500 && !strings.Contains(string(text), "Upgrading") || time.Now().After(deadline) {
			t.Fatalf("%s %s: %d %s %v", method, path, status, text, err)
		}
	}
}

// Mount mounts KV version 2 at a path of its own.
func (s *Server) Mount(t testing.TB) string {
	t.Helper()
	mount := "kv-" + strings.ToLower(rand.Text()[:12])
	s.root(t, http.MethodPut, "sys/mounts/"+mount, map[string]any{"type": "kv", "options": map[string]string{"version": "2"}})
	s.root(t, http.MethodGet, mount+"/config", nil)
	t.Cleanup(func() { s.root(t, http.MethodDelete, "sys/mounts/"+mount, nil) })
	return mount
}

// NewToken makes a token with root's rights; ttl 0: it never expires. A token
// that is not renewable dies with its first ttl, one with a limit at most then.
func (s *Server) NewToken(t testing.TB, ttl, limit time.Duration, renewable bool) string {
	t.Helper()
	body := map[string]any{"policies": []string{"root"}, "renewable": renewable, "no_parent": true}
	if ttl > 0 {
		body["ttl"] = ttl.String()
	}
	if limit > 0 {
		body["explicit_max_ttl"] = limit.String()
	}
	return s.root(t, http.MethodPut, "auth/token/create", body).Auth["client_token"].(string)
}

// Restricted makes a token that may look itself up, renew itself, and do what
// a policy says; empty: nothing else. The double takes any policy for enough.
func (s *Server) Restricted(t testing.TB, policy string) string {
	t.Helper()
	policies := []string{"default"}
	if policy != "" {
		name := "everything-" + strings.ToLower(rand.Text()[:12])
		s.root(t, http.MethodPut, "sys/policies/acl/"+name, map[string]any{"policy": policy})
		policies = append(policies, name)
	}
	return s.root(t, http.MethodPut, "auth/token/create", map[string]any{"policies": policies, "ttl": "1h"}).Auth["client_token"].(string)
}

// Revoke kills a token.
func (s *Server) Revoke(t testing.TB, token string) {
	t.Helper()
	s.root(t, http.MethodPut, "auth/token/revoke", map[string]any{"token": token})
}

// everything is the policy of the machines that log in here.
const everything = `path "*" { capabilities = ["create", "read", "update", "delete", "list"] }`

// AppRole makes a role whose tokens live for ttl, renewed for limit at most.
func (s *Server) AppRole(t testing.TB, ttl, limit time.Duration) (roleID, secretID string) {
	t.Helper()
	s.root(t, http.MethodPut, "sys/policies/acl/everything", map[string]any{"policy": everything})
	role := "auth/approle/role/" + strings.ToLower(rand.Text()[:12])
	s.root(t, http.MethodPut, role, map[string]any{"token_policies": "everything", "token_ttl": ttl.String(), "token_max_ttl": limit.String()})
	roleID = s.root(t, http.MethodGet, role+"/role-id", nil).Data["role_id"].(string)
	return roleID, s.root(t, http.MethodPut, role+"/secret-id", nil).Data["secret_id"].(string)
}

// Kubernetes makes a role for the service account agentidp in the namespace
// default, and the token of a pod of it; a cluster that knows it runs until the
// test ends.
func (s *Server) Kubernetes(t testing.TB, ttl time.Duration) (role, jwt string) {
	t.Helper()
	cluster := newCluster(t)
	s.root(t, http.MethodPut, "sys/policies/acl/everything", map[string]any{"policy": everything})
	s.root(t, http.MethodPut, "auth/kubernetes/config", map[string]any{
		"kubernetes_host": cluster.addr, "disable_local_ca_jwt": true, "kubernetes_ca_cert": cluster.certificate,
	})
	role = strings.ToLower(rand.Text()[:12])
	s.root(t, http.MethodPut, "auth/kubernetes/role/"+role, map[string]any{
		"bound_service_account_names": "agentidp", "bound_service_account_namespaces": "default",
		"token_policies": "everything", "token_ttl": ttl.String(), "token_max_ttl": "1h",
	})
	return role, cluster.jwt
}

// TransitKey makes a transit key.
func (s *Server) TransitKey(t testing.TB) string {
	t.Helper()
	key := strings.ToLower(rand.Text()[:12])
	s.root(t, http.MethodPut, "transit/keys/"+key, map[string]any{})
	return key
}

// RotateTransitKey gives a transit key a new version.
func (s *Server) RotateTransitKey(t testing.TB, key string) {
	t.Helper()
	s.root(t, http.MethodPut, "transit/keys/"+key+"/rotate", nil)
}

// Versions is how many versions of an entry are readable.
func (s *Server) Versions(t testing.TB, mount, path string) (readable int) {
	t.Helper()
	status, text, err := s.Call(t.Context(), s.Token, http.MethodGet, mount+"/metadata/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if status == http.StatusNotFound {
		return 0
	}
	var answer struct {
		Data struct {
			Versions map[string]struct {
				Destroyed bool   `json:"destroyed"`
				Deleted   string `json:"deletion_time"`
			} `json:"versions"`
		} `json:"data"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatal(err)
	}
	for _, v := range answer.Data.Versions {
		if !v.Destroyed && v.Deleted == "" {
			readable++
		}
	}
	return readable
}

// Text is the newest version of an entry as Vault shows it to root.
func (s *Server) Text(t testing.TB, mount, path string) string {
	t.Helper()
	return fmt.Sprint(s.root(t, http.MethodGet, mount+"/data/"+path, nil).Data["data"])
}

// DeleteNewest hides the newest version of an entry, which can be undone.
func (s *Server) DeleteNewest(t testing.TB, mount, path string) {
	t.Helper()
	s.root(t, http.MethodDelete, mount+"/data/"+path, nil)
}

// Write puts something else into an entry.
func (s *Server) Write(t testing.TB, mount, path string, version int, data map[string]any) {
	t.Helper()
	s.root(t, http.MethodPut, mount+"/data/"+path, map[string]any{"data": data, "options": map[string]any{"cas": version}})
}

// CanSeal reports whether the server is ours to seal.
func (s *Server) CanSeal() bool { return s.UnsealKey != "" }

// Seal seals the server until Unseal or the end of the test.
func (s *Server) Seal(t testing.TB) {
	t.Helper()
	t.Cleanup(func() { s.Unseal(t) })
	s.root(t, http.MethodPut, "sys/seal", nil)
}

// Unseal unseals the server.
func (s *Server) Unseal(t testing.TB) {
	t.Helper()
	s.root(t, http.MethodPut, "sys/unseal", map[string]any{"key": s.UnsealKey})
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if status, _, err := s.Call(context.WithoutCancel(t.Context()), s.Token, http.MethodGet, "auth/token/lookup-self", nil); err == nil && status == http.StatusOK {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("not unsealed in 10 s")
		}
	}
}
