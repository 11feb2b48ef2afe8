package httpapi

import (
	"context"

	"github.com/sentryagent/agentidp/idp/internal/turnstile"
)

// OccupyDecisions lets nobody wait for a decision, and takes the only place until leave.
func (a *API) OccupyDecisions(ctx context.Context) (leave func(), err error) {
	a.deciding = turnstile.New(1, 0)
	return a.deciding.Leave, a.deciding.Enter(ctx)
}
