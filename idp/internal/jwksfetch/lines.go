package jwksfetch

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/idp/internal/turnstile"
)

// The bounds of the lines in front of the network. Each stands behind the one
// before it, so that whoever waits holds up nobody but those who share its
// reason to wait.
const (
	waitPerPair         = 64 // fetches of an organization from one host; one at a time goes on
	atOncePerOrg        = 4  // a quarter of all: no organization's slow hosts keep out the others
	waitPerOrganization = 64
	waitPerHost         = 64 // one at a time gets in: no agent makes us a weapon against another's host
	atOnce              = 16 // of all
	waiting             = 256
)

// lines let fetches in, by what they have in common.
type lines struct {
	patience time.Duration
	all      *turnstile.Turnstile

	mu    sync.Mutex
	named map[name]*line // that somebody stands in; guarded by mu
}

// name is of an organization, a host, or the pair.
type name struct{ organization, host string }

type line struct {
	*turnstile.Turnstile
	users int // guarded by lines.mu
}

func newLines(patience time.Duration) *lines {
	return &lines{patience: patience, all: turnstile.New(atOnce, waiting), named: map[name]*line{}}
}

// enter waits until an organization may fetch from a host. After nil the caller
// must leave. The error is errBusy.
func (l *lines) enter(ctx context.Context, organization, host string) (leave func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	var leaves []func()
	leave = func() {
		for i := len(leaves) - 1; i >= 0; i-- {
			leaves[i]()
		}
	}
	for _, stop := range []struct {
		what        string
		name        name
		width, wait int
	}{
		{"of the organization from that host", name{organization, host}, 1, waitPerPair},
		{"of the organization", name{organization, ""}, atOncePerOrg, waitPerOrganization},
		{"from that host", name{"", host}, 1, waitPerHost},
	} {
		left, err := l.stand(ctx, stop.name, stop.width, stop.wait)
		if err != nil {
			leave()
			return nil, fmt.Errorf("%w %s: %w", errBusy, stop.what, err)
		}
		leaves = append(leaves, left)
	}
	if err := l.all.Enter(ctx); err != nil {
		leave()
		return nil, fmt.Errorf("%w: %w", errBusy, err)
	}
	leaves = append(leaves, l.all.Leave)
	return leave, nil
}

// stand waits in the line of that name, which is there while it is used.
func (l *lines) stand(ctx context.Context, of name, width, wait int) (leave func(), err error) {
	l.mu.Lock()
	found := l.named[of]
	if found == nil {
		found = &line{Turnstile: turnstile.New(width, wait)}
		l.named[of] = found
	}
	found.users++
	l.mu.Unlock()
	forget := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if found.users--; found.users == 0 {
			delete(l.named, of)
		}
	}
	if err := found.Enter(ctx); err != nil {
		forget()
		return nil, err
	}
	return func() {
		found.Leave()
		forget()
	}, nil
}
