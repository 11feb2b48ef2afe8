package lab

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

// Metrics are a page of them, in Prometheus' text format.
type Metrics string

// ReadMetrics asks one of the programs, at host:port.
func ReadMetrics(ctx context.Context, addr string) (Metrics, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		return "", err
	}
	answer, err := stack.Send(http.DefaultClient, request)
	if err != nil {
		return "", err
	}
	if answer.Status != http.StatusOK {
		return "", fmt.Errorf("metrics of %s: %d %.200s", addr, answer.Status, answer.Body)
	}
	return Metrics(answer.Body), nil
}

// Value finds a metric by its whole name, labels included.
func (m Metrics) Value(name string) (float64, error) {
	for line := range strings.Lines(string(m)) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("there is no metric %s", name)
}

// Label finds a label of the metric of that name that is 1: of an info metric
// that has a series for each possible value, the one that holds.
func (m Metrics) Label(name, label string) (string, error) {
	for line := range strings.Lines(string(m)) {
		labels, value, found := strings.Cut(strings.TrimSpace(line), "} ")
		if !found || value != "1" || !strings.HasPrefix(labels, name+"{") {
			continue
		}
		if _, rest, found := strings.Cut(labels, label+`="`); found {
			value, _, _ := strings.Cut(rest, `"`)
			return value, nil
		}
	}
	return "", fmt.Errorf("no metric %s with a label %s is 1", name, label)
}
