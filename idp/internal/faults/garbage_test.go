package faults

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Bodies that are nearly right, for mutation.
var seeds = []struct{ method, path, media, body string }{
	{"POST", "/api/v1/token", form, "grant_type=client_credentials&scope=notes:read&resource=https://notes.example.com"},
	{"POST", "/api/v1/token/introspect", form, "token=eyJhbGciOiJSUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiJ4In0.AAAA&token_type_hint=access_token"},
	{"POST", "/api/v1/token/revoke", form, "token=eyJhbGciOiJSUzI1NiJ9.e30.AAAA"},
	{"POST", "/api/v1/agents", "application/json", `{"email":"g@example.com","agentType":"custom","version":"1.0.0","capabilities":["notes:read"],"owner":"o","deploymentEnv":"staging","metadata":{"a":[1,2.5e3,null,true]}}`},
	{"PATCH", "/api/v1/agents/00000000-0000-4000-8000-000000000000", "application/json", `{"status":"suspended","version":"2.0.0"}`},
	{"POST", "/api/v1/agents/00000000-0000-4000-8000-000000000000/credentials", "application/json", `{"expiresAt":"2027-01-01T00:00:00Z"}`},
	{"POST", "/api/v1/organizations", "application/json", `{"organizationId":"acme","name":"Acme","administratorEmail":"a@example.com"}`},
	{"POST", "/api/v1/revocations", "application/json", `{"type":"jti","id":"x","reason":"r"}`},
	{"POST", "/api/v1/audit/decisions", "application/x-ndjson", `{"type":"header","sidecarId":"s","sequence":1}` + "\n" + `{"type":"decision"}` + "\n"},
	{"GET", "/api/v1/audit?limit=20&from=2026-01-01T00:00:00Z&cursor=abc", "", ""},
	{"GET", "/api/v1/audit/proof/inclusion?leafIndex=1&treeSize=2", "", ""},
	{"GET", "/api/v1/revocations?cursor=0&wait=0", "", ""},
	{"GET", "/.well-known/oauth-authorization-server", "", ""},
}

// garble spoils a text in one to four places.
func garble(random *rand.Rand, text string) string {
	b := []byte(text)
	for range 1 + random.IntN(4) {
		at := random.IntN(len(b) + 1)
		switch random.IntN(5) {
		case 0:
			b = append(b[:at:at], append([]byte{byte(random.UintN(256))}, b[at:]...)...)
		case 1:
			b = b[:at]
		case 2:
			if at < len(b) {
				b[at] = byte(random.UintN(256))
			}
		case 3:
			from := min(len(b), at+random.IntN(20))
			b = append(b[:at:at], b[from:]...)
		default:
			b = append(b[:at:at], append([]byte(strings.Repeat(string(b[max(0, at-1):at]), random.IntN(64))), b[at:]...)...)
		}
	}
	return string(b)
}

// rawRequest is a seed with a spoilt body, a spoilt whole, or noise.
func rawRequest(random *rand.Rand, bearer string) string {
	if random.IntN(10) == 0 {
		noise := make([]byte, random.IntN(400))
		for i := range noise {
			noise[i] = byte(random.UintN(256))
		}
		return string(noise) + "\r\n\r\n"
	}
	seed := seeds[random.IntN(len(seeds))]
	body := seed.body
	if random.IntN(3) > 0 {
		body = garble(random, body)
	}
	authorization := bearer
	if random.IntN(3) == 0 {
		authorization = garble(random, bearer)
	}
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n", seed.method, seed.path, authorization, seed.media, len(body))
	if random.IntN(4) == 0 {
		head = garble(random, head)
	}
	return head + "\r\n" + body
}

// F18: malformed bodies and noise. Nothing panics, and no answer is a 5xx other than 503.
func TestF18Garbage(t *testing.T) {
	tr := newTrial(t, plain, onSQLite(t))
	tr.process.Start()
	bearer := tr.client.bearer()
	total, workers := pick(20_000, 1_000_000), 4
	var mu sync.Mutex // guards statuses and bad
	statuses, bad := map[int]int{}, []string{}
	var group sync.WaitGroup
	for n := range workers {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(n), 18))
			tally := map[int]int{}
			for range total / workers {
				request := rawRequest(random, bearer)
				status := tr.exchange(request)
				tally[status]++
				if status >= 500 && status != http.StatusServiceUnavailable {
					mu.Lock()
					bad = append(bad, fmt.Sprintf("%d to %.300q", status, request))
					mu.Unlock()
				}
			}
			mu.Lock()
			defer mu.Unlock()
			for status, n := range tally {
				statuses[status] += n
			}
		})
	}
	group.Wait()
	require.Empty(t, bad)
	require.Positive(t, statuses[400])
	load := tr.load()
	tr.flowing(10)
	load.stop()
	require.True(t, tr.process.Running())
	panics := strings.Count(string(tr.process.Log()), "panic")
	figures := tr.close()
	figures.runs = total
	figures.extra = fmt.Sprintf("panics=%d statuses=%v", panics, statuses)
	report(t, "F18", figures)
	require.Zero(t, panics)
}

// exchange sends the bytes, no more, and returns the status of the first answer; 0 without one.
func (tr *trial) exchange(request string) int {
	conn := tr.process.dial()
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, request); err != nil {
		return 0
	}
	if tcp, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = tcp.CloseWrite()
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0
	}
	return response.StatusCode
}
