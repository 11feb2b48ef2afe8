package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
)

// component is one thing that a release contains.
type component struct {
	kind, name, version string // kind of package URL: golang, npm
	sum                 string // h1:… of go.sum
	licences            []string
	texts               []string // licence and notice files, where we have them
	in                  []string // programs and packages that contain it
}

// program is a built file and what is linked into it.
type program struct {
	info       *debug.BuildInfo
	components []component
}

// listed is what `go list -json` says of a package.
type listed struct {
	Dir      string
	Standard bool
	Module   *struct {
		Path, Version, Dir string
		Main               bool
	}
}

// linked reads the modules out of the built file, and finds their licences where
// their linked packages are. File and tree must agree.
func linked(root, file, pkg string) (program, error) {
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return program{}, err
	}
	packages, err := list(root, pkg, info)
	if err != nil {
		return program{}, err
	}
	folders := map[string][]string{} // module@version → folders of linked packages
	tops := map[string]string{}
	for _, p := range packages {
		if p.Standard || p.Module == nil || p.Module.Main {
			continue
		}
		id := p.Module.Path + "@" + p.Module.Version
		folders[id], tops[id] = append(folders[id], p.Dir), p.Module.Dir
	}
	name := filepath.Base(file)
	var found []component
	for _, module := range info.Deps {
		if module.Replace != nil {
			return program{}, fmt.Errorf("%s is replaced: nobody could fetch what was built", module.Path)
		}
		id := module.Path + "@" + module.Version
		if tops[id] == "" {
			return program{}, fmt.Errorf("%s is in the file, but not in the tree: build it again", id)
		}
		c := component{kind: "golang", name: module.Path, version: module.Version, sum: module.Sum, in: []string{name}}
		if err := c.findLicences(tops[id], folders[id]); err != nil {
			return program{}, fmt.Errorf("%s: %w", id, err)
		}
		delete(tops, id)
		found = append(found, c)
	}
	for id := range tops {
		return program{}, fmt.Errorf("%s is in the tree, but not in the file: build it again", id)
	}
	std, err := standardLibrary(root, info.GoVersion, name)
	return program{info, append(found, std)}, err
}

// list names the packages of a program for the platform and tags it was built with.
func list(root, pkg string, info *debug.BuildInfo) ([]listed, error) {
	args := []string{"list", "-deps", "-json=Dir,Standard,Module"}
	env := append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "GOFLAGS=") || strings.HasPrefix(v, "PWD=")
	}), "GOWORK=off") // as `make build`: go.mod alone says what is released
	for _, set := range info.Settings {
		switch set.Key {
		case "-tags":
			args = append(args, "-tags="+set.Value)
		case "GOOS", "GOARCH", "GOAMD64", "CGO_ENABLED":
			env = append(env, set.Key+"="+set.Value)
		}
	}
	command := exec.CommandContext(context.Background(), "go", append(args, "./"+pkg)...) //nolint:gosec // the tree's own packages
	command.Dir, command.Env, command.Stderr = root, env, os.Stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var packages []listed
	for in := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		switch err := in.Decode(&p); {
		case errors.Is(err, io.EOF):
			return packages, nil
		case err != nil:
			return nil, err
		}
		packages = append(packages, p)
	}
}

func standardLibrary(root, version, in string) (component, error) {
	command := exec.CommandContext(context.Background(), "go", "env", "GOROOT")
	command.Dir = root
	out, err := command.Output()
	if err != nil {
		return component{}, fmt.Errorf("go env: %w", err)
	}
	c := component{kind: "golang", name: "std", version: strings.TrimPrefix(version, "go"), in: []string{in}}
	top := strings.TrimSpace(string(out))
	return c, c.findLicences(top, []string{top})
}
