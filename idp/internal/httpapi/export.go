package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/grants"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/httpx"
	"github.com/sentryagent/agentidp/shared/obs"
)

const (
	maxExports     = 8                // under way at once
	maxExportsEach = 2                // of one organization, so that none takes every place
	exportBudget   = 10 * time.Second // for one page of the store
	exportPatience = time.Minute      // for the client to take one page
)

var exportMedia = map[auditlog.ExportFormat]string{
	auditlog.NDJSON: "application/x-ndjson",
	auditlog.CSV:    "text/csv; charset=utf-8; header=present",
}

// parseExportQuery reads what to export.
func parseExportQuery(raw string) (auditlog.ExportQuery, error) {
	q := parseQuery(raw)
	ask := auditlog.ExportQuery{Format: auditlog.ExportFormat(q.oneOf("format", string(auditlog.NDJSON), string(auditlog.CSV))), Filter: q.auditFilter()}
	q.require("format")
	return ask, q.done()
}

// exportAudit answers with a stream. Its beginning says 200 before its end is
// known: the client sees by the missing end of the body that it is incomplete.
func (a *API) exportAudit(ctx context.Context, c *call) error {
	ask, err := parseExportQuery(c.rawQuery())
	if err != nil {
		return err
	}
	ask.OrganizationID = c.visibleLog()
	if c.http.IsHead() { // nothing leaves
		c.streamHead(http.StatusOK, exportMedia[ask.Format])
		return nil
	}
	stream, err := a.openExport(ctx, c, ask)
	if err != nil {
		return err
	}
	c.set("Content-Disposition", fmt.Sprintf(`attachment; filename="audit-%d.%s"`, stream.export.Size(), ask.Format))
	c.stream(http.StatusOK, exportMedia[ask.Format], stream)
	return nil
}

// exports are the places of those under way. The zero value is ready.
type exports struct {
	mu    sync.Mutex     // guards what follows
	total int            // of all organizations
	of    map[string]int // by organization; absent: none
}

// enter takes a place, if there is one, which leave gives back.
func (e *exports) enter(organizationID string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.total == maxExports || e.of[organizationID] == maxExportsEach {
		return false
	}
	if e.of == nil {
		e.of = map[string]int{}
	}
	e.total++
	e.of[organizationID]++
	return true
}

func (e *exports) leave(organizationID string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.total--
	if e.of[organizationID]--; e.of[organizationID] == 0 {
		delete(e.of, organizationID)
	}
}

func (e *exports) open() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.total
}

// openExport takes a place, which Close of the stream gives back.
func (a *API) openExport(ctx context.Context, c *call, ask auditlog.ExportQuery) (stream *exportStream, err error) {
	if !a.exports.enter(c.organizationID) {
		return nil, apierr.New(apierr.Overloaded, "too many exports are under way").WithReason("export_busy").WithRetryAfter(10 * time.Second)
	}
	defer func() {
		if stream == nil {
			a.exports.leave(c.organizationID)
		}
	}()
	bearer, err := c.actor()
	if err != nil {
		return nil, err
	}
	event := idp.Event{OrganizationID: c.organizationID, AgentID: c.agentID, Origin: c.origin, Metadata: map[string]any{"jti": c.jti}}
	if id := grants.ClaimedID(c.clientID); id != "" {
		event.Metadata["clientId"] = id
	}
	export, err := a.Log.Export(ctx, ask, event)
	if err != nil {
		return nil, err
	}
	return &exportStream{
		api: a, export: export, bearer: bearer, gone: c.gone, ctx: context.WithoutCancel(ctx), taken: a.Now(),
		attributes: []slog.Attr{
			slog.String("format", string(ask.Format)), slog.String("organization_id", c.organizationID), slog.String("agent_id", c.agentID),
			slog.String("request_id", c.origin.RequestID),
		},
	}, nil
}

// exportStream is the body of an export. The server reads it from the
// connection's goroutine as fast as the client takes it, and closes it.
type exportStream struct {
	api        *API
	export     *auditlog.Export
	bearer     registry.Actor  // whose token must stay good to the end
	gone       func() bool     // whether the client left: most of a log may give nothing to write
	ctx        context.Context // of a request whose answer is still being written
	attributes []slog.Attr     // for the log
	rest       []byte          // to be written
	pulse      pulse           // keeps the client waiting where most of the log gives nothing
	taken      time.Time       // when the last page was read
	err        error           // why there is no further page; io.EOF: that was all
	closed     bool
}

var (
	errSlowClient = errors.New("the client takes too long")
	errLeft       = errors.New("the client left")
)

// Read implements io.Reader. Any error but io.EOF makes the server end the
// connection without the end of the body.
func (s *exportStream) Read(p []byte) (int, error) {
	for len(s.rest) == 0 && s.err == nil {
		var page []byte
		page, s.err = s.next()
		s.taken = s.api.Now()
		if s.err != nil { // what was read before is still the client's
			s.rest = s.pulse.end()
			break
		}
		s.rest = s.pulse.give(page, s.taken)
	}
	if len(s.rest) == 0 {
		return 0, s.err
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// next reads a page for a client who still takes it and still may.
func (s *exportStream) next() ([]byte, error) {
	switch {
	case s.api.Now().Sub(s.taken) > exportPatience:
		return nil, errSlowClient
	case s.gone():
		return nil, errLeft
	}
	ctx, cancel := context.WithTimeout(s.ctx, exportBudget)
	defer cancel()
	err := s.api.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := s.bearer.Live(ctx, tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.export.Next(ctx)
}

// Close implements io.Closer: it gives the place back and tells how it went.
func (s *exportStream) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	s.api.exports.leave(s.bearer.OrganizationID)
	result, level, attributes := "complete", slog.LevelInfo, s.attributes
	switch {
	case errors.Is(s.err, io.EOF):
	case s.err == nil || errors.Is(s.err, errSlowClient) || errors.Is(s.err, errLeft):
		result, level = "abandoned", slog.LevelWarn
	case apierr.Is(s.err, apierr.Unauthenticated):
		result, level = "revoked", slog.LevelWarn
		attributes = append(attributes, slog.String("reason", apierr.From(s.err).Reason))
	default:
		result, level = "failed", slog.LevelError
		attributes = append(attributes, slog.Any("error", s.err))
	}
	attributes = append(attributes, slog.String("result", result),
		slog.Int64("size", s.export.Size()), slog.Int64("position", s.export.Position()), slog.Int64("events", s.export.Events()))
	s.api.Logger.LogAttrs(s.ctx, level, "audit export", attributes...)
	s.api.observe.export(result) // who sees it counted finds it logged
	return nil
}

var exportResults = []string{"complete", "abandoned", "revoked", "failed"}

// export counts an export that has ended.
func (o *observer) export(result string) {
	o.set.GetOrCreateCounter(obs.Name("agentidp_audit_exports_total", "result", result)).Inc()
}

// stream writes a status and a body of unknown length, which is closed when it
// was written or given up.
func (c *call) stream(status int, contentType string, body io.ReadCloser) {
	c.streamHead(status, contentType)
	c.http.Response.SetBodyStream(body, -1)
}

// streamHead writes what stands before a stream. To HEAD it is the whole answer:
// fasthttp ends even a body that it leaves out with an empty line, which the
// client would read as the beginning of its next answer.
func (c *call) streamHead(status int, contentType string) {
	c.http.SetStatusCode(status)
	c.http.SetContentType(contentType)
	c.http.Response.Header.SetContentLength(-1)
	httpx.SetSecurityHeaders(&c.http.Response.Header)
}
