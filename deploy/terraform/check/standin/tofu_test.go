//go:build tofu

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/deploy/terraform/check/schema"
)

// `make long-terraform` runs these; it builds OpenTofu and the stand-in into .cache
// first.
const (
	top   = "../.."
	tools = "../../../../.cache/terraform/"
)

// A world is a copy of the modules, and a folder of stand-ins where OpenTofu looks
// for providers.
type world struct {
	tree string
	env  []string
}

func newWorld(t *testing.T) world {
	t.Helper()
	dir := t.TempDir()
	facts, err := filepath.Abs(filepath.Join(top, "facts"))
	require.NoError(t, err)
	known, err := schema.Read(facts)
	require.NoError(t, err)
	built, err := os.ReadFile(tools + "standin")
	require.NoError(t, err, "run `make long-terraform`")
	for name, f := range known {
		folder := filepath.Join(dir, "mirror/registry.opentofu.org", f.Source, f.Version, runtime.GOOS+"_"+runtime.GOARCH)
		require.NoError(t, os.MkdirAll(folder, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(folder, "terraform-provider-"+name+"_v"+f.Version), built, 0o700))
	}
	config := filepath.Join(dir, "tofu.rc")
	require.NoError(t, os.WriteFile(config, []byte("provider_installation {\n  filesystem_mirror {\n    path = \""+dir+"/mirror\"\n  }\n}\n"), 0o600))
	w := world{filepath.Join(dir, "tree"), []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "TF_CLI_CONFIG_FILE=" + config, "TERRAFORM_FACTS=" + facts, "CHECKPOINT_DISABLE=1"}}
	clouds, err := filepath.Glob(top + "/*/examples")
	require.NoError(t, err)
	require.NotEmpty(t, clouds)
	for _, cloud := range clouds {
		from := filepath.Dir(cloud)
		require.NoError(t, os.CopyFS(filepath.Join(w.tree, filepath.Base(from)), os.DirFS(from)))
	}
	require.NoError(t, os.CopyFS(w.tree, os.DirFS("testdata")))
	require.NoError(t, os.CopyFS(filepath.Join(dir, "monitoring/rules"), os.DirFS(top+"/../monitoring/rules")), "rules that a module hands over")
	return w
}

func (w world) tofu(t *testing.T, dir string, args ...string) (string, bool) {
	t.Helper()
	path, err := filepath.Abs(tools + "tofu")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, append(args, "-no-color")...)
	cmd.Dir, cmd.Env = dir, w.env
	out, err := cmd.CombinedOutput()
	require.NoError(t, ctx.Err())
	return string(out), err == nil
}

func (w world) examples(t *testing.T) []string {
	t.Helper()
	examples, err := filepath.Glob(w.tree + "/*/examples/*")
	require.NoError(t, err)
	require.NotEmpty(t, examples)
	return examples
}

func TestFormat(t *testing.T) {
	w := newWorld(t)
	out, good := w.tofu(t, w.tree, "fmt", "-check", "-recursive", "-diff")
	require.True(t, good, out)
	require.NoError(t, os.WriteFile(filepath.Join(w.tree, "bad.tf"), []byte("locals {\na = 1\n}\n"), 0o600))
	_, good = w.tofu(t, w.tree, "fmt", "-check", "-recursive")
	require.False(t, good, "a file that is not formatted")
}

// OpenTofu validates every example and the modules below it; then it plans and
// applies them with mocked answers, as testdata says.
func TestExamples(t *testing.T) {
	w := newWorld(t)
	for _, dir := range w.examples(t) {
		name, err := filepath.Rel(w.tree, dir)
		require.NoError(t, err)
		t.Run(name, func(t *testing.T) {
			out, good := w.tofu(t, dir, "init", "-backend=false")
			require.True(t, good, out)
			out, good = w.tofu(t, dir, "validate")
			require.True(t, good, out)
			plans, err := filepath.Glob(dir + "/*.tftest.hcl")
			require.NoError(t, err)
			require.NotEmpty(t, plans, "no plan of %s in testdata", name)
			require.NoError(t, os.Rename(dir+"/terraform.tfvars.example", dir+"/terraform.tfvars"))
			out, good = w.tofu(t, dir, "test")
			require.True(t, good, out)
			t.Log(strings.TrimSpace(out))
		})
	}
}

// A stand-in that took everything would prove nothing.
func TestStandinRefuses(t *testing.T) {
	w := newWorld(t)
	dir := filepath.Join(w.tree, "broken")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	broken := `terraform {
  required_providers {
    google = {
      source = "hashicorp/google"
    }
  }
}

resource "google_kms_key_ring" "this" {
  name     = "ring"
  location = "eu"
  colour   = "green"
}
`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.tf"), []byte(broken), 0o600))
	out, good := w.tofu(t, dir, "init")
	require.True(t, good, out)
	out, good = w.tofu(t, dir, "validate")
	require.False(t, good)
	require.Contains(t, out, `An argument named "colour" is not expected here`)
}
