package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/revocation"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/feed"
)

// getRevocations is the feed. A poll ends with news, after its wait, at the
// server's shutdown, or when the caller left.
func (a *API) getRevocations(ctx context.Context, c *call) error {
	q := c.query()
	after, wait := q.text("after"), time.Duration(q.integer("wait", 0, feed.MaxWait, 0))*time.Second
	if _, err := feed.ParseCursor(after); after != "" && err != nil {
		q.breaks("after", feed.ErrCursor.Error())
	}
	if err := q.done(); err != nil {
		return err
	}
	s, err := c.sidecar(false)
	if err != nil {
		return err
	}
	a.seen(ctx, c, s, after)
	var result revocation.Result
	if wait == 0 {
		result, err = a.Revocation.Poll(ctx, after, 0)
	} else {
		result, err = a.wait(ctx, c, after, wait)
	}
	if err != nil {
		return err
	}
	if result.Page == nil {
		c.write(http.StatusOK, feed.SnapshotMediaType, []byte(result.Snapshot))
		return nil
	}
	c.write(http.StatusOK, "application/json", result.Body)
	return nil
}

// probeEvery is how often a waiting poll looks whether anybody still waits.
const probeEvery = time.Second

func (a *API) wait(ctx context.Context, c *call, after string, wait time.Duration) (revocation.Result, error) {
	ctx, leave, err := a.hold(ctx, c)
	if err != nil {
		return revocation.Result{}, err
	}
	defer leave()
	return a.Revocation.Poll(ctx, after, wait)
}

// hold takes one of a bounded number of places to wait in. Its context ends
// when the caller left and at the server's shutdown; leave it before the answer.
func (a *API) hold(ctx context.Context, c *call) (_ context.Context, leave func(), err error) {
	select {
	case a.polls <- struct{}{}:
	default:
		return nil, nil, apierr.New(apierr.Overloaded, "too many polls are waiting").WithReason("polls_full").WithRetryAfter(time.Second)
	}
	ctx, cancel := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		ticks := time.NewTicker(probeEvery)
		defer ticks.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-a.ending.Done():
				cancel()
				return
			case <-ticks.C:
				if c.gone() {
					cancel()
				}
			}
		}
	}()
	return ctx, func() {
		cancel()
		<-watched // it looks at the connection, which is the server's again after the answer
		<-a.polls
	}, nil
}

type entryView struct {
	Seq    int64  `json:"seq"`
	Type   string `json:"type"`
	ID     string `json:"id"`
	Epoch  int64  `json:"epoch,omitempty"`
	Exp    int64  `json:"exp,omitempty"`
	Reason string `json:"reason"`
	At     string `json:"at"`
}

func viewEntry(r idp.Revocation) entryView {
	view := entryView{Seq: r.Seq, Type: string(r.Type), ID: r.ID, Epoch: r.Epoch, Reason: r.Reason, At: stamp(r.At)}
	if !r.Expires.IsZero() {
		view.Exp = r.Expires.Unix()
	}
	return view
}

type previewView struct {
	Type           string `json:"type"`
	ID             string `json:"id"`
	OrganizationID string `json:"organizationId,omitempty"`
	At             string `json:"at"`
	LiveTokens     int64  `json:"liveTokens"`
	Bound          string `json:"bound"`
	Agents         int64  `json:"agents"`
	Credentials    int64  `json:"credentials"`
	Sidecars       int64  `json:"sidecars"`
}

func (a *API) previewRevocation(ctx context.Context, c *call) error {
	q := c.query()
	subject := revocation.NewRevocation{Type: q.text("type"), ID: q.text("id")}
	q.require("type", "id")
	if err := q.done(); err != nil {
		return err
	}
	actor, err := c.actor()
	if err != nil {
		return err
	}
	p, err := a.Revocation.Preview(ctx, actor, subject)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, previewView{
		Type: string(p.Type), ID: p.ID, OrganizationID: p.OrganizationID, At: stamp(p.LookedAt), LiveTokens: p.LiveTokens, Bound: string(p.Bound),
		Agents: p.Agents, Credentials: p.Credentials, Sidecars: p.Sidecars,
	})
}

func (a *API) createRevocation(ctx context.Context, c *call) error {
	if err := c.noQuery(); err != nil {
		return err
	}
	m, err := c.members()
	if err != nil {
		return err
	}
	in := revocation.NewRevocation{Type: or(m.text("type")), ID: or(m.text("id")), Reason: or(m.text("reason"))}
	m.require("type", "id")
	if err := m.done(); err != nil {
		return err
	}
	actor, err := c.actor()
	if err != nil {
		return err
	}
	entry, replayed, err := a.Revocation.Create(ctx, actor, in)
	if err != nil {
		return err
	}
	c.replayed(replayed)
	return c.answer(http.StatusCreated, viewEntry(entry))
}
