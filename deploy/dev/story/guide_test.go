package story_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// block is a fenced block of shell, and the output that the page says it has.
type block struct {
	line         int // of the page
	code, output string
}

var fence = regexp.MustCompile("(?m)^```(sh|text)\n((?:.*\n)*?)```$")

// blocks reads a page; a block of text belongs to the shell before it.
func blocks(t *testing.T, page string) (found []block) {
	t.Helper()
	for _, at := range fence.FindAllStringSubmatchIndex(page, -1) {
		kind, content, line := page[at[2]:at[3]], page[at[4]:at[5]], 1+strings.Count(page[:at[0]], "\n")
		if kind == "sh" {
			found = append(found, block{line: line, code: content})
			continue
		}
		require.NotEmpty(t, found, "line %d: output of nothing", line)
		require.Empty(t, found[len(found)-1].output, "line %d: output twice", line)
		found[len(found)-1].output = content
	}
	return found
}

// matches is the output as an expression: … stands for anything on a line.
func (b block) matches() string {
	return "^" + strings.ReplaceAll(regexp.QuoteMeta(b.output), "…", `[^\n]*`) + "$"
}

const divider = "\x1e\n" // between the outputs of blocks

// script is all blocks in one shell, their outputs divided.
func script(all []block) string {
	var s strings.Builder
	s.WriteString("set -eu\n")
	for _, b := range all {
		fmt.Fprintf(&s, "# line %d\n%sprintf '\\036\\n'\n", b.line, b.code)
	}
	return s.String()
}

// docs/api-guide.md does what it says, against the programs as `make up` runs them.
func TestTheAPIGuide(t *testing.T) {
	for _, tool := range []string{"curl", "jq", "openssl"} {
		_, err := exec.LookPath(tool)
		require.NoError(t, err, "the guide needs %s: run .ci/servers as root, or install it", tool)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs/api-guide.md"))
	require.NoError(t, err)
	all := blocks(t, string(page))
	require.Greater(t, len(all), 10)

	s := newStack(t, build(t))
	s.IdPEnv = nil // the limits of a fresh install
	require.NoError(t, s.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	file := filepath.Join(t.TempDir(), "guide.sh")
	require.NoError(t, os.WriteFile(file, []byte(script(all)), 0o600))
	shell := exec.CommandContext(ctx, "sh", file)
	shell.Env = append(os.Environ(), "IDP="+s.Issuer(), "NOTES="+s.Resource(), "ADMIN="+s.AdminFile(), "TMPDIR="+t.TempDir())
	var complaints strings.Builder
	shell.Stderr = &complaints
	printed, failure := shell.Output()

	outputs := strings.SplitAfter(string(printed), divider)
	for i, b := range all {
		require.Less(t, i, len(outputs))
		output, whole := strings.CutSuffix(outputs[i], divider)
		require.True(t, whole, "docs/api-guide.md:%d ended with an error (%v) after\n%s%s", b.line, failure, output, complaints.String())
		require.Regexp(t, b.matches(), output, "docs/api-guide.md:%d prints something else", b.line)
	}
	require.NoError(t, failure)
	require.Empty(t, complaints.String())
}
