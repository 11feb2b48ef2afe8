package vaulttest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// Exchange is one request and what Vault answered. What differs from run to
// run, ids, times, tokens, is a star.
type Exchange struct {
	What   string
	Status int
	Answer any `json:",omitempty"`
}

// Exchanges sends everything that package vault sends, and the ways it can go
// wrong, and returns the answers. The recording of a real server is in testdata;
// a double that answers otherwise is a double of something else.
func Exchanges(t *testing.T, s *Server) (all []Exchange) {
	t.Helper()
	say := func(what, token, method, path string, body any) (text []byte) {
		t.Helper()
		status, text, err := s.Call(t.Context(), token, method, path, body)
		if err != nil {
			t.Fatal(err)
		}
		exchange := Exchange{What: what, Status: status}
		if len(text) > 0 {
			if err := json.Unmarshal(text, &exchange.Answer); err != nil {
				t.Fatalf("%s: %s", what, text)
			}
			exchange.Answer = masked("", exchange.Answer)
		}
		all = append(all, exchange)
		return text
	}
	keyValue(t, s, say)
	transit(t, s, say)
	tokens(t, s, say)
	logins(t, s, say)
	if s.CanSeal() {
		s.Seal(t)
		say("read while sealed", s.Token, http.MethodGet, "secret/data/x", nil)
		say("log in while sealed", "", http.MethodPut, "auth/approle/login", map[string]any{"role_id": "x", "secret_id": "x"})
		s.Unseal(t)
	}
	return all
}

type sayer func(what, token, method, path string, body any) []byte

func keyValue(t *testing.T, s *Server, say sayer) {
	t.Helper()
	mount := s.Mount(t)
	data, metadata := mount+"/data/agentidp/credentials/one", mount+"/metadata/agentidp/credentials/one"
	write := func(what, token string, cas int) {
		say(what, token, http.MethodPut, data, map[string]any{"data": map[string]any{"a": "b"}, "options": map[string]any{"cas": cas}})
	}
	say("read what was never there", s.Token, http.MethodGet, data, nil)
	say("read metadata that was never there", s.Token, http.MethodGet, metadata, nil)
	say("destroy what was never there", s.Token, http.MethodPut, mount+"/destroy/agentidp/credentials/one", map[string]any{"versions": []int{1}})
	say("delete metadata that was never there", s.Token, http.MethodDelete, metadata, nil)
	say("write metadata", s.Token, http.MethodPut, metadata, map[string]any{"max_versions": 100, "cas_required": true})
	say("read metadata of no version", s.Token, http.MethodGet, metadata, nil)
	say("read no version", s.Token, http.MethodGet, data, nil)
	say("write without check-and-set", s.Token, http.MethodPut, data, map[string]any{"data": map[string]any{"a": "b"}})
	write("write the first", s.Token, 0)
	write("write the first again", s.Token, 0)
	write("write the second", s.Token, 1)
	write("write the second again", s.Token, 1)
	say("read the first", s.Token, http.MethodGet, data+"?version=1", nil)
	say("read the newest", s.Token, http.MethodGet, data, nil)
	say("read a version that is to come", s.Token, http.MethodGet, data+"?version=7", nil)
	say("read metadata", s.Token, http.MethodGet, metadata, nil)
	say("destroy the first", s.Token, http.MethodPut, mount+"/destroy/agentidp/credentials/one", map[string]any{"versions": []int{1}})
	say("read the destroyed", s.Token, http.MethodGet, data+"?version=1", nil)
	say("hide the newest", s.Token, http.MethodDelete, data, nil)
	say("read the hidden", s.Token, http.MethodGet, data, nil)
	write("write over the hidden as the first", s.Token, 0)
	say("delete metadata", s.Token, http.MethodDelete, metadata, nil)
	say("read after delete", s.Token, http.MethodGet, data, nil)
	say("read where nothing is mounted", s.Token, http.MethodGet, "nowhere/data/x", nil)
	say("read with an invalid token", "hvs.invalid", http.MethodGet, data, nil)
	say("read without a token", "", http.MethodGet, data, nil)
	say("read without the right", s.Restricted(t, ""), http.MethodGet, data, nil)
	write("write without the right", s.Restricted(t, ""), 0)
}

func transit(t *testing.T, s *Server, say sayer) {
	t.Helper()
	key := s.TransitKey(t)
	text := say("encrypt", s.Token, http.MethodPut, "transit/encrypt/"+key, map[string]any{"plaintext": "a2V5"})
	var answer struct{ Data struct{ Ciphertext string } }
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatal(err)
	}
	wrapped := map[string]any{"ciphertext": answer.Data.Ciphertext}
	say("decrypt", s.Token, http.MethodPut, "transit/decrypt/"+key, wrapped)
	s.RotateTransitKey(t, key)
	say("rewrap", s.Token, http.MethodPut, "transit/rewrap/"+key, wrapped)
	say("decrypt the old", s.Token, http.MethodPut, "transit/decrypt/"+key, wrapped)
	say("decrypt with another key", s.Token, http.MethodPut, "transit/decrypt/"+s.TransitKey(t), wrapped)
	say("decrypt with a key that was never there", s.Token, http.MethodPut, "transit/decrypt/nokey", wrapped)
	say("decrypt something else", s.Token, http.MethodPut, "transit/decrypt/"+key, map[string]any{"ciphertext": "vault:v1:c29tZXRoaW5nIGVsc2UgdGhhdCBpcyBsb25nIGVub3VnaA=="})
}

func tokens(t *testing.T, s *Server, say sayer) {
	t.Helper()
	token := s.NewToken(t, time.Hour, 0, true)
	say("look up a token", token, http.MethodGet, "auth/token/lookup-self", nil)
	say("look up a token that never expires", s.NewToken(t, 0, 0, false), http.MethodGet, "auth/token/lookup-self", nil)
	say("look up root's token", s.Token, http.MethodGet, "auth/token/lookup-self", nil)
	say("renew a token", token, http.MethodPut, "auth/token/renew-self", map[string]any{})
	say("renew a token that is not renewable", s.NewToken(t, time.Hour, 0, false), http.MethodPut, "auth/token/renew-self", map[string]any{})
	s.Revoke(t, token)
	say("look up a revoked token", token, http.MethodGet, "auth/token/lookup-self", nil)
	say("renew a revoked token", token, http.MethodPut, "auth/token/renew-self", map[string]any{})
}

func logins(t *testing.T, s *Server, say sayer) {
	t.Helper()
	roleID, secretID := s.AppRole(t, time.Hour, time.Hour)
	say("log in by AppRole", "", http.MethodPut, "auth/approle/login", map[string]any{"role_id": roleID, "secret_id": secretID})
	say("log in by AppRole with another secret", "", http.MethodPut, "auth/approle/login", map[string]any{"role_id": roleID, "secret_id": "x"})
	say("log in by AppRole with another role", "", http.MethodPut, "auth/approle/login", map[string]any{"role_id": "x", "secret_id": secretID})
	role, jwt := s.Kubernetes(t, time.Hour)
	say("log in by Kubernetes", "", http.MethodPut, "auth/kubernetes/login", map[string]any{"role": role, "jwt": jwt})
	stranger := unsigned(t, map[string]any{"iss": "https://kubernetes.default.svc", "nbf": 1, "iat": 1, "exp": 4102444800,
		"kubernetes.io": map[string]any{"namespace": "default", "serviceaccount": map[string]any{"name": "other", "uid": "2"}}})
	say("log in by Kubernetes as another", "", http.MethodPut, "auth/kubernetes/login", map[string]any{"role": role, "jwt": stranger})
	say("log in by Kubernetes in no role", "", http.MethodPut, "auth/kubernetes/login", map[string]any{"role": "norole", "jwt": jwt})
}

// varying are the members that differ from run to run.
var varying = []string{
	"request_id", "created_time", "updated_time", "deletion_time", "client_token", "accessor", "creation_time", "expire_time",
	"issue_time", "last_renewal", "last_renewal_time", "id", "entity_id", "ttl", "lease_duration", "role_name", "role", "display_name",
	"service_account_uid", "warnings",
}

var varyingText = regexp.MustCompile(`(vault:v\d+:).*`)

// masked puts stars where values vary. A value of no content, as null, 0 or "", stays.
func masked(name string, value any) any {
	if slices.Contains(varying, name) {
		if text := fmt.Sprint(value); text == "" || text == "0" || text == "<nil>" {
			return value
		}
		return "*"
	}
	switch value := value.(type) {
	case map[string]any:
		for name, member := range value {
			value[name] = masked(name, member)
		}
		return value
	case []any:
		for i, element := range value {
			value[i] = masked("", element)
		}
		return value
	case string:
		if strings.HasPrefix(value, "vault:v") {
			return varyingText.ReplaceAllString(value, "$1*")
		}
	}
	return value
}
