package scale

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/deploy/dev/stack"
	"github.com/sentryagent/agentidp/shared/feed"
)

// perAgent is how many sidecars share an agent: as many as an IdP lists of one.
const perAgent = 100

// enrol makes agents for that many sidecars.
func (s *served) enrol(ctx context.Context, sidecars int) error {
	for n := 0; n < sidecars; n += perAgent {
		token, err := s.follower(ctx, n)
		if err != nil {
			return err
		}
		s.known = append(s.known, token)
	}
	page, err := s.admin.Do(ctx, http.MethodGet, "/api/v1/revocations", nil)
	if err != nil {
		return err
	}
	s.from, err = cursorOf(page.Body)
	return err
}

// follow lets the sidecars wait at the feed until ctx ends.
func (s *served) follow(ctx context.Context, size int, named bool) {
	client := &fasthttp.HostClient{Addr: s.IdP, MaxConns: size, ReadTimeout: time.Minute, MaxIdemponentCallAttempts: 1, ReadBufferSize: 1024, WriteBufferSize: 1024}
	context.AfterFunc(ctx, client.CloseIdleConnections)
	s.herd = newTally(size)
	for n := range size {
		one := poller{client: client, address: "http://" + s.IdP + "/api/v1/revocations?wait=30&after=", cursor: s.from, bearer: s.known[n/perAgent], n: n, named: named}
		go func() {
			if err := one.poll(ctx, s.herd); err != nil && ctx.Err() == nil {
				s.herd.failed <- err
			}
		}()
	}
}

// follower is the token of a new agent that may read the feed.
func (s *served) follower(ctx context.Context, n int) (string, error) {
	agent, err := s.admin.Register(ctx, stack.Registration{Email: fmt.Sprintf("feed-%d@example.com", n), AgentType: "sidecar", Capabilities: []string{"revocations:read"}})
	if err != nil {
		return "", err
	}
	token, err := s.Config(agent.Credential).Token(ctx)
	if err != nil {
		return "", err
	}
	return token.AccessToken, nil
}

// cursorOf reads a signed snapshot, unverified.
func cursorOf(signed []byte) (string, error) {
	var snapshot feed.Snapshot
	parts := strings.Split(string(signed), ".")
	if len(parts) != 3 {
		return "", fmt.Errorf("the feed gave no snapshot: %.100q", signed)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", err
	}
	err = json.Unmarshal(payload, &snapshot)
	return snapshot.Cursor, err
}

// poller is one sidecar.
type poller struct {
	client                  *fasthttp.HostClient
	address, cursor, bearer string
	n                       int
	named                   bool
}

// poll asks as a sidecar does until ctx ends.
func (p *poller) poll(ctx context.Context, told *tally) error {
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	request.Header.Set("Authorization", "Bearer "+p.bearer)
	if p.named {
		request.Header.Set("X-Sidecar-Id", fmt.Sprintf("00000000-0000-4000-8000-%012d", p.n))
		request.Header.Set("X-Sidecar-Version", "bench")
	}
	for ctx.Err() == nil {
		request.SetRequestURI(p.address + p.cursor)
		if err := p.client.Do(request, response); err != nil {
			return fmt.Errorf("feed: %w", err)
		}
		switch response.StatusCode() {
		case http.StatusOK:
		case http.StatusServiceUnavailable:
			time.Sleep(calm) // as a sidecar does; what it missed, it gets next
			continue
		default:
			return fmt.Errorf("feed: %d %s", response.StatusCode(), response.Body())
		}
		var page feed.Page
		if err := json.Unmarshal(response.Body(), &page); err != nil {
			return fmt.Errorf("feed: %w", err)
		}
		p.cursor = page.Cursor
		if len(page.Entries) == 0 {
			continue
		}
		told.mark(p.n, len(response.Body()))
	}
	return nil
}
