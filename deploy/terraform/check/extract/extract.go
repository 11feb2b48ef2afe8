// Package extract makes facts out of npm packages: the bindings that were generated
// from each provider's own schema.
package extract

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sentryagent/agentidp/deploy/terraform/check/schema"
)

// Types are the resource and data source types of one provider that modules use.
type Types struct{ Resources, Data map[string]bool }

// Run writes NAME.json into the folder dir for each provider in use, out of the npm
// packages in the folder packages.
func Run(dir, packages string, used map[string]Types) error {
	list, err := schema.Packages(dir)
	if err != nil {
		return err
	}
	var missing []error
	for _, p := range list {
		of, ok := used[p.Name]
		if !ok {
			continue
		}
		f, err := read(p, packages, of)
		if err != nil {
			return fmt.Errorf("%s %s: %w", p.Package, p.Release, err)
		}
		missing = append(missing, lacks(f, of)...)
		var out bytes.Buffer
		encoder := json.NewEncoder(&out)
		encoder.SetIndent("", "\t")
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(f); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, p.Name+".json"), out.Bytes(), 0o644); err != nil { //nolint:gosec // it is committed
			return err
		}
	}
	return errors.Join(missing...)
}

// file is what `npm pack` calls the package.
func file(p schema.Package) string {
	return strings.ReplaceAll(strings.TrimPrefix(p.Package, "@"), "/", "-") + "-" + p.Release + ".tgz"
}

func read(p schema.Package, packages string, of Types) (*schema.Provider, error) {
	raw, err := os.ReadFile(filepath.Join(packages, file(p)))
	if err != nil {
		return nil, err
	}
	if sum := sha512.Sum512(raw); "sha512-"+base64.StdEncoding.EncodeToString(sum[:]) != p.Integrity {
		return nil, errors.New("the package is not the one whose digest facts/providers.json has")
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	f := &schema.Provider{Source: p.Source, Package: p.Package + "@" + p.Release, Resources: map[string]*schema.Body{}, Data: map[string]*schema.Body{}}
	files := tar.NewReader(unzipped)
	for {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return f, nil
		}
		if err != nil {
			return nil, err
		}
		wanted, data := wants(p, header.Name, of)
		if !wanted {
			continue
		}
		built, err := io.ReadAll(files)
		if err != nil {
			return nil, err
		}
		if err := add(f, built, data); err != nil {
			return nil, fmt.Errorf("%s: %w", header.Name, err)
		}
	}
}

// wants tells from a file's folder whether a type of ours is in it. Folders are
// written aws_lb as lb, and the data source data-aws-lb; where the dashes go is
// left open.
func wants(p schema.Package, name string, of Types) (wanted, data bool) {
	if path.Base(name) != "index.js" {
		return false, false
	}
	folder := path.Base(path.Dir(name))
	if folder == "provider" {
		return true, false
	}
	plain := func(name string) string { return strings.NewReplacer("-", "", "_", "").Replace(name) }
	for kind := range of.Data {
		if plain("data"+kind) == plain(folder) {
			return true, true
		}
	}
	for kind := range of.Resources {
		if plain(strings.TrimPrefix(kind, p.Name+"_")) == plain(folder) {
			return true, false
		}
	}
	return false, false
}

func add(f *schema.Provider, built []byte, data bool) error {
	b, text, err := readBinding(built)
	if err != nil {
		return err
	}
	for name, of := range b.classes {
		if !slices.Contains([]string{"TerraformResource", "TerraformDataSource", "TerraformProvider"}, of.base) {
			continue
		}
		s, err := b.body(name, name+"Config")
		if err != nil {
			return err
		}
		kind := resource.FindStringSubmatch(text)
		if kind == nil {
			return errors.New("the type's name is not there")
		}
		switch {
		case of.base == "TerraformProvider":
			f.Configuration = &s
			f.Configuration.Attributes["alias"] = "optional string"
			f.Version = release.FindStringSubmatch(text)[1]
		case data:
			f.Data[kind[1]] = &s
		default:
			f.Resources[kind[1]] = &s
		}
	}
	return nil
}

// lacks says which types the package does not have.
func lacks(f *schema.Provider, of Types) []error {
	var missing []error
	for kind := range of.Resources {
		if f.Resources[kind] == nil {
			missing = append(missing, fmt.Errorf("%s has no resource %s", f.Package, kind))
		}
	}
	for kind := range of.Data {
		if f.Data[kind] == nil {
			missing = append(missing, fmt.Errorf("%s has no data source %s", f.Package, kind))
		}
	}
	return missing
}
