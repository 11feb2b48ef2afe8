package httpapi

import (
	"bytes"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/trace"
)

// startSpan continues the caller's trace, or starts one. A second traceparent
// makes the first one doubtful; the fields of tracestate are one list.
func (a *API) startSpan(http *fasthttp.RequestCtx) (own, caller trace.Context) {
	header := &http.Request.Header
	state := string(bytes.Join(header.PeekAll(trace.HeaderState), []byte{','}))
	parents := header.PeekAll(trace.HeaderParent) // in the same slice as the last ones
	if len(parents) != 1 {
		return a.Sampler.Start(nil, "")
	}
	return a.Sampler.Start(parents[0], state)
}

// exportSpan hands over the request's span, if somebody wants it. Nothing of
// query, bodies or credentials is in it, and no name that a caller made up.
func (a *API) exportSpan(c *call, started time.Time) {
	if a.Export == nil || !c.span.Sampled() {
		return
	}
	status, method := c.http.Response.StatusCode(), "_OTHER"
	if c.route != a.unmatched {
		method = string(c.http.Method())
	}
	name := method
	if c.route.Path != "" && c.route != a.unmatched {
		name += " " + c.route.Path
	}
	span := trace.Span{
		Context: c.span, Parent: c.caller, Name: name, Start: started, End: a.Now(), Failed: status >= fasthttp.StatusInternalServerError,
		Text: [][2]string{
			{"http.request.method", method}, {"http.route", c.route.Path}, {"agentidp.operation", c.route.OperationID},
			{"agentidp.agent_id", c.agentID},
		},
		Numbers: []trace.Number{{Name: "http.response.status_code", Value: status}},
	}
	if c.route == a.unmatched {
		span.Text[1][1] = "" // the template of no route
	}
	if c.failure != nil {
		span.Text = append(span.Text, [2]string{"agentidp.reason", apierr.From(c.failure).Reason})
	}
	if span.Failed {
		span.Text = append(span.Text, [2]string{"error.type", strconv.Itoa(status)})
	}
	a.Export(span)
}
