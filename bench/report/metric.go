package report

import (
	"strings"

	"github.com/sentryagent/agentidp/bench/result"
)

var metricNames = map[result.Metric]string{
	result.PerSecond: "requests/s", result.Requests: "requests", result.Errors: "errors",
	result.P50: "p50", result.P90: "p90", result.P99: "p99", result.P999: "p99.9", result.Max: "max",
	result.CPU: "CPU", result.CPUShipped: "CPU, shipped", result.Allocs: "allocs", result.RSS: "memory", result.Duration: "duration", result.HitRate: "hit rate",
	result.Foreign: "cores others had",
}

// metricOrder is that of the table's columns; others follow by name.
var metricOrder = []result.Metric{
	result.PerSecond, result.Duration, result.P50, result.P90, result.P99, result.P999, result.Max,
	result.CPU, result.CPUShipped, result.Allocs, result.RSS, result.HitRate, result.Requests, result.Errors,
}

func metricName(m result.Metric) string {
	if name, ok := metricNames[m]; ok {
		return name
	}
	name := string(m)
	for _, suffix := range []string{"_us", "_ms", "_bytes"} {
		name = strings.TrimSuffix(name, suffix)
	}
	return humane(name)
}
