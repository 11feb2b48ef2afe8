package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/grants"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/httpx"
	"github.com/sentryagent/agentidp/shared/obs"
)

const (
	maxExports     = 4                // under way at once
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
	ask := auditlog.ExportQuery{
		Format: auditlog.ExportFormat(q.oneOf("format", string(auditlog.NDJSON), string(auditlog.CSV))),
		From:   q.instant("from"), To: q.instant("to"),
	}
	q.require("format")
	if !ask.From.IsZero() && !ask.To.IsZero() && !ask.From.Before(ask.To) {
		q.breaks("to", "must be after from")
	}
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
		c.write(http.StatusOK, exportMedia[ask.Format], nil)
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

// openExport takes a place, which Close of the stream gives back.
func (a *API) openExport(ctx context.Context, c *call, ask auditlog.ExportQuery) (stream *exportStream, err error) {
	select {
	case a.exports <- struct{}{}:
	default:
		return nil, apierr.New(apierr.Overloaded, "too many exports are under way").WithReason("export_busy").WithRetryAfter(10 * time.Second)
	}
	defer func() {
		if stream == nil {
			<-a.exports
		}
	}()
	event := idp.Event{OrganizationID: c.organizationID, AgentID: c.agentID, Origin: c.origin, Metadata: map[string]any{"jti": c.jti}}
	if id := grants.ClaimedID(c.clientID); id != "" {
		event.Metadata["clientId"] = id
	}
	export, err := a.Log.Export(ctx, ask, event)
	if err != nil {
		return nil, err
	}
	return &exportStream{
		api: a, export: export, ctx: context.WithoutCancel(ctx), taken: a.Now(),
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
	ctx        context.Context // of a request whose answer is still being written
	attributes []slog.Attr     // for the log
	rest       []byte          // of the last page
	taken      time.Time       // when it was read
	err        error           // why there is no further page; io.EOF: that was all
	closed     bool
}

var errSlowClient = errors.New("the client takes too long")

// Read implements io.Reader. Any error but io.EOF makes the server end the
// connection without the end of the body.
func (s *exportStream) Read(p []byte) (int, error) {
	for len(s.rest) == 0 && s.err == nil {
		if s.api.Now().Sub(s.taken) > exportPatience {
			s.err = errSlowClient
			break
		}
		ctx, cancel := context.WithTimeout(s.ctx, exportBudget)
		s.rest, s.err = s.export.Next(ctx)
		cancel()
		s.taken = s.api.Now()
	}
	if len(s.rest) == 0 {
		return 0, s.err
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// Close implements io.Closer: it gives the place back and tells how it went.
func (s *exportStream) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	<-s.api.exports
	result, level, attributes := "complete", slog.LevelInfo, s.attributes
	switch {
	case errors.Is(s.err, io.EOF):
	case s.err == nil || errors.Is(s.err, errSlowClient):
		result, level = "abandoned", slog.LevelWarn
	default:
		result, level = "failed", slog.LevelError
		attributes = append(attributes, slog.Any("error", s.err))
	}
	s.api.observe.export(result)
	attributes = append(attributes, slog.String("result", result), slog.Int64("size", s.export.Size()), slog.Int64("events", s.export.Events()))
	s.api.Logger.LogAttrs(s.ctx, level, "audit export", attributes...)
	return nil
}

var exportResults = []string{"complete", "abandoned", "failed"}

// export counts an export that has ended.
func (o *observer) export(result string) {
	o.set.GetOrCreateCounter(obs.Name("agentidp_audit_exports_total", "result", result)).Inc()
}

// stream writes a status and a body of unknown length, which is closed when it
// was written or given up.
func (c *call) stream(status int, contentType string, body io.ReadCloser) {
	c.http.SetStatusCode(status)
	c.http.SetContentType(contentType)
	c.http.Response.SetBodyStream(body, -1)
	httpx.SetSecurityHeaders(&c.http.Response.Header)
}
