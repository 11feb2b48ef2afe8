package proxy_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
	"github.com/sentryagent/agentidp/shared/policy"
)

// lister is an upstream whose next answer a test sets.
type lister struct {
	URL string

	mu     sync.Mutex
	answer func(w http.ResponseWriter)
	header http.Header // of the last request
}

func newLister(t *testing.T) *lister {
	l := &lister{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		answer := l.answer
		l.header = r.Header
		l.mu.Unlock()
		answer(w)
	}))
	t.Cleanup(server.Close)
	l.URL = server.URL
	return l
}

// answers sets the next answer: status, media type and pieces that are flushed.
func (l *lister) answers(status int, media string, pieces ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answer = func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", media)
		w.WriteHeader(status)
		for i, piece := range pieces {
			_, _ = io.WriteString(w, piece)
			if i < len(pieces)-1 {
				w.(http.Flusher).Flush()
			}
		}
	}
}

func (l *lister) saw(name string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.header.Values(name)
}

func listed(tools ...string) string {
	var elements []string
	for _, tool := range tools {
		elements = append(elements, fmt.Sprintf(`{"name":%q, "inputSchema":{"type":"object"}}`, tool))
	}
	return `{"jsonrpc":"2.0","id":7,"result":{"tools":[` + strings.Join(elements, ",") + `],"nextCursor":"more"}}`
}

const jsonMedia, eventMedia = "application/json", "text/event-stream"

func TestListsAreFiltered(t *testing.T) {
	up := newLister(t)
	w := rpcWorld(t, up.URL)
	good := tokens(t).scoped(t, "mcp:use mcp:tool/a mcp:tool/c weather:read")
	all := listed("a", "b", "getWeather", "A", "search", "c ", "c")
	left := listed("a", "getWeather", "search", "c")
	list := message("tools/list", "{}")
	is := func(body, media, want string, pieces ...string) {
		t.Helper()
		up.answers(200, media, pieces...)
		r := w.post("/mcp", good, body, "Accept-Encoding: gzip", "Accept_Encoding: br", "Accept: application/json, text/event-stream")
		require.Equal(t, 200, r.StatusCode, r.body)
		require.Equal(t, want, r.body)
		require.Equal(t, []string{media}, r.Header["Content-Type"])
		last := w.records.all()[len(w.records.all())-1]
		require.Equal(t, decision.Allowed, last.Outcome)
		require.Equal(t, int64(len(r.body)), last.BytesOut)
		if !strings.Contains(body, "tools/call") {
			require.Equal(t, "mcp:use", last.Capability)
		}
	}
	is(list, jsonMedia, left, all)
	require.Empty(t, up.saw("Accept-Encoding"))
	require.Empty(t, up.saw("Accept_encoding"))
	is(list, jsonMedia, left, all[:50], all[50:]) // chunked
	is(list, "application/json; charset=utf-8", left, all)
	is(list, jsonMedia, `{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"no"}}`, `{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"no"}}`)
	note := `{"jsonrpc":"2.0","method":"notifications/message","params":{"tools":[{"name":"b"}]}}`
	data := func(message string) string { return "data: " + message + "\n\n" }
	is(list, eventMedia, data(note)+data(left)+": bye\n\n", data(note), data(all), ": bye\n\n")
	is(list, eventMedia, data(left), data(all)[:60], data(all)[60:])
	is(list, eventMedia, ": of a declared length\n\n"+data(left), ": of a declared length\n\n"+data(all))
	// What is not asked for is not touched.
	is(message("tools/call", `{"name":"a"}`), jsonMedia, all, all)
	require.Equal(t, []string{"gzip"}, up.saw("Accept-Encoding"))

	none := listed()
	good = tokens(t).scoped(t, "mcp:use")
	is(list, jsonMedia, none, listed("a", "b"))
	is(list, jsonMedia, none, none)
	is(message("prompts/list", ""), jsonMedia, `{"jsonrpc":"2.0","id":7,"result":{"prompts":[]}}`, `{"jsonrpc":"2.0","id":7,"result":{"prompts":[{"name":"p"}]}}`)
	resources := `{"jsonrpc":"2.0","id":7,"result":{"resources":[{"name":"r","uri":"file:///r"}]}}`
	is(message("resources/list", ""), jsonMedia, `{"jsonrpc":"2.0","id":7,"result":{"resources":[]}}`, resources)
	good = tokens(t).scoped(t, "mcp:use mcp:resources mcp:prompt/p")
	is(message("resources/list", ""), jsonMedia, resources, resources)
	is(message("prompts/list", ""), jsonMedia, `{"jsonrpc":"2.0","id":7,"result":{"prompts":[{"name":"p"}]}}`, `{"jsonrpc":"2.0","id":7,"result":{"prompts":[{"name":"p"}]}}`)
}

func TestListsThatCannotBeFilteredAreNotPassedOn(t *testing.T) {
	up := newLister(t)
	w := rpcWorld(t, up.URL)
	good := tokens(t).scoped(t, "mcp:use mcp:tool/a")
	list := message("tools/list", "")
	is := func(media, body string) {
		t.Helper()
		up.answers(200, media, body)
		r := w.post("/mcp", good, list)
		w.refuses(r, 502, "rpc_answer_invalid")
		require.NotContains(t, r.body, "secret")
	}
	is("text/plain", listed("a"))
	is("", listed("a"))
	is("text/html", "<p>secret")
	is(jsonMedia, listed("a")[1:])
	is(jsonMedia, "["+listed("secret")+"]")
	is(jsonMedia, `{"jsonrpc":"2.0","id":7,"result":{"Tools":[{"name":"secret"}]}}`)
	is(jsonMedia, `{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"a","Name":"secret"}]}}`)
	is(jsonMedia, `{"jsonrpc":"2.0","id":7,"result":{}}`)
	is(jsonMedia, `{"jsonrpc":"2.0","method":"x"}`)
	is(jsonMedia, listed("a")+strings.Repeat(" ", 1<<20))
	is(eventMedia, "data: ["+listed("secret")+"]\n\n")

	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := io.WriteString(z, listed("secret"))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	for _, media := range []string{jsonMedia, eventMedia} {
		up.mu.Lock()
		up.answer = func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", media)
			w.Header().Set("Content-Encoding", "gzip")
			w.(http.Flusher).Flush()
			_, _ = w.Write(packed.Bytes())
		}
		up.mu.Unlock()
		w.refuses(w.post("/mcp", good, list), 502, "rpc_answer_invalid")
	}
	up.mu.Lock()
	up.answer = func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", eventMedia)
		w.Header().Set("Content-Length", "1048577")
		w.(http.Flusher).Flush()
	}
	up.mu.Unlock()
	w.refuses(w.post("/mcp", good, list), 502, "rpc_answer_invalid")
	up.answers(202, jsonMedia)
	w.refuses(w.post("/mcp", good, list), 502, "rpc_answer_invalid")

	// What the upstream refuses is passed on.
	up.answers(404, "text/plain", "no such session")
	r := w.post("/mcp", good, list)
	require.Equal(t, 404, r.StatusCode)
	require.Equal(t, "no such session", r.body)

	// Events that cannot be read end the stream.
	for _, bad := range []string{"data: {\n\n", "data: [" + listed("secret") + "]\n\n", "Data: " + listed("secret") + "\n\n", "data: " + strings.Repeat("x", 1<<20) + "\n\n"} {
		up.answers(200, eventMedia, "data: "+listed("a")+"\n\n", bad)
		conn := w.dial()
		_, err := io.WriteString(conn, request("POST", "/mcp", good, "Content-Type: application/json", fmt.Sprintf("Content-Length: %d", len(list)))+list)
		require.NoError(t, err)
		answer, _ := io.ReadAll(conn)
		require.Contains(t, string(answer), `"a"`)
		require.NotContains(t, string(answer), "secret")
		require.NotContains(t, string(answer), "\r\n0\r\n\r\n", "it does not look whole")
		records := len(w.records.all())
		waitFor(t, "the record", func() bool {
			all := w.records.all()
			return len(all) >= records && all[len(all)-1].Reason == "rpc_answer_invalid" && all[len(all)-1].Outcome == decision.Error
		})
	}
	// Neither is anything listed that cannot be decided.
	up.answers(200, jsonMedia, listed("a"))
	w.decider.set(func(in policy.Input) (policy.Decision, error) {
		if in.Route.Capability == "mcp:tool/a" {
			return policy.Unavailable(policy.ReasonTimeout, errors.New("slow"))
		}
		return policy.Decision{Allow: true, Reason: "x"}, nil
	})
	w.refuses(w.post("/mcp", good, list), 503, "policy_timeout")
}

// On a stream, answers that a client missed may come again.
func TestStreamsAreFiltered(t *testing.T) {
	up := newLister(t)
	w := rpcWorld(t, up.URL)
	up.answers(200, eventMedia, "id: 1\ndata: "+listed("a", "secret")+"\n\n", "data: "+`{"jsonrpc":"2.0","id":1,"method":"ping"}`+"\n\n")
	r := w.get("/mcp", tokens(t).scoped(t, "mcp:use mcp:tool/a"), "Last-Event-ID: 0", "Accept-Encoding: gzip")
	require.Equal(t, 200, r.StatusCode)
	require.Equal(t, "id: 1\ndata: "+listed("a")+"\n\ndata: "+`{"jsonrpc":"2.0","id":1,"method":"ping"}`+"\n\n", r.body)
	require.Empty(t, up.saw("Accept-Encoding"))
	w.metric("sidecar_rpc_hidden_total 1\n")
	w.decider.set(func(in policy.Input) (policy.Decision, error) { // a call is a POST
		return policy.Decision{Allow: in.RPC == nil || in.Request.Method == http.MethodPost && in.RPC.Name == "secret", Reason: "whim"}, nil
	})
	require.Contains(t, w.get("/mcp", tokens(t).scoped(t, "mcp:use")).body, "id: 1\ndata: "+listed("secret")+"\n\n")
	w.decider.set(nil)
	up.answers(405, "text/plain", "no stream")
	require.Equal(t, 405, w.get("/mcp", tokens(t).scoped(t, "mcp:use")).StatusCode)
	up.answers(200, jsonMedia)
	require.Equal(t, 200, w.get("/mcp", tokens(t).scoped(t, "mcp:use")).StatusCode)
	// Clients read the body as a stream whatever it is called.
	for _, media := range []string{jsonMedia, "text/plain", "", "text/event-stream, text/plain"} {
		up.answers(200, media, "data: "+listed("secret")+"\n\n")
		w.refuses(w.get("/mcp", tokens(t).scoped(t, "mcp:use")), 502, "rpc_answer_invalid")
	}
	// A part of one cannot be read for certain.
	up.answers(206, eventMedia, `"secret"`+listed("secret")+"\n\n")
	w.refuses(w.get("/mcp", tokens(t).scoped(t, "mcp:use"), "Range: bytes=7-", "If_Range: x"), 502, "rpc_answer_invalid")
	require.Empty(t, up.saw("Range"))
	require.Empty(t, up.saw("If_range"))
	// In shadow mode nothing is left out, as nothing would be refused.
	up.answers(200, jsonMedia, listed("a", "secret"))
	require.Equal(t, listed("a", "secret"), w.post("/shadow", tokens(t).scoped(t, "mcp:use"), message("tools/list", "")).body)
}

// Exactly what a call would be let through for is listed.
func TestListsSayWhatCallsMay(t *testing.T) {
	t.Parallel()
	up := newLister(t)
	w := rpcWorld(t, up.URL)
	random := rand.New(rand.NewPCG(4, 2))
	names := []string{"a", "b", "A", "getWeather", "getweather", "search", "search ", "x/y", "x.y", "x_y-", "", "*", "a:b", "é", "-a", strings.Repeat("n", 119), strings.Repeat("n", 120)}
	scopes := []string{"mcp:use", "mcp:tool/a", "mcp:tool/b", "mcp:*", "*:read", "*:*", "weather:read", "mcp:tool/x/y", "mcp:tool/x.y", "mcp:tool/x_y-", "mcp:tool/" + strings.Repeat("n", 119), "mcp:tool"}
	for i := range 30 {
		if i == 20 { // a policy that reads the message instead of the capability
			w.decider.set(func(in policy.Input) (policy.Decision, error) {
				return policy.Decision{Allow: in.RPC == nil || in.RPC.Method == "tools/list" || in.Request.Method == http.MethodPost && in.RPC.Method == "tools/call" && len(in.RPC.Name)%2 == 1, Reason: "odd"}, nil
			})
		}
		scope := []string{"mcp:use"}
		for range random.IntN(4) {
			scope = append(scope, scopes[random.IntN(len(scopes))])
		}
		token := tokens(t).scoped(t, strings.Join(scope, " "))
		var offered []string
		for range random.IntN(12) {
			offered = append(offered, names[random.IntN(len(names))])
		}
		up.answers(200, jsonMedia, listed(offered...))
		r := w.post("/mcp", token, message("tools/list", ""))
		require.Equal(t, 200, r.StatusCode)
		var document struct {
			Result struct{ Tools []struct{ Name string } }
		}
		require.NoError(t, json.Unmarshal([]byte(r.body), &document))
		var shown, callable []string
		for _, tool := range document.Result.Tools {
			shown = append(shown, tool.Name)
		}
		for _, name := range offered {
			if w.post("/mcp", token, call(name)).StatusCode == http.StatusOK {
				callable = append(callable, name)
			}
		}
		require.Equal(t, callable, shown, "scope %q", scope)
	}
}
