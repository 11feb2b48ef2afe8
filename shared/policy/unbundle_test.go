package policy

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"testing/fstest"

	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/policies"
	"github.com/sentryagent/agentidp/shared/token"
)

const issuer = "https://idp.example"

// Key makes a signer the key set that a sidecar has.
func (s signer) Key(kid string) (*token.Key, error) {
	if kid != "k-1" {
		return nil, token.ErrUnknownKey
	}
	return token.NewKey(&s.key.PublicKey), nil
}

// signed packs files as a bundle under a manifest, whatever they are worth.
func signed(t *testing.T, s signer, manifest bundle.Manifest, files ...File) []byte {
	t.Helper()
	text, err := json.Marshal(manifest)
	require.NoError(t, err)
	files = append(files, File{manifestName, text})
	payload, err := signedFiles(issuer, files)
	require.NoError(t, err)
	jws, err := s.sign(payload)
	require.NoError(t, err)
	signatures, err := json.Marshal(bundle.SignaturesConfig{Signatures: []string{jws}})
	require.NoError(t, err)
	packed, err := pack(append(files, File{signaturesName, signatures}))
	require.NoError(t, err)
	return packed
}

func TestOpenBundle(t *testing.T) {
	s := newSigner(t)
	e := builtIn(t)
	opened, err := OpenBundle(packed(t, e, s), issuer, s)
	require.NoError(t, err)
	require.Equal(t, e.Revision(), opened.Revision)
	require.Equal(t, "k-1", opened.KeyID)
	again, err := New(t.Context(), opened.Folder, Options{Timeout: patient})
	require.NoError(t, err)
	require.Equal(t, e.Revision(), again.Revision())
	require.Equal(t, e.Files(), again.Files())
	jws, err := BundleSignature(packed(t, e, s))
	require.NoError(t, err)
	_, kid, err := token.VerifyJWS(jws, BundleType, s, maxSigned)
	require.NoError(t, err)
	require.Equal(t, "k-1", kid)
}

func TestBundlesThatAreRefused(t *testing.T) {
	s := newSigner(t)
	e := builtIn(t)
	good := packed(t, e, s)
	refuse := func(text string, packed []byte) {
		t.Helper()
		_, err := OpenBundle(packed, issuer, s)
		require.ErrorContains(t, err, text)
	}
	_, err := OpenBundle(good, issuer, newSigner(t))
	require.ErrorContains(t, err, "signature", "another key under the same kid")
	_, err = OpenBundle(good, issuer, &token.KeySet{})
	require.ErrorIs(t, err, token.ErrUnknownKey)
	_, err = OpenBundle(good, "https://other.example", s)
	require.ErrorContains(t, err, "issuer")
	_, err = BundleSignature([]byte("x"))
	require.Error(t, err)

	change := func(name, old, replacement string) []byte {
		return repacked(t, good, func(folder fstest.MapFS) {
			require.Contains(t, string(folder[name].Data), old)
			folder[name] = &fstest.MapFile{Data: bytes.Replace(folder[name].Data, []byte(old), []byte(replacement), 1)}
		})
	}
	refuse("authz.rego", change("authz.rego", "false", "true "))
	refuse(".manifest", change(manifestName, `"revision":"`, `"revision":"0`))
	refuse("revision", change("data.yaml", "#", "# ")) // means the same to OPA, and is another text
	refuse("plugin", change(signaturesName, "{", `{"plugin":"other",`))
	refuse("more.rego", repacked(t, good, func(f fstest.MapFS) { f["more.rego"] = &fstest.MapFile{Data: []byte("package more\n")} }))
	refuse("own.rego", repacked(t, good, func(f fstest.MapFS) { delete(f, "own.rego") }))
	refuse("not signed", repacked(t, good, func(f fstest.MapFS) { delete(f, signaturesName) }))
	refuse("gzip", []byte("not a bundle"))
	refuse("unexpected EOF", good[:len(good)/2])

	rule := File{"authz.rego", []byte("package agentidp.authz\n\n" + answer(true, "x"))}
	own := []string{"agentidp/authz"}
	revised := revision([]File{rule})
	ok := signed(t, s, bundle.Manifest{Revision: revised, Roots: &own}, rule)
	_, err = OpenBundle(ok, issuer, s)
	require.NoError(t, err)
	for _, roots := range [][]string{{"agentidp"}, {""}, {"agentidp/authz", "system"}, {"agentidp/authz", "teams"}} {
		refuse("roots", signed(t, s, bundle.Manifest{Revision: revised, Roots: &roots}, rule))
	}
	refuse("revision", signed(t, s, bundle.Manifest{Revision: "other", Roots: &own}, rule))
	refuse("rego_parse_error", signed(t, s, bundle.Manifest{Revision: revised, Roots: &own}, File{"authz.rego", []byte("package agentidp.authz\n\ndecision := ")}))
	for _, name := range []string{"sub/a.rego", "../a.rego", "/a.rego", ".a.rego", "policy.wasm", "patch.json", "notes.txt"} {
		packed, err := pack([]File{{name, []byte("package a\n")}})
		require.NoError(t, err)
		refuse("is no file of a policy", packed)
	}
	twice, err := pack([]File{rule, rule})
	require.NoError(t, err)
	refuse("twice", twice)
}

// zeros are endless.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A bomb of 2 GiB is given up after 5 MiB.
func TestE6_GzipBomb(t *testing.T) {
	var bomb bytes.Buffer
	compressed, err := gzip.NewWriterLevel(&bomb, gzip.BestSpeed)
	require.NoError(t, err)
	archive := tar.NewWriter(compressed)
	const size = 2 << 30
	require.NoError(t, archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "data.json", Mode: 0o644, Size: size}))
	_, err = io.CopyN(archive, zeros{}, 64<<20) // the reader must not come so far
	require.NoError(t, err)
	require.NoError(t, compressed.Close())
	_, err = OpenBundle(bomb.Bytes(), issuer, newSigner(t))
	require.ErrorContains(t, err, "unpacks to more than")

	_, err = OpenBundle(make([]byte, MaxBundle+1), issuer, newSigner(t))
	require.ErrorContains(t, err, "larger than")
}

// A sidecar on the bundle decides as on the built-in policy, and may remember
// as much: what agents may do to themselves plays no part there.
func TestBundleDecidesAsTheBuiltInPolicy(t *testing.T) {
	s := newSigner(t)
	opened, err := OpenBundle(packed(t, builtIn(t), s), issuer, s)
	require.NoError(t, err)
	served, err := New(t.Context(), opened.Folder, Options{Timeout: patient, Sidecar: true})
	require.NoError(t, err)
	require.Equal(t, builtIn(t).Revision(), served.Revision(), "what the IdP says is in force")
	require.Equal(t, builtIn(t).Tests(), served.Tests(), "the tests see the whole policy")
	require.Equal(t, InputUse{Scope: true}, served.Uses())
	require.True(t, builtIn(t).Uses().Path)

	built, err := New(t.Context(), policies.Sidecar, Options{Timeout: patient, Sidecar: true})
	require.NoError(t, err)
	require.Equal(t, built.Uses(), served.Uses())
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	for range 2000 {
		in := sample()
		in.Agent.ID = pick("", "a-1")
		in.Token.Scope = []string{pick("notes:read", "notes:*", "*:read", "*:*", "agents:read", "*", ""), pick("notes:write", "x:y")}
		in.Route = Route{ID: pick("/api/v1/agents/{id}", "/notes/{id}", "/**"), Capability: pick("notes:read", "notes:write", "agents:read", "public", "")}
		in.Request.Path = pick("/api/v1/agents/a-1", "/notes/7", "/api/v1/agents/a-1/credentials")
		want, err := built.Decide(t.Context(), in)
		require.NoError(t, err)
		got, err := served.Decide(t.Context(), in)
		require.NoError(t, err)
		want.Revision = got.Revision
		require.Equal(t, want, got, fmt.Sprintf("%+v", in))
	}
	// Not even with the name of an operation.
	in := sample()
	in.Route, in.Request.Path, in.Token.Scope = Route{ID: "getAgent", Capability: "agents:read"}, "/api/v1/agents/a-1", nil
	d, err := served.Decide(t.Context(), in)
	require.NoError(t, err)
	require.False(t, d.Allow)
	d, err = builtIn(t).Decide(t.Context(), in)
	require.NoError(t, err)
	require.True(t, d.Allow)
}

func TestEmptyHolder(t *testing.T) {
	h := NewEmptyHolder(Options{Timeout: patient})
	d, err := h.Decide(t.Context(), sample())
	requireUnavailable(t, ReasonMissing, d, err)
	require.Empty(t, h.Revision())
	require.Equal(t, Status{}, h.Status())
	engine, epoch := h.Current()
	require.Zero(t, epoch)
	require.Equal(t, everything, engine.Uses())
	require.Empty(t, engine.Files())
	require.Error(t, h.Reload(t.Context(), authz("decision :=")))
	_, err = h.Decide(t.Context(), sample())
	require.Error(t, err)
	require.NoError(t, h.Reload(t.Context(), authz(answer(true, "x"))))
	d, err = h.Decide(t.Context(), sample())
	require.NoError(t, err)
	require.True(t, d.Allow)
	require.EqualValues(t, 1, h.Epoch())
}
