package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"go.yaml.in/yaml/v3"
)

// maxSource bounds all files of one policy together, in bytes.
const maxSource = 4 << 20

const (
	moduleSuffix = ".rego"
	testSuffix   = "_test.rego"
)

var dataNames = []string{"data.yaml", "data.yml", "data.json"}

// source is one policy as read: parsed, not compiled. Files of other names are ignored.
type source struct {
	files    []File                 // as read, sorted by name
	modules  map[string]*ast.Module // by file name, tests included
	data     ast.Object             // the data document
	store    storage.Store          // of data, never written again
	revision string
	sidecar  bool // Options.Sidecar
}

// File is one file that belongs to a policy.
type File struct {
	Name    string
	Content []byte
}

// own is the package of rules for the management API only.
var own = ast.MustParseRef("data.agentidp.own")

func load(folder fs.FS, capabilities *ast.Capabilities) (*source, error) {
	files, err := readFiles(folder)
	if err != nil {
		return nil, err
	}
	s := &source{files: files, modules: map[string]*ast.Module{}, data: ast.NewObject(), revision: revision(files)}
	var dataName string
	for _, f := range files {
		if strings.HasSuffix(f.Name, moduleSuffix) {
			options := ast.ParserOptions{RegoVersion: ast.RegoV1, Capabilities: capabilities}
			if s.modules[f.Name], err = ast.ParseModuleWithOpts(f.Name, string(f.Content), options); err != nil {
				return nil, err
			}
			continue
		}
		if dataName != "" {
			return nil, fmt.Errorf("both %s and %s: a policy has one data file", dataName, f.Name)
		}
		dataName = f.Name
		if s.data, err = parseData(f.Content); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	if len(s.runtime()) == 0 {
		return nil, errors.New("no .rego file besides tests")
	}
	s.store = inmem.NewFromASTObject(s.data)
	return s, nil
}

// runtime is the modules without the unit tests, which are compiled apart so
// that they can neither add rules to the policy nor widen what it reads.
func (s *source) runtime() map[string]*ast.Module {
	modules := map[string]*ast.Module{}
	for name, module := range s.modules {
		if !strings.HasSuffix(name, testSuffix) && !(s.sidecar && module.Package.Path.HasPrefix(own)) {
			modules[name] = module
		}
	}
	return modules
}

// readFiles lists the policy's files, sorted by name. Hidden entries are
// skipped, because a mounted Kubernetes volume keeps its copies there.
func readFiles(folder fs.FS) ([]File, error) {
	entries, err := fs.ReadDir(folder, ".")
	if err != nil {
		return nil, fmt.Errorf("policy folder: %w", err)
	}
	var files []File
	left := int64(maxSource)
	for _, entry := range entries {
		name := entry.Name()
		switch {
		case strings.HasPrefix(name, "."):
			continue
		case entry.IsDir():
			return nil, fmt.Errorf("policy folder: %s is a folder; a policy is flat", name)
		case !strings.HasSuffix(name, moduleSuffix) && !slices.Contains(dataNames, name):
			continue
		}
		content, err := readFile(folder, name, left)
		if err != nil {
			return nil, fmt.Errorf("policy folder: %w", err)
		}
		left -= int64(len(content))
		files = append(files, File{name, content})
	}
	return files, nil
}

func readFile(folder fs.FS, name string, left int64) (content []byte, err error) {
	info, err := fs.Stat(folder, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	opened, err := folder.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	content, err = io.ReadAll(io.LimitReader(opened, left+1))
	if err == nil && int64(len(content)) > left {
		err = fmt.Errorf("%s: the policy is larger than %d bytes", name, maxSource)
	}
	return content, err
}

// revision identifies the files: a prefix of the SHA-256 over names and
// contents in order, each preceded by its length.
func revision(files []File) string {
	hash := sha256.New()
	part := func(b []byte) {
		hash.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b))))
		hash.Write(b)
	}
	for _, f := range files {
		part([]byte(f.Name))
		part(f.Content)
	}
	return hex.EncodeToString(hash.Sum(nil)[:16])
}

// parseData reads YAML, and so JSON too: one document, an object, no repeated keys.
func parseData(content []byte) (ast.Object, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var document map[string]any
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return ast.NewObject(), nil
	case err != nil:
		return nil, err
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("must hold one document")
	}
	text, err := json.Marshal(document) // refuses what JSON lacks: NaN, keys that are not strings
	if err != nil {
		return nil, err
	}
	value, err := ast.ValueFromReader(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	object, ok := value.(ast.Object)
	if !ok {
		return nil, errors.New("must be an object")
	}
	return object, nil
}
