package httpapi

import (
	"net/http"
	"time"

	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/httpx"
)

// Who is refused unknown pays nothing for what the refusal costs, and may ask again
// at once. So these answers leave in turn, one each pacedRest for every core: a
// flood of them takes a fraction of the processor from those who are known, who
// wait for nobody here. Beyond pacedAtMost, and after pacedLongest, they leave out of turn.
const (
	pacedRest    = time.Millisecond
	pacedLongest = 2 * time.Second
	pacedAtMost  = 8192
)

// pace holds the answer of a stranger back until its turn.
func (a *API) pace(c *call) {
	if !c.isStranger() {
		return
	}
	ctx, cancel := httpx.Context(c.http, pacedLongest)
	defer cancel()
	if a.strangers.Enter(ctx) == nil {
		time.AfterFunc(pacedRest, a.strangers.Leave)
	}
}

// isStranger reports that nobody known is to answer for the request: it was
// refused before its sender was proven, or asked about a token that is none.
func (c *call) isStranger() bool {
	if c.failure == nil {
		return c.inactive
	}
	refusal := apierr.From(c.failure)
	switch status := refusal.Code.Status(); {
	case status >= http.StatusInternalServerError:
		return refusal.Reason == clientauth.ReasonBusy
	default:
		return status == http.StatusUnauthorized || c.agentID == ""
	}
}
