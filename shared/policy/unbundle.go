package policy

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing/fstest"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"

	"github.com/sentryagent/agentidp/shared/token"
)

const (
	// MaxBundle bounds a packed bundle, in bytes.
	MaxBundle = maxSource + maxSigned
	maxSigned = 1 << 20 // manifest and signature
)

// OpenedBundle is a bundle whose signature is right. What its rules are worth, loading shows.
type OpenedBundle struct {
	Folder   fs.FS  // for New and Reload
	Revision string // of the engine that they make
	KeyID    string // of the key that signed
}

// OpenBundle verifies a bundle as Engine.Bundle makes them: signed by issuer
// with one of keys, exactly the files that were signed, nothing but a policy's
// files, and the roots that they own. It unpacks at most 5 MiB. The error wraps
// token.ErrUnknownKey when the key is not one of keys.
func OpenBundle(packed []byte, issuer string, keys token.Keys) (*OpenedBundle, error) {
	opened, err := openBundle(packed, issuer, keys)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	return opened, nil
}

func openBundle(packed []byte, issuer string, keys token.Keys) (*OpenedBundle, error) {
	files, err := unpack(packed)
	if err != nil {
		return nil, err
	}
	kid, err := verifySignature(files, issuer, keys)
	if err != nil {
		return nil, err
	}
	manifest, err := verifyFiles(files, kid, keys)
	if err != nil {
		return nil, err
	}
	folder := fstest.MapFS{}
	for _, f := range files {
		if f.Name != manifestName && f.Name != signaturesName {
			folder[f.Name] = &fstest.MapFile{Data: f.Content, Mode: 0o444}
		}
	}
	// The manifest must say what the files are, not what OPA would let it claim.
	s, err := load(folder, capabilities())
	if err != nil {
		return nil, err
	}
	roots := slices.Sorted(slices.Values(*manifest.Roots))
	switch {
	case manifest.Revision != s.revision:
		return nil, fmt.Errorf("the manifest is of revision %.64q, the files are %s", manifest.Revision, s.revision)
	case !slices.Equal(roots, s.roots()):
		return nil, fmt.Errorf("the manifest claims the roots %.200q, the files have %q", roots, s.roots())
	}
	return &OpenedBundle{Folder: folder, Revision: s.revision, KeyID: kid}, nil
}

// BundleSignature is the compact JWS of a packed bundle, unverified: for finding its key.
func BundleSignature(packed []byte) (string, error) {
	files, err := unpack(packed)
	if err != nil {
		return "", fmt.Errorf("bundle: %w", err)
	}
	return signatureOf(files)
}

// unpack reads a gzipped tar of a policy's files, flat, each name once.
func unpack(packed []byte) ([]File, error) {
	if len(packed) > MaxBundle {
		return nil, fmt.Errorf("it is larger than %d bytes", MaxBundle)
	}
	compressed, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	const limit = maxSource + maxSigned
	bounded := &io.LimitedReader{R: compressed, N: limit + 1}
	var files []File
	for archive := tar.NewReader(bounded); ; {
		header, err := archive.Next()
		if bounded.N <= 0 {
			return nil, fmt.Errorf("it unpacks to more than %d bytes", limit)
		}
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		known := header.Name == manifestName || header.Name == signaturesName || slices.Contains(dataNames, header.Name) ||
			strings.HasSuffix(header.Name, moduleSuffix) && !strings.HasPrefix(header.Name, ".") && !strings.Contains(header.Name, "/")
		switch {
		case header.Typeflag != tar.TypeReg || !known:
			return nil, fmt.Errorf("%.100q is no file of a policy", header.Name)
		case slices.ContainsFunc(files, func(f File) bool { return f.Name == header.Name }):
			return nil, fmt.Errorf("%s is in it twice", header.Name)
		}
		content, err := io.ReadAll(archive)
		if bounded.N <= 0 {
			return nil, fmt.Errorf("it unpacks to more than %d bytes", limit)
		}
		if err != nil {
			return nil, err
		}
		files = append(files, File{header.Name, content})
	}
}

func signatureOf(files []File) (string, error) {
	content := named(files, signaturesName)
	if content == nil {
		return "", errors.New("it is not signed")
	}
	var signatures bundle.SignaturesConfig
	if err := json.Unmarshal(content, &signatures); err != nil {
		return "", fmt.Errorf("%s: %w", signaturesName, err)
	}
	if len(signatures.Signatures) != 1 || signatures.Plugin != "" {
		return "", fmt.Errorf("%s must hold one signature and name no plugin", signaturesName)
	}
	return signatures.Signatures[0], nil
}

func named(files []File, name string) []byte {
	i := slices.IndexFunc(files, func(f File) bool { return f.Name == name })
	if i < 0 {
		return nil
	}
	return files[i].Content
}

// verifySignature holds the one signature to the rules that every document of
// the issuer's must keep, which are stricter than OPA's.
func verifySignature(files []File, issuer string, keys token.Keys) (kid string, err error) {
	jws, err := signatureOf(files)
	if err != nil {
		return "", err
	}
	payload, kid, err := token.VerifyJWS(jws, BundleType, keys, maxSigned)
	if err != nil {
		return "", err
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return "", fmt.Errorf("signature: %w", err)
	}
	if claims.Issuer != issuer {
		return "", fmt.Errorf("it is of issuer %.200q", claims.Issuer)
	}
	return kid, nil
}

// verifyFiles lets OPA verify: the signature again, the hash of each file, that
// none is missing or unsigned, and that everything lies within the roots.
func verifyFiles(files []File, kid string, keys token.Keys) (*bundle.Manifest, error) {
	key, err := keys.Key(kid)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	public := &bundle.KeyConfig{Key: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), Algorithm: token.Algorithm}
	// Packed again, so that OPA sees what we saw and nothing behind it.
	again, err := pack(files)
	if err != nil {
		return nil, err
	}
	read, err := bundle.NewReader(bytes.NewReader(again)).WithRegoVersion(ast.RegoV1).WithCapabilities(capabilities()).WithSizeLimitBytes(maxSource).
		WithBundleVerificationConfig(bundle.NewVerificationConfig(map[string]*bundle.KeyConfig{kid: public}, "", "", nil)).Read()
	if err != nil {
		return nil, err
	}
	if read.Manifest.Roots == nil {
		return nil, errors.New("the manifest names no roots")
	}
	return &read.Manifest, nil
}
