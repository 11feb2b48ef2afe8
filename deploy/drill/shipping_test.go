package drill_test

import (
	"encoding/json"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/decision"
)

// shipping is a sidecar that ships a decision now and then.
type shipping struct {
	sequence int64 // of the next decision; read it after stop
	ended    atomic.Bool
	done     chan struct{}
	err      error // once done
}

func startShipping(t *testing.T, l *load, c *client) *shipping {
	t.Helper()
	self := c.enrol(t, "shipping-sidecar", "sidecar", `"decisions:write"`)
	_, token := c.tokenOf(t, self.clientID, self.secret, "")
	require.NotEmpty(t, token)
	s := &shipping{done: make(chan struct{})}
	header := http.Header{"Content-Type": {"application/x-ndjson"}, "X-Sidecar-Id": {"5b1d3f0a-9c57-4d62-8f0e-1f6a1e2b3c4d"}}
	go func() {
		defer close(s.done)
		previous := ""
		for ; !s.ended.Load(); s.sequence++ {
			record := decision.Record{
				Sequence: s.sequence, PrevHash: previous, DecisionID: "0b7f0c52-2c0f-4bb0-8a53-64f3f0d6e001", Time: time.Now().UTC().Format(decision.TimeLayout),
				Method: http.MethodGet, Host: "notes.example.com", Path: "/notes", RouteID: "GET /notes", Outcome: decision.Allowed, Reason: "capability", Status: http.StatusOK,
			}
			var line []byte
			if line, s.err = json.Marshal(record); s.err != nil {
				return
			}
			previous = decision.Hash(line)
			if _, s.err = l.ask(c, request{method: http.MethodPost, path: "/api/v1/audit/decisions", body: string(line) + "\n", authorization: "Bearer " + token, header: header}); s.err != nil {
				return
			}
			time.Sleep(pace)
		}
	}()
	return s
}

func (s *shipping) stop(t *testing.T) {
	t.Helper()
	s.ended.Store(true)
	<-s.done
	require.NoError(t, s.err)
}
