package target

import "github.com/sentryagent/agentidp/bench/result"

// sidecar is P4 to P7.
func sidecar(f *file) []result.Target {
	var targets []result.Target
	add := func(more []result.Target) { targets = append(targets, more...) }
	const warm, cold, opa = "sidecar-warm/", "sidecar-cold/", "sidecar-opa/"
	const at64 = "/connections=64"
	add(f.ratio(warm+"sidecar"+at64, warm+"bare"+at64, result.PerSecond).judge("P4", "warm/bare", "", atLeast, 0.90))
	add(f.ratio(warm+"sidecar"+at64, warm+"bare"+at64, result.CPU).judge("P4", "warm/bare, CPU per request while serving", "", atMost, 1.15))
	add(f.ratioOf(warm+"sidecar"+at64, warm+"bare"+at64, result.CPUShipped, result.CPU).judge("P4", "warm/bare, CPU per request with shipping", "", atMost, 1.15))
	add(f.ratio(warm+"sidecar"+at64, warm+"haproxy-jwt"+at64, result.PerSecond).judge("P5", "warm/HAProxy jwt_verify", "", atLeast, 2.5))
	add(f.ratio(cold+"sidecar"+at64, cold+"haproxy-jwt"+at64, result.PerSecond).judge("P5", "every token new/HAProxy jwt_verify", "", atLeast, 1.0))
	add(f.ratio(opa+"sidecar"+at64, opa+"bare"+at64, result.PerSecond).judge("P6", "OPA each request/bare", "", atLeast, 0.45))
	for _, row := range f.Rows {
		if row.Scenario == "sidecar-pair" && row.Subject == "sidecar" {
			of := row
			of.Subject = "bare"
			added := f.difference(row.Key(), of.Key(), result.P50)
			if row.Params["tokens"] == 1 {
				add(added.judge("P7", "p50 added, warm", "µs", atMost, 30))
			} else {
				add(added.judge("P7", "p50 added, cold", "µs", atMost, 80))
			}
		}
	}
	return targets
}

// audit is P8.
func audit(f *file) []result.Target {
	var targets []result.Target
	add := func(more []result.Target) { targets = append(targets, more...) }
	const append64 = "audit-append/idp/callers=64"
	add(f.metric(append64, result.PerSecond, 1).judge("P8", "durable events per second, 64 callers", "/s", atLeast, 20_000))
	add(f.metric(append64, result.P99, millisecond).judge("P8", "durable events, p99 at 64 callers", "ms", atMost, 15))
	for _, raw := range []string{"copy", "batch"} {
		add(f.ratio("audit-ingest/idp/batch=500", "audit-raw/"+raw+"/batch=500", result.PerSecond).judge("P8", "bulk decisions/raw "+raw+" of 500 rows", "", atLeast, 0.6))
	}
	return targets
}

// footprint is P9.
func footprint(f *file) []result.Target {
	var targets []result.Target
	add := func(more []result.Target) { targets = append(targets, more...) }
	for _, row := range f.Rows {
		if row.Scenario == "memory" && row.Subject == "sidecar" && row.Params["connections"] == 64 {
			g := f.metric(row.Key(), result.RSS, mebibyte)
			if row.Params["tokens"] < 10_000 {
				g.invalid = join(g.invalid, "fewer than 10,000 cached tokens")
			}
			add(g.judge("P9", "sidecar, 64 connections and 10,000 tokens", "MiB", atMost, 60))
		}
	}
	add(f.metric("memory/idp/connections=0", result.RSS, mebibyte).judge("P9", "IdP after the load", "MiB", atMost, 50))
	add(f.metric("startup/idp", result.Duration, 1).judge("P9", "IdP start to first token, existing data", "ms", atMost, 300))
	add(f.metric("startup/sidecar", result.Duration, 1).judge("P9", "sidecar start to ready", "ms", atMost, 300))
	return targets
}

// grown is what a run without growth, whose targets package growth has, can tell
// of P10: pages of the log it has.
func grown(f *file) []result.Target {
	var targets []result.Target
	for _, row := range f.Rows {
		if row.Scenario == "audit-list" && row.Params["events"] >= 100_000 {
			g := f.metric(row.Key(), result.P99, millisecond)
			targets = append(targets, g.judge("P10", "audit query "+row.Subject+", p99", "ms", atMost, 50)...)
		}
	}
	return targets
}

// everything is what every row must keep.
func everything(f *file) []result.Target {
	var targets []result.Target
	add := func(more []result.Target) { targets = append(targets, more...) }
	requests, errors, unsent := 0.0, 0.0, 0.0
	for _, row := range f.Rows {
		if row.Invalid != "" || row.Scenario == "overload" { // says itself what failed; is there to be too much
			continue
		}
		for _, sample := range row.Rounds {
			requests += sample[result.Requests] + sample[result.Unsent]
			errors += sample[result.Errors]
			unsent += sample[result.Unsent]
		}
	}
	if requests > 0 {
		add(figure{rounds: []float64{100 * (errors + unsent) / requests}, present: true}.judge("E", "requests that failed", "%", atMost, 0.1))
	}
	for _, scenario := range []string{"introspection", "jwks", "jwks-etag", "agent", "agents-list", "registration"} {
		add(f.metric(scenario+"/idp/connections=8", result.P99, millisecond).judge("E", scenario+" p99", "ms", atMost, 200))
	}
	// A whole answer takes longer than its query.
	add(f.metric("agent/idp/connections=8", result.P50, millisecond).judge("E", "store query, at most", "ms", atMost, 50))
	for _, row := range f.Rows {
		if row.Params["connections"] == 64 && (row.Scenario == "issuance-clients" && row.Params["clients"] > 1 || row.Scenario == "sidecar-warm" && row.Subject == "sidecar") {
			add(f.metric(row.Key(), result.HitRate, 100).judge("E", "cache hits, "+row.Scenario, "%", atLeast, 90))
		}
	}
	return targets
}
