package jwksfetch

import (
	"context"
	"errors"
	"net"

	"github.com/VictoriaMetrics/metrics"
)

// meters counts fetches by what became of them.
type meters map[string]*metrics.Counter

// The results.
const (
	resultOK          = "ok"
	resultGone        = "gone" // 404 or 410: no keys any more
	resultRefused     = "refused_address"
	resultStatus      = "status"
	resultContent     = "content"
	resultTimeout     = "timeout"
	resultBusy        = "busy"
	resultUnreachable = "unreachable"
)

func newMeters(set *metrics.Set) meters {
	m := meters{}
	for _, result := range []string{resultOK, resultGone, resultRefused, resultStatus, resultContent, resultTimeout, resultBusy, resultUnreachable} {
		m[result] = set.NewCounter(`agentidp_jwks_fetches_total{result="` + result + `"}`)
	}
	return m
}

func (m meters) count(err error) { m[resultOf(err)].Inc() }

func resultOf(err error) string {
	var network net.Error
	switch {
	case err == nil:
		return resultOK
	case errors.Is(err, errGone):
		return resultGone
	case errors.Is(err, errAddress):
		return resultRefused
	case errors.Is(err, errStatus):
		return resultStatus
	case errors.Is(err, errContent):
		return resultContent
	case errors.Is(err, errBusy):
		return resultBusy
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return resultTimeout
	}
	return resultUnreachable
}
