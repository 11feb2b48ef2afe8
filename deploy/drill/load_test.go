package drill_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// life is an agent from its registration to its end, as it was told to whoever runs it.
type life struct {
	begun, done time.Time // done: after the last answer

	agent, credential, clientID string

	old, secret string // before and after the rotation
	token       string
	revoked     string // a token
	end         end
}

// end is how a life ends.
type end string

const (
	active         end = "active"
	suspended      end = "suspended"
	decommissioned end = "decommissioned"
	withdrawn      end = "withdrawn" // its credential is revoked
)

var ends = []end{active, suspended, withdrawn, decommissioned}

// status is what the IdP calls the agent.
func (e end) status() string {
	if e == withdrawn {
		return string(active)
	}
	return string(e)
}

// wait is one request, with all that was asked again because the IdP was busy.
type wait struct {
	sent, done time.Time
	busy       int
}

// load is clients that live such lives until it is stopped, each on an IdP of its own.
type load struct {
	ended, dying atomic.Bool // dying: the IdP is being taken away
	dense        atomic.Bool // no pauses: some request is under way at any time
	workers      sync.WaitGroup

	mu       sync.Mutex // guards the rest
	lives    []*life
	waits    []wait
	refusals []string
}

// pace is the pause before each life: the load is to be there, not to be measured.
const pace = 250 * time.Millisecond

func startLoad(clients ...*client) *load {
	l := &load{}
	for n, c := range clients {
		l.workers.Go(func() {
			for round := n; !l.ended.Load(); round++ {
				if !l.dense.Load() {
					time.Sleep(pace)
				}
				if err := l.live(c, ends[round%len(ends)]); err != nil {
					if l.dying.Load() {
						return
					}
					l.mu.Lock()
					l.refusals = append(l.refusals, err.Error())
					l.mu.Unlock()
				}
			}
		})
	}
	return l
}

// stop ends the load; lives under way are lived to their end.
func (l *load) stop() {
	l.ended.Store(true)
	l.workers.Wait()
}

// die ends the load with an IdP that kill takes away.
func (l *load) die(kill func()) {
	l.dying.Store(true)
	kill()
	l.stop()
}

// flowing waits until n more lives have each of the ends.
func (l *load) flowing(t *testing.T, n int) {
	t.Helper()
	begun := time.Now()
	await(t, "the load is served", func() bool {
		have := map[end]int{}
		for _, one := range l.all(func(one *life) bool { return one.begun.After(begun) }) {
			have[one.end]++
		}
		for _, e := range ends {
			if have[e] < n {
				return len(l.refused()) > 0
			}
		}
		return true
	})
}

// all lives that are done and meant.
func (l *load) all(meant func(*life) bool) (lives []*life) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, one := range l.lives {
		if meant(one) {
			lives = append(lives, one)
		}
	}
	return lives
}

func everybody(*life) bool { return true }

func (l *load) refused() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.refusals...)
}

// longest wait, and how often the IdP was busy, among requests under way between two times.
func (l *load) longest(from, to time.Time) (longest time.Duration, busy, requests int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.waits {
		if w.done.After(from) && w.sent.Before(to) {
			longest, busy, requests = max(longest, w.done.Sub(w.sent)), busy+w.busy, requests+1
		}
	}
	return longest, busy, requests
}

// ask until the IdP is not busy.
func (l *load) ask(c *client, r request) (a answer, err error) {
	w := wait{sent: time.Now()}
	for a, err = c.do(r); err == nil && a.busy() && time.Since(w.sent) < patience; a, err = c.do(r) {
		w.busy++
		time.Sleep(5 * time.Millisecond)
	}
	w.done = time.Now()
	l.mu.Lock()
	l.waits = append(l.waits, w)
	l.mu.Unlock()
	if err == nil && !a.good() {
		err = fmt.Errorf("%s %s: %d %s", r.method, r.path, a.status, a.body)
	}
	return a, err
}

// live one life at the IdP of c.
func (l *load) live(c *client, e end) (err error) {
	one := &life{begun: time.Now(), end: e}
	must := func(method, path, body, authorization string) (a answer) {
		if err == nil {
			a, err = l.ask(c, request{method: method, path: path, body: body, authorization: authorization})
		}
		return a
	}
	token := func() string {
		a := must(http.MethodPost, "/api/v1/token", "grant_type=client_credentials", basic(one.clientID, one.secret))
		return a.member("access_token")
	}
	made := must(http.MethodPost, "/api/v1/agents", `{"email":"`+strings.ToLower(rand.Text())+`@example.com","agentType":"custom","version":"1.0.0","owner":"drill","deploymentEnv":"production","capabilities":["notes:read"]}`, "")
	one.agent = made.member("agentId")
	agent := "/api/v1/agents/" + one.agent
	made = must(http.MethodPost, agent+"/credentials", "{}", "")
	one.credential, one.clientID, one.secret = made.member("credentialId"), made.member("clientId"), made.member("clientSecret")
	one.revoked = token()
	must(http.MethodPost, "/api/v1/token/revoke", "token="+one.revoked, basic(one.clientID, one.secret))
	rotated := must(http.MethodPost, agent+"/credentials/"+one.credential+"/rotate", "{}", "")
	one.old, one.secret = one.secret, rotated.member("clientSecret")
	one.token = token()
	switch e {
	case active:
	case suspended:
		must(http.MethodPatch, agent, `{"status":"suspended"}`, "")
	case withdrawn:
		must(http.MethodDelete, agent+"/credentials/"+one.credential, "", "")
	case decommissioned:
		must(http.MethodDelete, agent, "", "")
	}
	if err == nil && one.token == "" {
		err = errors.New("an agent has no token")
	}
	if err != nil {
		return err
	}
	one.done = time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lives = append(l.lives, one)
	return nil
}
