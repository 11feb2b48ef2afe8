package forwardauth

import (
	"strconv"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/sidecar/internal/proxy"
)

// Fields of an answer that nginx puts together.
const (
	statusHeader = "X-AgentIdP-Status"
	bodyHeader   = "X-AgentIdP-Body"
)

// answerWhole is for proxies that hand a refusal to the client as it is.
func answerWhole(response *fasthttp.Response, v *proxy.Verdict) {
	h := &response.Header
	h.Set("Cache-Control", "no-store")
	h.Set(proxy.DecisionHeader, v.DecisionID)
	for _, fields := range [][][2]string{v.Fields, v.Forwarded} {
		for _, field := range fields {
			h.Set(field[0], field[1]) // an empty one too: Caddy 2.6 would forward the name of its placeholder
		}
	}
	response.SetStatusCode(v.Status)
	response.SetBodyRaw(v.Body)
}

// answerNginx is for nginx, which takes 401 and 403 for a refusal, any other
// for its own failure, and never looks at the body: status and body of the
// answer that the client should get stand in fields.
func answerNginx(response *fasthttp.Response, v *proxy.Verdict) {
	answerWhole(response, v)
	if v.Allowed {
		return
	}
	response.Header.Set(statusHeader, strconv.Itoa(v.Status))
	response.Header.SetBytesV(bodyHeader, v.Body) // visible ASCII, by its making
	if v.Status != fasthttp.StatusUnauthorized {
		response.SetStatusCode(fasthttp.StatusForbidden)
	}
}
