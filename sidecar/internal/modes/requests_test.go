package modes_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// request is one of testdata.
type request struct {
	name    string
	raw     string
	usual   want
	special map[string]want // by mode
}

// want is a decision.
type want struct {
	itself  bool // the asking proxy refuses, and asks nobody
	allowed bool
	status  int // of a refusal
	reason  string

	target string // if the API gets another one
	drops  string // a field that the API does not get of ours
}

func (r request) want(mode string) want {
	if w, special := r.special[mode]; special {
		return w
	}
	return r.usual
}

// head splits the raw request: its line, then field by field.
func (r request) head() (method, target string, fields [][2]string) {
	head, _, _ := strings.Cut(r.raw, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	words := strings.Split(lines[0], " ")
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		fields = append(fields, [2]string{name, strings.TrimSpace(value)})
	}
	return words[0], words[1], fields
}

// requests reads testdata/requests.txt with the tokens in their places.
func requests(t *testing.T, tokens map[string]string) (all []request) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", "requests.txt"))
	require.NoError(t, err)
	_, rows, _ := strings.Cut(string(content), "\n== ")
	for row := range strings.SplitSeq(rows, "\n== ") {
		name, row, _ := strings.Cut(row, "\n")
		text, decision, found := strings.Cut(row, "\n-- ")
		require.True(t, found, name)
		for token, value := range tokens {
			text = strings.ReplaceAll(text, "{"+token+"}", value)
		}
		r := request{name: name, raw: raw(t, text), special: map[string]want{}}
		lines := strings.Split(strings.TrimSpace(decision), "\n")
		r.usual = parseWant(t, lines[0])
		for _, line := range lines[1:] {
			names, w, found := strings.Cut(strings.TrimSpace(line), ": ")
			require.True(t, found, line)
			for name := range strings.SplitSeq(names, ",") {
				require.True(t, name == realEnvoy || slices.ContainsFunc(modes, func(m mode) bool { return m.name == name }), name)
				r.special[name] = parseWant(t, w)
			}
		}
		all = append(all, r)
	}
	return all
}

// raw is the request's bytes. A body follows an empty line.
func raw(t *testing.T, text string) string {
	head, body, _ := strings.Cut(text, "\n\n")
	return strings.ReplaceAll(unescape(t, head), "\n", "\r\n") + "\r\n\r\n" + body
}

func unescape(t *testing.T, text string) string {
	parts := strings.Split(text, `\x`)
	for i, part := range parts[1:] {
		c, err := strconv.ParseUint(part[:2], 16, 8)
		require.NoError(t, err)
		parts[i+1] = string([]byte{byte(c)}) + part[2:]
	}
	return strings.Join(parts, "")
}

// parseWant reads "allow reason", "deny status reason" or "itself [status]".
func parseWant(t *testing.T, text string) (w want) {
	t.Helper()
	words := strings.Fields(text)
	w.itself, w.allowed = words[0] == "itself", words[0] == "allow"
	require.True(t, w.itself || w.allowed || words[0] == "deny", text)
	for _, word := range words[1:] {
		status, err := strconv.Atoi(word)
		key, value, paired := strings.Cut(word, "=")
		switch {
		case err == nil:
			w.status = status
		case !paired:
			w.reason = word
		case key == "target":
			w.target = value
		case key == "drops":
			w.drops = value
		default:
			require.Fail(t, "unknown word", word)
		}
	}
	require.Equal(t, w.itself, w.reason == "", text)
	return w
}
