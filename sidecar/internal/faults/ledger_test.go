package faults

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// told is what a client knows after a request.
type told int

const (
	cut     told = iota // it was sent, and the answer did not come, or not whole
	missed              // nobody took the connection
	answers             // it was answered
)

// deed is one request and what its client was answered.
type deed struct {
	told   told
	id     string // of the decision, X-Request-Id
	path   string
	status int
	reason string // X-AgentIdP-Error: the sidecar's own answer; "": the API's
	detail string // decisionId in the body of such an answer
	err    error
	sent   time.Time
	took   time.Duration
}

// anonymous reports whether the sidecar could not know who asked: of a flood of
// such requests the records are folded.
func (d *deed) anonymous() bool {
	return slices.Contains([]string{
		"token_missing", "malformed", "algorithm", "signature", "unknown_key", "claims_invalid", "keys_stale", "overloaded",
	}, d.reason)
}

func wasCut(d *deed) bool { return d.told == cut }

// served reports whether the API answered.
func served(d *deed) bool { return d.told == answers && d.status == http.StatusOK && d.reason == "" }

// except are requests of a path that did not get what they should have.
func except(path string, right func(*deed) bool) func(*deed) bool {
	return func(d *deed) bool { return strings.HasPrefix(d.path, path) && !right(d) }
}

func refusedWith(reason string) func(*deed) bool {
	return func(d *deed) bool { return d.told == answers && d.reason == reason }
}

func (d *deed) String() string {
	return fmt.Sprintf("%s %s: %d %s %v after %s", d.path, d.id, d.status, d.reason, d.err, d.took.Round(time.Millisecond))
}

// ledger is safe for concurrent use.
type ledger struct {
	mu    sync.Mutex
	deeds []deed
}

func (l *ledger) add(d *deed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deeds = append(l.deeds, *d)
}

func (l *ledger) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.deeds)
}

// since is what was added after the first n.
func (l *ledger) since(n int) []deed {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.deeds[n:])
}

// count is the number of deeds after the first n that pass.
func (l *ledger) count(n int, pass func(*deed) bool) (found int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.deeds[n:] {
		if pass(&l.deeds[n+i]) {
			found++
		}
	}
	return found
}

// having are the deeds that pass, as text.
func having(deeds []deed, pass func(*deed) bool) (found []string) {
	for i := range deeds {
		if pass(&deeds[i]) {
			found = append(found, deeds[i].String())
		}
	}
	return found
}

// caller is one client: it sends a request once, over one connection while that
// lasts, and retries nothing.
type caller struct {
	ledger *ledger
	lines  map[string]*line // by address
}

type line struct {
	net.Conn
	reader *bufio.Reader
}

// ended reports whether the server closed the idle connection, as every pool of
// connections does before it takes one.
func (l *line) ended() (ended bool) {
	socket, err := l.Conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return true
	}
	err = socket.Read(func(fd uintptr) bool {
		n, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		ended = n == 0 && err == nil || err != nil && !errors.Is(err, syscall.EAGAIN)
		return true
	})
	return ended || err != nil
}

func newCaller(l *ledger) *caller { return &caller{ledger: l, lines: map[string]*line{}} }

func (c *caller) close() {
	for addr := range c.lines {
		c.drop(addr)
	}
}

func (c *caller) drop(addr string) {
	if l := c.lines[addr]; l != nil {
		l.Close()
		delete(c.lines, addr)
	}
}

// answerTime is how long a client waits.
const answerTime = 30 * time.Second

// get asks the sidecar at the address. An empty token sends none.
func (c *caller) get(addr, path, token string) (d deed) {
	d = deed{path: path, sent: time.Now(), told: missed}
	defer func() {
		d.took = time.Since(d.sent)
		if d.told != missed {
			c.ledger.add(&d)
		}
		if d.told != answers {
			c.drop(addr)
		}
	}()
	l := c.lines[addr]
	if l != nil && l.ended() {
		c.drop(addr)
		l = nil
	}
	if l == nil {
		conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
		if err != nil {
			d.err = err
			return d
		}
		l = &line{conn, bufio.NewReader(conn)}
		c.lines[addr] = l
	}
	d.told = cut
	if d.err = l.SetDeadline(d.sent.Add(answerTime)); d.err != nil {
		return d
	}
	if _, d.err = l.Write(request(path, token)); d.err != nil {
		return d
	}
	var closes bool
	if closes, d.err = read(l.reader, &d); d.err == nil {
		d.told = answers
	}
	if closes {
		c.drop(addr)
	}
	return d
}

func request(path, token string) []byte {
	head := "GET " + path + " HTTP/1.1\r\nHost: notes.example.com\r\n"
	if token != "" {
		head += "Authorization: Bearer " + token + "\r\n"
	}
	return []byte(head + "\r\n")
}

// read reads one answer whole.
func read(r *bufio.Reader, d *deed) (closes bool, err error) {
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		return true, err
	}
	defer response.Body.Close()
	d.id, d.status, d.reason = response.Header.Get("X-Request-Id"), response.StatusCode, response.Header.Get("X-Agentidp-Error")
	if d.reason == "" {
		_, err = io.Copy(io.Discard, response.Body)
		return response.Close, err
	}
	body, err := io.ReadAll(response.Body)
	d.detail = member(body, `"decisionId":"`)
	return response.Close, err
}

// member is the text behind the name, up to a quotation mark.
func member(body []byte, name string) string {
	for i := 0; i+len(name) <= len(body); i++ {
		if string(body[i:i+len(name)]) != name {
			continue
		}
		rest := body[i+len(name):]
		if end := slices.Index(rest, '"'); end >= 0 {
			return string(rest[:end])
		}
	}
	return ""
}

// percentile of the times that passing deeds took, in milliseconds with two decimals.
func percentile(deeds []deed, p float64, pass func(*deed) bool) string {
	var took []time.Duration
	for i := range deeds {
		if pass(&deeds[i]) {
			took = append(took, deeds[i].took)
		}
	}
	if len(took) == 0 {
		return "none"
	}
	slices.Sort(took)
	at := took[min(int(p*float64(len(took))), len(took)-1)]
	return strconv.FormatFloat(float64(at.Microseconds())/1e3, 'f', 2, 64)
}
