package policy

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"testing"
	"testing/fstest"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/policies"
)

// signer is a key and what OPA needs to verify with it.
type signer struct {
	key    *rsa.PrivateKey
	config *bundle.VerificationConfig
}

func newSigner(t *testing.T) signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	require.NoError(t, err)
	public := &bundle.KeyConfig{Key: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), Algorithm: "RS256"}
	return signer{key, bundle.NewVerificationConfig(map[string]*bundle.KeyConfig{"k-1": public}, "", "", nil)}
}

func (s signer) sign(payload []byte) (string, error) {
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","kid":"k-1","typ":"`+BundleType+`"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload)
	digest := sha256.Sum256([]byte(text))
	signature, err := s.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), err
}

func builtIn(t *testing.T) *Engine {
	t.Helper()
	e, err := New(t.Context(), policies.Files, Options{Timeout: patient})
	require.NoError(t, err)
	return e
}

func packed(t *testing.T, e *Engine, s signer) []byte {
	t.Helper()
	packed, err := e.Bundle("https://idp.example", s.sign)
	require.NoError(t, err)
	return packed
}

func opened(s signer, packed []byte) (bundle.Bundle, error) {
	return bundle.NewReader(bytes.NewReader(packed)).WithBundleVerificationConfig(s.config).WithRegoVersion(ast.RegoV1).Read()
}

// unpacked is the bundle as a folder.
func unpacked(t *testing.T, packed []byte) fstest.MapFS {
	t.Helper()
	compressed, err := gzip.NewReader(bytes.NewReader(packed))
	require.NoError(t, err)
	folder := fstest.MapFS{}
	for archive := tar.NewReader(compressed); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return folder
		}
		require.NoError(t, err)
		content, err := io.ReadAll(archive)
		require.NoError(t, err)
		folder[header.Name] = &fstest.MapFile{Data: content}
	}
}

func TestBundleIsOPAs(t *testing.T) {
	s := newSigner(t)
	e := builtIn(t)
	read, err := opened(s, packed(t, e, s))
	require.NoError(t, err)
	require.Equal(t, e.Revision(), read.Manifest.Revision)
	require.Equal(t, []string{"agentidp/authz", "agentidp/authz_test", "agentidp/own", "agentidp/own_test", "agentidp/reserved"}, *read.Manifest.Roots)
	require.Len(t, read.Modules, 4)

	text, err := json.Marshal(sample())
	require.NoError(t, err)
	var input any
	require.NoError(t, json.Unmarshal(text, &input))
	results, err := rego.New(rego.Query(query), rego.ParsedBundle("authz", &read), rego.Input(input)).Eval(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string]any{"allow": true, "reason": "capability"}, results[0].Expressions[0].Value)
}

func TestBundleLoadsAsThePolicyItIs(t *testing.T) {
	s := newSigner(t)
	e := builtIn(t)
	again, err := New(t.Context(), unpacked(t, packed(t, e, s)), Options{Timeout: patient})
	require.NoError(t, err)
	require.Equal(t, e.Revision(), again.Revision())
	require.Equal(t, e.Tests(), again.Tests())
	require.Equal(t, e.Files(), again.Files())
}

func TestBundleIsTheSameBytes(t *testing.T) {
	s := newSigner(t)
	require.Equal(t, packed(t, builtIn(t), s), packed(t, builtIn(t), s))
}

// repacked changes one file of a bundle, or adds or removes one.
func repacked(t *testing.T, original []byte, change func(folder fstest.MapFS)) []byte {
	t.Helper()
	folder := unpacked(t, original)
	change(folder)
	var files []File
	for name, f := range folder {
		files = append(files, File{name, f.Data})
	}
	packed, err := pack(files)
	require.NoError(t, err)
	return packed
}

func TestChangedBundleIsRefused(t *testing.T) {
	s := newSigner(t)
	original := packed(t, builtIn(t), s)
	_, err := opened(s, repacked(t, original, func(fstest.MapFS) {}))
	require.NoError(t, err, "repacking changes nothing")
	flip := func(name, old, replacement string) func(fstest.MapFS) {
		return func(folder fstest.MapFS) {
			require.Contains(t, string(folder[name].Data), old)
			folder[name] = &fstest.MapFile{Data: bytes.Replace(folder[name].Data, []byte(old), []byte(replacement), 1)}
		}
	}
	for name, change := range map[string]func(fstest.MapFS){
		"a rule":           flip("authz.rego", "false", "true "),
		"a comment's byte": flip("authz.rego", "#", "# "),
		"the data":         flip("data.yaml", "- audit", "- audio"),
		"the revision":     flip(".manifest", `"revision":"`, `"revision":"0`),
		"a file more":      func(folder fstest.MapFS) { folder["more.rego"] = &fstest.MapFile{Data: []byte("package more\n")} },
		"a file less":      func(folder fstest.MapFS) { delete(folder, "own.rego") },
		"no signature":     func(folder fstest.MapFS) { delete(folder, ".signatures.json") },
	} {
		_, err := opened(s, repacked(t, original, change))
		require.Error(t, err, name)
	}
	_, err = opened(newSigner(t), original)
	require.Error(t, err, "another key under the same kid")
}

func TestRootsAreWhatThePolicyOwns(t *testing.T) {
	const decision = "package agentidp.authz\n\ndecision := {\"allow\": false, \"reason\": \"no\"}\n"
	s := newSigner(t)
	for name, fact := range map[string]struct {
		more, data string
		roots      []string
	}{
		"no data":                        {"", "", []string{"agentidp/authz"}},
		"data of its own":                {"", "{teams: {red: 1}, x: 2}", []string{"agentidp/authz", "teams", "x"}},
		"data beside a package":          {"", "{agentidp: {reserved: [a], limits: {x: 1}}}", []string{"agentidp/authz", "agentidp/limits", "agentidp/reserved"}},
		"data in a package":              {"", "{agentidp: {authz: {limit: 1}}}", []string{"agentidp/authz"}},
		"a package in a package":         {"package agentidp.authz.more\n\nx := 1\n", "", []string{"agentidp/authz"}},
		"a package far away":             {"package lib.text\n\nx := 1\n", "{lib: {words: []}}", []string{"agentidp/authz", "lib/text", "lib/words"}},
		"a name that no root can say":    {"package lib[\"a/b\"]\n\nx := 1\n", "", []string{"agentidp/authz", "lib"}},
		"a key that no root can say":     {"", "{lib: {\"a/b\": 1}}", []string{"agentidp/authz", "lib"}},
		"a top key that no root can say": {"", "{\"a/b\": 1}", []string{""}},
	} {
		folder := fstest.MapFS{"authz.rego": {Data: []byte(decision)}}
		if fact.more != "" {
			folder["more.rego"] = &fstest.MapFile{Data: []byte(fact.more)}
		}
		if fact.data != "" {
			folder["data.yaml"] = &fstest.MapFile{Data: []byte(fact.data)}
		}
		read, err := opened(s, packed(t, engine(t, folder), s))
		require.NoError(t, err, name)
		require.Equal(t, fact.roots, *read.Manifest.Roots, name)
	}
}

func TestBundleWithoutSignature(t *testing.T) {
	failure := errors.New("no key")
	_, err := builtIn(t).Bundle("https://idp.example", func([]byte) (string, error) { return "", failure })
	require.ErrorIs(t, err, failure)
}

func TestDataIsJSON(t *testing.T) {
	data, err := builtIn(t).Data()
	require.NoError(t, err)
	require.Contains(t, string(data), `{"agentidp":{"reserved":["agents",`)
	data, err = engine(t, fstest.MapFS{"authz.rego": {Data: []byte("package agentidp.authz\n\ndecision := 1\n")}}).Data()
	require.NoError(t, err)
	require.JSONEq(t, `{}`, string(data))
}
