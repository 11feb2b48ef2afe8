package httpapi_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/shared/feed"
)

// TestFacts plays testdata/*.http, each file against a fresh IdP on each store. A file is a
// list of facts; each begins with "### title" and goes on with any of
//
//	@directive …          see (*world).direct
//	METHOD target         then headers, a blank line and a body, up to
//	--> status            what must come back, as lines of
//	Name: value           a header with exactly this value
//	Name ~ regexp         a header that matches
//	Name absent
//	$.member == json      a member of the body ("$" is all of it)
//	$.member ~ regexp
//	$.member absent
//	$.member => name      kept as {{name}}
//	body == text          the whole body; also ~ regexp, empty
//
// {{name}} is replaced everywhere. A leading "# " is a comment.
func TestFacts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.http")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for backend := range stores {
		for _, file := range files {
			t.Run(backend+"/"+strings.TrimSuffix(filepath.Base(file), ".http"), func(t *testing.T) {
				t.Parallel()
				playFacts(t, backend, file)
			})
		}
	}
}

func playFacts(t *testing.T, backend, file string) {
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	var w *world
	for i, section := range strings.Split("\n"+string(content), "\n### ") {
		title, text, _ := strings.Cut(section, "\n")
		if i == 0 {
			set := settings(t, section)
			set.backend = backend
			w = newWorld(t, set)
			w.vars["admin.token"] = w.token("admin", w.set.issuer)
			w.seed()
			continue
		}
		w.fact(fmt.Sprintf("%s: %s", filepath.Base(file), title), strings.Split(text, "\n"))
	}
	w.keepsSecrets(file)
}

// seed makes the variables that no request can: a cursor of the feed, and
// lines of a decision stream.
func (w *world) seed() {
	w.t.Helper()
	snapshot := w.call(w.vars["admin.token"], http.MethodGet, "/api/v1/revocations", "")
	require.Equal(w.t, http.StatusOK, snapshot.status, string(snapshot.body))
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(string(snapshot.body), ".")[1])
	require.NoError(w.t, err)
	var content feed.Snapshot
	require.NoError(w.t, json.Unmarshal(payload, &content))
	w.vars["cursor"] = content.Cursor

	previous := ""
	for i := range 5 {
		record := decision.Record{
			Sequence: int64(i), PrevHash: previous, Time: "2026-07-01T12:00:00.000Z", Method: "GET", Host: "notes.example.com", Path: "/notes",
			RouteID: "/notes", Capability: "notes:read", Outcome: decision.Denied, Reason: "capability_missing", Status: 403,
		}
		if i == 0 {
			record.Outcome, record.Reason, record.Status = decision.Allowed, "capability", 200
		}
		line, err := json.Marshal(record)
		require.NoError(w.t, err)
		w.vars[fmt.Sprintf("line%d", i)], previous = string(line), decision.Hash(line)
	}
}

// settings reads the lines before the first fact: "@name value".
func settings(t *testing.T, text string) setting {
	var s setting
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		number, _ := strconv.Atoi(value)
		switch name {
		case "@agents":
			s.limits.Agents = number
		case "@tokens":
			s.limits.TokensPerMonth = number
		case "@requests":
			s.limits.RequestsPerMinute = number
		case "@credentials":
			s.limits.Credentials = number
		case "@resource":
			s.audience.Allowed = append(s.audience.Allowed, value)
		case "@default-resource":
			s.audience.Default = value
		case "@trust":
			s.trusted = append(s.trusted, netip.MustParsePrefix(value))
		case "@issuer":
			s.issuer = value
		case "@cors":
			s.cors = append(s.cors, value)
		case "@dashboard":
			s.pages = pages
		case "@metrics":
			s.metrics = true
		default:
			require.True(t, name == "" || name == "#", "unknown setting %q", name)
		}
	}
	return s
}

var variable = regexp.MustCompile(`\{\{([^}]+)\}\}`)

func (w *world) expand(text string) string {
	return variable.ReplaceAllStringFunc(text, func(found string) string {
		name := found[2 : len(found)-2]
		if count, of, repeats := strings.Cut(name, "*"); repeats {
			n, err := strconv.Atoi(count)
			require.NoError(w.t, err, found)
			return strings.Repeat(of, n)
		}
		value, known := w.vars[name]
		require.True(w.t, known, "unknown variable %s", found)
		return value
	})
}

func (w *world) fact(title string, lines []string) {
	w.t.Helper()
	for len(lines) > 0 {
		line := w.expand(lines[0])
		switch {
		case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "# "):
			lines = lines[1:]
		case strings.HasPrefix(line, "@"):
			w.direct(title, strings.Fields(line[1:]))
			lines = lines[1:]
		default:
			lines = w.exchange(title, lines)
		}
	}
}

// direct does what no request can.
func (w *world) direct(title string, words []string) {
	w.t.Helper()
	switch words[0] {
	case "agent": // owner name capability…
		w.agent(words[1], words[2], words[3:]...)
	case "organization": // id name
		w.organization(words[1], words[2])
	case "token": // variable name resource…
		w.vars[words[1]] = w.token(words[2], words[3:]...)
	case "advance": // duration
		d, err := time.ParseDuration(words[1])
		require.NoError(w.t, err, title)
		w.clock.advance(d)
	case "writes": // on|off
		w.db.noWrites.Store(words[1] == "off")
	case "reads":
		w.db.noReads.Store(words[1] == "off")
	case "set": // variable value
		w.vars[words[1]] = strings.Join(words[2:], " ")
	case "drain": // address number: requests that use up its limit
		count, err := strconv.Atoi(words[2])
		require.NoError(w.t, err, title)
		for range count {
			require.Equal(w.t, http.StatusUnauthorized, w.call("", http.MethodGet, "/api/v1/agents", "", "X-Forwarded-For", words[1]).status, title)
		}
	case "key": // name: makes {{name.jwks}}
		w.makeKey(words[1])
	case "assert": // see (*world).assert
		w.assert(words[1:])
	case "checkpoint": // wait until one is signed
		require.Eventually(w.t, func() bool {
			return w.call(w.vars["admin.token"], http.MethodGet, "/api/v1/audit/checkpoint", "").status == http.StatusOK
		}, time.Minute, 10*time.Millisecond, title)
	case "listed": // wait until the status lists have read the feed
		w.listed()
	case "covered": // wait until a checkpoint covers all that was written
		w.covered()
	case "events": // action reason count: how many events the whole log has
		w.events(title, words[1], words[2], words[3])
	default:
		require.Fail(w.t, "unknown directive "+words[0], title)
	}
}

func (w *world) events(title, action, reason, count string) {
	w.t.Helper()
	found, cursor := 0, ""
	for {
		path := "/api/v1/audit?limit=100&action=" + action
		if cursor != "" {
			path += "&cursor=" + cursor
		}
		a := w.call(w.token("admin", w.set.issuer), http.MethodGet, path, "")
		require.Equal(w.t, http.StatusOK, a.status, title)
		events, _ := lookup(a.json(), "data")
		for _, event := range events.([]any) {
			if member, _ := lookup(event, "reason"); reason == "*" || member == reason {
				found++
			}
		}
		if cursor = a.text("nextCursor"); cursor == "" {
			break
		}
	}
	require.Equal(w.t, count, strconv.Itoa(found), "%s: events %s %s", title, action, reason)
}

// exchange sends one request and checks what comes back; it returns the lines after.
func (w *world) exchange(title string, lines []string) []string {
	w.t.Helper()
	at := 1
	method, target, found := strings.Cut(w.expand(lines[0]), " ")
	require.True(w.t, found, "%s: not a request: %q", title, lines[0])
	header, good, compressed := http.Header{}, true, false
	for ; at < len(lines) && lines[at] != "" && !strings.HasPrefix(lines[at], "--> "); at++ {
		name, value, found := strings.Cut(w.expand(lines[at]), ": ")
		switch {
		case lines[at] == "(not by the document)":
			good = false
		case lines[at] == "(gzip)":
			compressed = true
		default:
			require.True(w.t, found, "%s: not a header: %q", title, lines[at])
			header.Add(name, value)
		}
	}
	var body []string
	for ; at < len(lines) && !strings.HasPrefix(lines[at], "--> "); at++ {
		if len(body) > 0 || lines[at] != "" {
			body = append(body, w.expand(lines[at]))
		}
	}
	require.Less(w.t, at, len(lines), "%s: no expectation", title)
	var reader io.Reader
	if len(body) > 0 {
		reader = strings.NewReader(strings.TrimSuffix(strings.Join(body, "\n"), "\n"))
	}
	if compressed {
		reader, good = zip(w.t, reader), false
	}
	request, err := http.NewRequestWithContext(w.t.Context(), method, w.base+target, reader)
	require.NoError(w.t, err, title)
	request.Header = header
	a := w.send(request, good)
	require.Equal(w.t, strings.TrimPrefix(lines[at], "--> "), strconv.Itoa(a.status), "%s: %s", title, a.body)
	for at++; at < len(lines) && lines[at] != ""; at++ {
		w.expect(title, w.expand(lines[at]), a)
	}
	return lines[at:]
}

func zip(t *testing.T, body io.Reader) io.Reader {
	t.Helper()
	var buffer bytes.Buffer
	writer := gzip.NewWriter(&buffer)
	_, err := io.Copy(writer, body)
	require.NoError(t, err)
	require.NoError(t, writer.Close())
	return &buffer
}

func (w *world) expect(title, line string, a *answer) {
	w.t.Helper()
	words := strings.SplitN(line, " ", 3)
	if name, value, isHeader := strings.Cut(line, ": "); isHeader && !strings.HasPrefix(line, "$") && !strings.HasPrefix(line, "body ") {
		require.Equal(w.t, value, strings.Join(a.header.Values(name), ", "), "%s: %s", title, line)
		return
	}
	if line == "body empty" {
		require.Empty(w.t, string(a.body), title)
		return
	}
	if strings.HasPrefix(line, "body == ") {
		require.Equal(w.t, strings.TrimPrefix(line, "body == "), string(a.body), title)
		return
	}
	if strings.HasPrefix(line, "body ~ ") {
		require.Regexp(w.t, strings.TrimPrefix(line, "body ~ "), string(a.body), title)
		return
	}
	subject, present := strings.Join(a.header.Values(words[0]), ", "), len(a.header.Values(words[0])) > 0
	var value any = subject
	if path, isMember := strings.CutPrefix(words[0], "$"); isMember {
		value, present = lookup(a.json(), strings.TrimPrefix(path, "."))
		subject = textOf(value)
	}
	require.GreaterOrEqual(w.t, len(words), 2, "%s: not an expectation: %q", title, line)
	switch words[1] {
	case "absent":
		require.False(w.t, present, "%s: %s: %s", title, line, a.body)
	case "==":
		require.JSONEq(w.t, words[2], jsonOf(w.t, value), "%s: %s: %s", title, line, a.body)
	case "~":
		require.True(w.t, present, "%s: %s: %s", title, line, a.body)
		require.Regexp(w.t, words[2], subject, "%s: %s", title, line)
	case "=>":
		require.True(w.t, present, "%s: %s: %s", title, line, a.body)
		w.vars[words[2]] = subject
	default:
		require.Fail(w.t, "not an expectation: "+line, title)
	}
}

// lookup walks a path such as "data.0.email"; "" is the value itself, and
// "length" of a list is its length.
func lookup(value any, path string) (any, bool) {
	if path == "" {
		return value, value != nil
	}
	for name := range strings.SplitSeq(path, ".") {
		switch typed := value.(type) {
		case map[string]any:
			next, present := typed[name]
			if !present {
				return nil, false
			}
			value = next
		case []any:
			if name == "length" {
				value = float64(len(typed))
				continue
			}
			index, err := strconv.Atoi(name)
			if err != nil || index >= len(typed) {
				return nil, false
			}
			value = typed[index]
		default:
			return nil, false
		}
	}
	return value, true
}

func textOf(value any) string {
	if text, isText := value.(string); isText {
		return text
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return string(encoded)
}

func jsonOf(t *testing.T, value any) string {
	t.Helper()
	encoded, err := json.Marshal(value)
	require.NoError(t, err)
	return string(encoded)
}
