package scenario

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/bench/lab"
	"github.com/sentryagent/agentidp/bench/load"
	"github.com/sentryagent/agentidp/bench/result"
	"github.com/sentryagent/agentidp/deploy/dev/stack"
	"github.com/sentryagent/agentidp/shared/feed"
)

const (
	feedsPerAgent = 50 // an agent's sidecars are bounded
	reachLimit    = 30 * time.Second
	suspensions   = 8 // a round
	quickReach    = 3
)

// arrival is an entry that reached a feed.
type arrival struct {
	agentID string
	at      time.Time
}

// reach measures from the 200 of an agent's suspension to the moment when every
// one of many long-polling feeds has it, and when a real sidecar among them
// refuses the agent's token.
func reach(ctx context.Context, r *Run) ([]result.Row, error) {
	if err := r.Focus(ctx, lab.IdP); err != nil {
		return nil, err
	}
	var rows []result.Row
	for _, feeds := range []int{1, 50, 200} {
		measured, err := r.reachOf(ctx, feeds)
		if err != nil {
			return nil, fmt.Errorf("%d feeds: %w", feeds, err)
		}
		rows = append(rows, measured...)
	}
	return rows, nil
}

// herd are the feeds.
type herd struct {
	size     int
	arrivals chan arrival
	failed   chan error
}

func (r *Run) reachOf(ctx context.Context, feeds int) ([]result.Row, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h := &herd{feeds, make(chan arrival, feeds), make(chan error, feeds)}
	client := &fasthttp.HostClient{Addr: r.IdP, MaxConns: feeds, ReadTimeout: time.Minute, MaxIdemponentCallAttempts: 1}
	defer client.CloseIdleConnections()
	token := ""
	for n := range feeds {
		if n%feedsPerAgent == 0 {
			var err error
			if token, err = r.follower(ctx, feeds, n); err != nil {
				return nil, err
			}
		}
		bearer := token
		go func() { h.failed <- follow(ctx, client, n, bearer, h.arrivals) }()
	}
	count := suspensions
	if r.Quick {
		count = quickReach
	}
	var refusals load.Result
	params := map[string]float64{"feeds": float64(feeds)}
	return r.interleave(ctx, r.Rounds,
		newSubject("revocation-reach", "feeds", params, func(ctx context.Context) (measured, error) {
			each, last := load.NewResult("each"), []float64{}
			refusals = load.NewResult("refusal")
			for range count {
				took, refused, err := r.reachOnce(ctx, h)
				if err != nil {
					return measured{}, err
				}
				for _, t := range took {
					each.Record(t)
				}
				refusals.Record(refused)
				last = append(last, micros(slices.Max(took)))
			}
			m := measured{each.Sample(), each.Latency}
			delete(m.sample, result.PerSecond)
			m.sample["last_us"], _ = result.Median(last)
			return m, nil
		}),
		newSubject("revocation-reach", "sidecar", params, func(context.Context) (measured, error) { // in the same suspensions
			m := measured{refusals.Sample(), refusals.Latency}
			delete(m.sample, result.PerSecond)
			return m, nil
		}))
}

// follower registers an agent that may read the feed and gets it a token.
func (r *Run) follower(ctx context.Context, feeds, n int) (string, error) {
	agent, err := r.Admin.Register(ctx, stack.Registration{Email: fmt.Sprintf("feed-%d-%d@example.com", feeds, n), AgentType: "sidecar", Capabilities: []string{"revocations:read"}})
	if err != nil {
		return "", err
	}
	token, err := r.Config(agent.Credential).Token(ctx)
	if err != nil {
		return "", err
	}
	return token.AccessToken, nil
}

// follow polls as a sidecar does, from where the feed is now, until ctx ends.
func follow(ctx context.Context, client *fasthttp.HostClient, n int, token string, arrivals chan<- arrival) error {
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("X-Sidecar-Id", fmt.Sprintf("00000000-0000-4000-8000-%012d", n))
	request.Header.Set("X-Sidecar-Version", "bench")
	address, cursor := "http://"+client.Addr+"/api/v1/revocations?wait=30", ""
	for ctx.Err() == nil {
		request.SetRequestURI(address)
		err := client.Do(request, response)
		at := time.Now()
		if err != nil {
			return fmt.Errorf("feed: %w", err)
		}
		if response.StatusCode() == http.StatusServiceUnavailable {
			time.Sleep(100 * time.Millisecond) // as a sidecar does; what it missed, it gets next
			continue
		}
		if response.StatusCode() != http.StatusOK {
			return fmt.Errorf("feed: %d %s", response.StatusCode(), response.Body())
		}
		page, err := readFeed(string(response.Header.ContentType()), response.Body())
		if err != nil {
			return fmt.Errorf("feed: %w", err)
		}
		for _, entry := range page.Entries {
			if cursor == "" || entry.Type != feed.TypeAgent {
				continue
			}
			select {
			case arrivals <- arrival{entry.ID, at}:
			case <-ctx.Done():
				return nil
			}
		}
		cursor = page.Cursor
		address = "http://" + client.Addr + "/api/v1/revocations?wait=30&after=" + cursor
	}
	return nil
}

// readFeed reads a page, or of a snapshot, unverified, what it has of one.
func readFeed(contentType string, body []byte) (page feed.Page, err error) {
	if contentType == feed.SnapshotMediaType {
		if body, err = payload(string(body)); err != nil {
			return page, err
		}
	}
	return page, json.Unmarshal(body, &page)
}

// payload is the middle of a compact JWS.
func payload(signed string) ([]byte, error) {
	_, rest, _ := strings.Cut(signed, ".")
	middle, _, _ := strings.Cut(rest, ".")
	return base64.RawURLEncoding.DecodeString(middle)
}

// parked waits until every feed, and the sidecar's, waits for news.
func (r *Run) parked(ctx context.Context, h *herd) error {
	until := time.Now().Add(reachLimit)
	for time.Now().Before(until) {
		page, err := lab.ReadMetrics(ctx, r.IdP)
		if err != nil {
			return err
		}
		polls, err := page.Value("agentidp_feed_polls")
		if err != nil {
			return err
		}
		if polls >= float64(h.size+1) {
			time.Sleep(20 * time.Millisecond) // between the last one's place and its wait
			return nil
		}
		select {
		case err := <-h.failed:
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
	return errors.New("the feeds do not all wait")
}

// reachOnce suspends an agent. An entry may be there before the 200 is: that counts as at once.
func (r *Run) reachOnce(ctx context.Context, h *herd) (each []time.Duration, refusal time.Duration, err error) {
	if err := r.parked(ctx, h); err != nil {
		return nil, 0, err
	}
	token, err := r.accepted(ctx)
	if err != nil {
		return nil, 0, err
	}
	path := "/api/v1/agents/" + url.PathEscape(r.Reader.AgentID)
	if err := r.Admin.JSON(ctx, http.MethodPatch, path, map[string]string{"status": "suspended"}, nil); err != nil {
		return nil, 0, err
	}
	began := time.Now()
	var sidecar sync.WaitGroup
	var refused error
	sidecar.Go(func() { refusal, refused = r.untilRefused(ctx, token, began) })
	timeout := time.NewTimer(reachLimit)
	defer timeout.Stop()
	for len(each) < h.size && err == nil {
		select {
		case a := <-h.arrivals:
			if a.agentID == r.Reader.AgentID {
				each = append(each, max(0, a.at.Sub(began)))
			}
		case err = <-h.failed:
		case <-timeout.C:
			err = fmt.Errorf("%d of %d feeds have the entry", len(each), h.size)
		}
	}
	sidecar.Wait()
	if err := errors.Join(err, refused); err != nil {
		return nil, 0, err
	}
	return each, refusal, r.Admin.JSON(ctx, http.MethodPatch, path, map[string]string{"status": "active"}, nil)
}
