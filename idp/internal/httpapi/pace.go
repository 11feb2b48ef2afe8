package httpapi

import (
	"context"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/idp/internal/turnstile"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// Who is refused unknown pays nothing for what the refusal costs, and may ask again
// at once. So these answers leave in turn, one each pacedRest for every core: a
// flood of them takes a fraction of the processor from those who are known, who
// wait for nobody here. So do answers about tokens that are none, in a line of each
// client's own. Beyond pacedAtMost, and after pacedLongest, they leave out of turn.
const (
	pacedRest    = time.Millisecond
	pacedLongest = 5 * time.Second
	pacedAtMost  = 1 << 16
)

// pace holds an answer back until its turn, if it is one that may be ordered at will.
func (a *API) pace(c *call) {
	if !c.isStranger() && !c.inactive {
		return
	}
	c.http.Request.ResetBody() // which may be large, and is bounded while it is worked on
	whose := ""
	if c.inactive {
		whose = c.agentID
	}
	ctx, cancel := context.WithTimeout(a.ending, pacedLongest)
	defer cancel()
	if leave, err := a.paced.enter(ctx, whose); err == nil {
		time.AfterFunc(pacedRest, leave)
	}
}

// isStranger reports that nobody known is to answer for the request: it was
// refused before its sender was proven.
func (c *call) isStranger() bool {
	if c.failure == nil {
		return false
	}
	refusal := apierr.From(c.failure)
	switch status := refusal.Code.Status(); {
	case status >= http.StatusInternalServerError:
		return refusal.Reason == clientauth.ReasonBusy
	default:
		return status == http.StatusUnauthorized || c.agentID == ""
	}
}

// lines are of answers that leave in turn: one line for each agent whose answers
// wait or rest, and one for all strangers, whose name is empty. The zero value is
// ready to use.
type lines struct {
	mu   sync.Mutex
	open map[string]*line // guarded by mu
}

type line struct {
	*turnstile.Turnstile
	used int // by so many; guarded by the lines' mu
}

// enter waits for the turn. After nil the caller must leave.
func (l *lines) enter(ctx context.Context, whose string) (leave func(), err error) {
	joined := l.join(whose)
	if err := joined.Enter(ctx); err != nil {
		l.part(whose, joined)
		return nil, err
	}
	return func() {
		joined.Leave()
		l.part(whose, joined)
	}, nil
}

func (l *lines) join(whose string) *line {
	l.mu.Lock()
	defer l.mu.Unlock()
	joined := l.open[whose]
	if joined == nil {
		if l.open == nil {
			l.open = map[string]*line{}
		}
		joined = &line{Turnstile: turnstile.New(runtime.GOMAXPROCS(0), pacedAtMost)}
		l.open[whose] = joined
	}
	joined.used++
	return joined
}

func (l *lines) part(whose string, from *line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if from.used--; from.used == 0 {
		delete(l.open, whose)
	}
}

// waiting is how many answers wait now.
func (l *lines) waiting() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, of := range l.open {
		n += of.Waiting()
	}
	return n
}
