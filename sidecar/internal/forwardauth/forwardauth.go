// Package forwardauth answers proxies that ask about each request before they
// forward it: nginx's auth_request, Traefik's ForwardAuth, Caddy's forward_auth.
// It only puts the request together again from what the asking proxy says; the
// judgement, its record and its answer are the proxy package's.
package forwardauth

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/httpx"
	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

// Options of a Server. All but TLS and Drain are required.
type Options struct {
	Ask   func(proxy.Question) proxy.Verdict
	Peers []netip.Prefix // who may ask, and whose word on the client's address counts
	TLS   *tls.Config    // nil: plain HTTP
	Drain time.Duration  // for questions in flight when Serve is to end

	Log     *slog.Logger
	Metrics *metrics.Set
}

const (
	connections = 4 << 10          // at once
	strangers   = 4                // of them, from one address outside of Peers
	headBuffer  = 40 << 10         // the client's head, and its target twice
	headTime    = 5 * time.Second  // for a question to arrive, once begun
	idleTime    = 90 * time.Second // longer than proxies keep their connections
)

// Server answers on one listener. Make it with New.
type Server struct {
	Options
	meters *meters
}

// New checks the options.
func New(o Options) (*Server, error) {
	if o.Ask == nil || o.Log == nil || o.Metrics == nil {
		return nil, errors.New("forwardauth: Options.Ask, Log and Metrics are required")
	}
	if len(o.Peers) == 0 {
		return nil, errors.New("forwardauth: nobody may ask: there are no trusted peers")
	}
	return &Server{Options: o, meters: newMeters(o.Metrics)}, nil
}

// Serve answers until ctx ends, then lets questions in flight finish for up to Drain.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	server := httpx.NewServer(httpx.Options{
		Handler: s.handle, Refuse: s.reject, Log: s.Log,
		Stream:  true, // the head alone is looked at; what else comes ends the connection
		MaxHead: headBuffer, HeadTimeout: headTime, IdleTimeout: idleTime, Concurrency: connections,
	})
	server.HeaderReceived = expectNothing
	return httpx.Serve(ctx, server, httpx.NewListener(ln, httpx.ListenOptions{MaxPerAddress: strangers, Exempt: s.Peers, TLS: s.TLS}), s.Drain)
}

// expectNothing keeps the server from answering the client's Expect, which some
// proxies ask with; the guard sees it in the raw head.
func expectNothing(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	h.Del("Expect")
	return fasthttp.RequestConfig{}
}

var (
	errPeer   = apierr.New(apierr.Forbidden, "only trusted proxies may ask").WithReason("peer_not_trusted")
	errPath   = apierr.New(apierr.NotFound, "there is nothing here").WithReason("not_found")
	errMethod = apierr.New(apierr.MethodNotAllowed, "questions are asked with GET").WithReason("method_not_allowed")
)

// handle answers one question.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	h := &ctx.Request.Header
	path, _, _ := bytes.Cut(h.RequestURI(), []byte{'?'}) // Caddy asks with the client's query
	convention := conventions[string(path)]
	switch {
	case !s.trusts(ctx), convention == nil:
		s.reject(ctx, errPath)
	case !ctx.IsGet():
		ctx.Response.Header.Set("Allow", "GET")
		s.reject(ctx, errMethod)
	default:
		v := s.Ask(convention.question(h.RawHeaders(), httpx.Peer(ctx), s.Peers))
		s.meters.asked(v.Allowed)
		convention.answer(&ctx.Response, &v)
	}
}

func (s *Server) trusts(ctx *fasthttp.RequestCtx) bool {
	peer := httpx.Peer(ctx)
	for _, prefix := range s.Peers {
		if prefix.Contains(peer) {
			return true
		}
	}
	return false
}

// reject answers what is no question. It judges nothing and records nothing; a
// stranger learns nothing beyond being one.
func (s *Server) reject(ctx *fasthttp.RequestCtx, e *apierr.Error) {
	if !s.trusts(ctx) {
		e = errPeer
		ctx.SetConnectionClose()
	}
	level := slog.LevelDebug
	if s.meters.rejected(e.Reason) {
		level = slog.LevelWarn
	}
	s.Log.Log(ctx, level, "not a question", "reason", e.Reason, "peer", httpx.Peer(ctx).String())
	ctx.Response.Header.Set(proxy.ErrorHeader, e.Reason)
	httpx.WriteError(ctx, e)
}
