package main

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

	"github.com/sentryagent/agentidp/deploy/dev/stack"
	"github.com/sentryagent/agentidp/shared/feed"
)

const (
	feedsPerAgent = 50 // an agent's sidecars are bounded
	reachRounds   = 40
	reachLimit    = 30 * time.Second // for one round
)

// arrival is an entry that reached a feed.
type arrival struct {
	agentID string
	at      time.Time
}

// reach measures from the 200 of an agent's suspension to the moment when every
// one of many long-polling feeds has it, and when a real sidecar among them refuses
// the agent's token.
func (b *bench) reach(ctx context.Context) error {
	arrivals := make(chan arrival, b.feeds)
	failed := make(chan error, b.feeds)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	client := &fasthttp.HostClient{Addr: b.IdP, MaxConns: b.feeds, ReadTimeout: time.Minute, MaxIdemponentCallAttempts: 1}
	defer client.CloseIdleConnections()
	token := ""
	for n := range b.feeds {
		if n%feedsPerAgent == 0 {
			var err error
			if token, err = b.follower(ctx, n); err != nil {
				return err
			}
		}
		go func() { failed <- follow(ctx, client, n, token, arrivals) }()
	}
	var each, all, refusals []time.Duration
	for range reachRounds {
		if err := b.parked(ctx, failed); err != nil {
			return err
		}
		took, refused, err := b.reachOnce(ctx, arrivals, failed)
		if err != nil {
			return err
		}
		each, all, refusals = append(each, took...), append(all, slices.Max(took)), append(refusals, refused)
	}
	fmt.Printf("reach    200 of a suspension to %d feeds: each %s; the last of them %s; refusal at the sidecar %s; %d suspensions\n",
		b.feeds, spread(each), spread(all), spread(refusals), reachRounds)
	return nil
}

// follower registers an agent that may read the feed and gets it a token.
func (b *bench) follower(ctx context.Context, n int) (string, error) {
	agent, err := b.admin.Register(ctx, stack.Registration{Email: fmt.Sprintf("feed-%d@example.com", n), AgentType: "sidecar", Capabilities: []string{"revocations:read"}})
	if err != nil {
		return "", err
	}
	token, err := b.Config(agent.Credential).Token(ctx)
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
			if cursor != "" && entry.Type == feed.TypeAgent {
				arrivals <- arrival{entry.ID, at}
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
func (b *bench) parked(ctx context.Context, failed <-chan error) error {
	want := fmt.Sprintf("\nagentidp_feed_polls %d\n", b.feeds+1)
	until := time.Now().Add(reachLimit)
	for time.Now().Before(until) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.Issuer()+"/metrics", nil)
		if err != nil {
			return err
		}
		answer, err := stack.Send(http.DefaultClient, request)
		if err != nil {
			return err
		}
		if strings.Contains(string(answer.Body), want) {
			time.Sleep(20 * time.Millisecond) // between the last one's place and its wait
			return nil
		}
		select {
		case err := <-failed:
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
	return errors.New("the feeds do not all wait")
}

// reachOnce suspends an agent. An entry may be there before the 200 is: that counts as at once.
func (b *bench) reachOnce(ctx context.Context, arrivals <-chan arrival, failed <-chan error) (each []time.Duration, refusal time.Duration, err error) {
	token, err := b.token(ctx)
	if err != nil {
		return nil, 0, err
	}
	if status, err := b.get(ctx, token); err != nil || status != http.StatusOK {
		return nil, 0, fmt.Errorf("a fresh token: %d %w", status, err)
	}
	path := "/api/v1/agents/" + url.PathEscape(b.reader.AgentID)
	if err := b.admin.JSON(ctx, http.MethodPatch, path, map[string]string{"status": "suspended"}, nil); err != nil {
		return nil, 0, err
	}
	began := time.Now()
	var sidecar sync.WaitGroup
	var refused error
	sidecar.Go(func() { refusal, refused = b.untilRefused(ctx, token, began) })
	timeout := time.NewTimer(reachLimit)
	defer timeout.Stop()
	for len(each) < b.feeds && err == nil {
		select {
		case a := <-arrivals:
			if a.agentID == b.reader.AgentID {
				each = append(each, max(0, a.at.Sub(began)))
			}
		case err = <-failed:
		case <-timeout.C:
			err = fmt.Errorf("%d of %d feeds have the entry", len(each), b.feeds)
		}
	}
	sidecar.Wait()
	if err := errors.Join(err, refused); err != nil {
		return nil, 0, err
	}
	return each, refusal, b.admin.JSON(ctx, http.MethodPatch, path, map[string]string{"status": "active"}, nil)
}

func (b *bench) untilRefused(ctx context.Context, token string, began time.Time) (time.Duration, error) {
	for time.Since(began) < reachLimit {
		status, err := b.get(ctx, token)
		if err != nil {
			return 0, err
		}
		if status == http.StatusUnauthorized {
			return time.Since(began), nil
		}
		time.Sleep(time.Millisecond)
	}
	return 0, errors.New("the sidecar does not refuse")
}

// spread is p50, p99 and the highest.
func spread(values []time.Duration) string {
	sorted := slices.Sorted(slices.Values(values))
	at := func(q float64) time.Duration {
		return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))].Round(100 * time.Microsecond)
	}
	return fmt.Sprintf("p50 %s p99 %s max %s", at(0.5), at(0.99), at(1))
}
