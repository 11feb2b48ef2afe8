package policy

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/util"
)

// BundleType is the typ of the JWS that signs a bundle; no access token has it.
const BundleType = "agentidp-bundle+jwt"

const (
	manifestName   = ".manifest"
	signaturesName = ".signatures.json"
)

// Bundle packs the policy as an OPA bundle: every file as it was loaded, a
// manifest with the revision and the roots, and a signature over all of them,
// which OPA verifies. issuer says who signs; sign makes a compact JWS over a
// payload, with RS256 and the key's kid. The same policy and the same signature
// give the same bytes.
func (e *Engine) Bundle(issuer string, sign func(payload []byte) (string, error)) ([]byte, error) {
	manifest, err := e.source.manifest()
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	files := append([]File{{manifestName, manifest}}, e.source.files...)
	payload, err := signedFiles(issuer, files)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	jws, err := sign(payload)
	if err != nil {
		return nil, err
	}
	signatures, err := json.Marshal(bundle.SignaturesConfig{Signatures: []string{jws}})
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	return pack(append([]File{{signaturesName, signatures}}, files...))
}

// manifest says which policy it is, and which part of OPA's documents it owns.
func (s *source) manifest() ([]byte, error) {
	roots, version := s.roots(), ast.RegoV1.Int()
	return json.Marshal(bundle.Manifest{Revision: s.revision, Roots: &roots, RegoVersion: &version})
}

// signedFiles is the payload of a bundle's signature. It has no time of
// signing, so that every replica makes the same bytes.
func signedFiles(issuer string, files []File) ([]byte, error) {
	hasher, err := bundle.NewSignatureHasher(bundle.SHA256)
	if err != nil {
		return nil, err
	}
	payload := struct {
		Issuer string            `json:"iss"`
		Files  []bundle.FileInfo `json:"files"`
	}{Issuer: issuer}
	for _, f := range files {
		var content any = f.Content
		if bundle.IsStructuredDoc(f.Name) { // hashed by what it means
			if err := util.Unmarshal(f.Content, &content); err != nil {
				return nil, fmt.Errorf("%s: %w", f.Name, err)
			}
		}
		hash, err := hasher.HashFile(content)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		payload.Files = append(payload.Files, bundle.NewFile(f.Name, hex.EncodeToString(hash), string(bundle.SHA256)))
	}
	return json.Marshal(payload)
}

// pack writes a gzipped tar without times and owners.
func pack(files []File) ([]byte, error) {
	var buffer bytes.Buffer
	compressed := gzip.NewWriter(&buffer)
	archive := tar.NewWriter(compressed)
	for _, f := range files {
		header := tar.Header{Typeflag: tar.TypeReg, Name: f.Name, Mode: 0o644, Size: int64(len(f.Content)), ModTime: time.Unix(0, 0)}
		if err := archive.WriteHeader(&header); err != nil {
			return nil, fmt.Errorf("bundle: %w", err)
		}
		if _, err := archive.Write(f.Content); err != nil {
			return nil, fmt.Errorf("bundle: %w", err)
		}
	}
	if err := archive.Close(); err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	if err := compressed.Close(); err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	return buffer.Bytes(), nil
}

// roots are the packages of the policy and what of its data lies in none of
// them: as little as it needs, so that other bundles may be loaded beside it.
// None lies in another.
func (s *source) roots() []string {
	var roots []string
	for _, module := range s.modules {
		path, err := storage.NewPathForRef(module.Package.Path)
		if err != nil {
			return []string{""} // a name that no root can say
		}
		roots = append(roots, root(path))
	}
	roots = append(roots, dataRoots(nil, s.data, roots)...)
	slices.Sort(roots)
	var outer []string
	for _, r := range roots {
		if !bundle.RootPathsContain(outer, r) {
			outer = append(outer, r)
		}
	}
	return outer
}

// root is the path as a manifest says it; what no root can say belongs to the
// place above it.
func root(path []string) string {
	for i, segment := range path {
		if segment == "" || strings.Contains(segment, "/") {
			path = path[:i]
			break
		}
	}
	return strings.Join(path, "/")
}

// dataRoots walks down the data as long as a package lies below, and takes
// what lies beside it.
func dataRoots(path []string, value ast.Value, packages []string) (roots []string) {
	object, isObject := value.(ast.Object)
	below := func(p string) bool { return path == nil || strings.HasPrefix(p, root(path)+"/") }
	if !isObject || !slices.ContainsFunc(packages, below) {
		return []string{root(path)}
	}
	object.Foreach(func(name, member *ast.Term) {
		key, isString := name.Value.(ast.String)
		if !isString {
			return // JSON has no others
		}
		roots = append(roots, dataRoots(append(slices.Clone(path), string(key)), member.Value, packages)...)
	})
	return roots
}
