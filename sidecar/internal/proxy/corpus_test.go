package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
	"github.com/sentryagent/agentidp/sidecar/internal/route"
)

// verdict is what one answer must be.
type verdict struct {
	status int
	reason string
}

// fact is one case of the corpus; testdata/corpus/README says what its members mean.
type fact struct {
	name         string
	request      string
	answers      []verdict
	closes       bool
	sees, answer [][2]string
	absent       []string
	body, target string
	setOpen      bool
}

var repeats = regexp.MustCompile(`\{repeat:((?s:.)*?):(\d+)\}`)

func parseCorpus(t testing.TB, file string, macros *strings.Replacer) []*fact {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var facts []*fact
	var f *fact
	for number, line := range strings.Split(string(text), "\n") {
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "", "#":
			continue
		case "==":
			f = &fact{name: rest, answers: make([]verdict, 1)}
			facts = append(facts, f)
		case ">":
			f.request += rest + `\r\n`
		case ">>":
			f.request += rest
		default:
			f.directive(t, fmt.Sprintf("%s:%d", file, number+1), word, macros.Replace(rest))
		}
	}
	for _, f := range facts {
		f.request, f.body = written(t, f.request, macros), written(t, f.body, macros)
		if !f.setOpen {
			f.closes = f.answers[len(f.answers)-1].status >= 400
		}
	}
	return facts
}

// written gives the bytes of a text in the corpus.
func written(t testing.TB, text string, macros *strings.Replacer) string {
	t.Helper()
	plain, err := strconv.Unquote(`"` + strings.ReplaceAll(text, `"`, `\"`) + `"`)
	require.NoError(t, err, text)
	return repeats.ReplaceAllStringFunc(macros.Replace(plain), func(macro string) string {
		parts := repeats.FindStringSubmatch(macro)
		n, _ := strconv.Atoi(parts[2])
		return strings.Repeat(parts[1], n)
	})
}

func (f *fact) directive(t testing.TB, at, word, rest string) {
	t.Helper()
	switch word {
	case "status":
		n, err := strconv.Atoi(rest)
		require.NoError(t, err, at)
		f.answers[0].status = n
	case "reason":
		f.answers[0].reason = rest
	case "answers":
		n, err := strconv.Atoi(rest)
		require.NoError(t, err, at)
		for range n - 1 {
			f.answers = append(f.answers, f.answers[0])
		}
	case "then":
		var v verdict
		_, err := fmt.Sscanf(rest, "%d %s", &v.status, &v.reason)
		require.NoError(t, err, at)
		f.answers = append(f.answers, v)
	case "open", "closed":
		f.closes, f.setOpen = word == "closed", true
	case "sees", "answer":
		name, value, found := strings.Cut(rest, ": ")
		require.True(t, found, at)
		if word == "sees" {
			f.sees = append(f.sees, [2]string{name, value})
		} else {
			f.answer = append(f.answer, [2]string{name, value})
		}
	case "absent":
		f.absent = append(f.absent, rest)
	case "body":
		f.body = rest
	case "target":
		f.target = rest
	default:
		require.Fail(t, "unknown directive", "%s: %s", at, word)
	}
}

// TestCorpus sends every raw request of the corpus through a proxy in front of
// each kind of upstream.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/corpus/*.txt")
	require.NoError(t, err)
	require.Len(t, files, 5)
	table, err := route.Load([]byte(routes))
	require.NoError(t, err)
	for kind, start := range upstreams {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			up := start(t)
			disk := newSpooled(t)
			w := newWorld(t, up.URL, func(o *proxy.Options) {
				o.MaxBody = 64 << 10
				disk.Recorder, o.Recorder = o.Recorder, disk
			})
			secrets := []string{tokens(t).good(t), tokens(t).good(t)}
			macros := strings.NewReplacer("{token}", secrets[0], "{spare}", secrets[1], "{agent}", agentID)
			host := 0
			for _, file := range files {
				for _, f := range parseCorpus(t, file, macros) {
					host++
					peer := fmt.Sprintf("127.1.%d.%d", host/250, host%250+1) // its own, so that no record is folded
					t.Run(f.name, func(t *testing.T) { f.run(t, w, up, table, peer, secrets) })
				}
			}
			w.stop()
			w.keepsSecret(t, secrets...)
			disk.keepsSecret(t, secrets...)
			require.Equal(t, len(w.records.all()), strings.Count(w.logs.String(), `"msg":"request"`), "one line for each decision")
		})
	}
}

func (f *fact) run(t *testing.T, w *world, up *upstream, table *route.Table, peer string, secrets []string) {
	before := len(up.all())
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(peer)}}
	conn, err := dialer.Dial("tcp", w.addr)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.WriteString(conn, f.request) // the proxy may close first
	}()
	reader := bufio.NewReader(conn)
	served := 0
	for _, want := range f.answers {
		got := read(t, reader, strings.SplitN(f.request, " ", 2)[0])
		require.Equal(t, want.status, got.StatusCode, got.body)
		for _, secret := range secrets {
			require.NotContains(t, fmt.Sprint(got.Header, got.body), secret)
		}
		for _, field := range f.answer {
			require.Equal(t, field[1], got.Header.Get(field[0]))
		}
		if want.status < 300 {
			served++
			require.Empty(t, got.reason())
		} else {
			require.Equal(t, want.reason, got.reason(), got.body)
			if want.status == 401 {
				require.Contains(t, got.Header.Get("WWW-Authenticate"), `Bearer realm="agentidp"`)
			}
		}
	}
	<-sent
	if f.closes {
		closed(t, reader)
	} else {
		_, err := io.WriteString(conn, "GET /open HTTP/1.1\r\nHost: again.example\r\n\r\n")
		require.NoError(t, err)
		require.Equal(t, 200, read(t, reader, "GET").StatusCode)
		served++
	}
	own := f.recorded(t, w, peer)
	requests := up.all()[before:]
	require.Len(t, requests, served, "requests at the upstream")
	for i, record := range own {
		if record.Outcome != decision.Allowed {
			break // what is refused comes last
		}
		agrees(t, table, record, requests[i])
		if i == 0 {
			f.arrived(t, requests[i], peer, up.joins)
		}
	}
}

// recorded asserts one record for each answer, in order.
func (f *fact) recorded(t *testing.T, w *world, peer string) (own []decision.Record) {
	t.Helper()
	for _, r := range w.records.all() {
		if r.Peer == peer && r.Host != "again.example" {
			own = append(own, r)
		}
	}
	require.Len(t, own, len(f.answers))
	for i, want := range f.answers {
		require.Equal(t, want.reason, own[i].Reason)
		require.Equal(t, want.status, own[i].Status)
		require.LessOrEqual(t, len(own[i].Path), decision.MaxPathBytes)
		require.NotContains(t, own[i].Path, "?")
		if want.status < 300 {
			require.Equal(t, decision.Allowed, own[i].Outcome)
		} else if want.status < 500 {
			require.Equal(t, decision.Denied, own[i].Outcome)
		} else {
			require.Equal(t, decision.Error, own[i].Outcome)
		}
	}
	return own
}

// arrived asserts what this fact says about its request; joins is what the
// server puts between the values of a repeated field.
func (f *fact) arrived(t *testing.T, got seen, peer, joins string) {
	t.Helper()
	for _, field := range f.sees {
		want := strings.Split(strings.ReplaceAll(field[1], "{peer}", peer), "|")
		if joins != "" {
			want = []string{strings.Join(want, joins)}
		}
		require.Equal(t, want, got.Header[field[0]], field[0])
	}
	for _, text := range f.absent {
		require.NotContains(t, got.text(), text)
	}
	require.Equal(t, f.body, got.Body)
	if f.target != "" {
		require.Equal(t, f.target, got.Target)
	}
}
