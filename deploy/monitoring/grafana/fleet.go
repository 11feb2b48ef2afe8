package main

func fleet() dashboard {
	const decided, evaluated = "sidecar_decision_seconds", "sidecar_policy_evaluation_seconds"
	return dashboard{
		UID: "agentidp-sidecars", Title: "AgentIdP: sidecars", Description: "The fleet: what is let through and what is refused, why, how fast, and whether it hears of revocations.",
		Stats: []panel{
			{"Sidecars", "Those that Prometheus reaches.", "short", 0, 0, []query{q("count(sidecar_ready)", "")}},
			{"Not ready", "/ready is 503: they refuse requests with a token.", "short", 1, 2, []query{q("count(sidecar_ready == 0) or vector(0)", "")}},
			{"Judging p99", "Time to judge a request, without the API, of the last five minutes.", "s", 0.005, 0.05, []query{q("max(sidecar:decision_seconds:p99_rate5m)", "")}},
			{"Longest silence of the feed", "Up to 30 s is a long poll. Past 15 minutes a sidecar answers 503.", "s", 120, 600, []query{q("max(sidecar_revocation_lag_seconds)", "")}},
			{"Addresses of APIs out of use", "Of all sidecars.", "short", 1, 2, []query{q("count(sidecar_upstream_up == 0) or vector(0)", "")}},
			{"Fullest spool", "Of SPOOL_MAX_BYTES; full at 87.5 %.", "percentunit", 0.5, 0.75, []query{q("max(sidecar:spool_used:ratio)", "")}},
		},
		Graphs: []panel{
			{"Requests by outcome", "Allowed, denied, and those that could not be decided or answered.", "reqps", 0, 0, []query{rates("sidecar_requests_total", "decision")}},
			{"Refusals by stop", "Which of the stops of a request refused it.", "reqps", 0, 0, []query{rates("sidecar_rejected_total", "check")}},
			{"Refusals by reason", "The ten most frequent.", "reqps", 0, 0, []query{q(`topk(10, sum by (reason) (rate(sidecar_requests_total{decision!="allowed"}[$__rate_interval])))`, "{{reason}}")}},
			{"Time to judge", "Without the API.", "s", 0, 0, []query{quantile(0.5, decided, "", "p50"), quantile(0.99, decided, "", "p99"), quantile(0.999, decided, "", "p99.9")}},
			{"Silence of the feed", "The ten sidecars that have heard nothing for the longest time. Dashed: 2 and 10 minutes.", "s", 120, 600, []query{q("topk(10, sidecar_revocation_lag_seconds)", "{{instance}}")}},
			{"Age of the key set", "The ten oldest; trusted for 24 hours.", "s", 3600, 21600, []query{q("topk(10, sidecar_jwks_age_seconds)", "{{instance}}")}},
			{"Cache hits", "Tokens verified before, decisions made before.", "percentunit", 0, 0, []query{
				share("sidecar_token_cache_hits_total", "sidecar_token_cache_misses_total", "tokens"), share("sidecar_decision_cache_hits_total", "sidecar_decision_cache_misses_total", "decisions"),
			}},
			{"Time of a policy evaluation", "What the cache of decisions did not spare.", "s", 0, 0, []query{quantile(0.5, evaluated, "", "p50"), quantile(0.99, evaluated, "", "p99")}},
			{"Policies in force", "Sidecars by revision: more than one line for minutes is a sidecar that does not take the new one.", "short", 0, 0, []query{q("count by (revision) (sidecar_policy_revision_info)", "{{revision}}")}},
			{"Addresses of APIs in use", "Of all sidecars, by address.", "short", 0, 0, []query{q("sum by (upstream, url) (sidecar_upstream_up)", "{{upstream}} {{url}}")}},
			{"Failures of APIs", "Connections and health checks that failed; answers that broke off.", "reqps", 0, 0, []query{
				rates("sidecar_upstream_failures_total", "kind"), q("sum(rate(sidecar_answers_broken_total[$__rate_interval]))", "broken off"),
			}},
			{"Open", "Connections of clients, streams and WebSockets.", "short", 0, 0, []query{
				q("sum(sidecar_connections)", "connections"), q("sum(sidecar_streams_open)", "streams"), q("sum(sidecar_websockets_open)", "WebSockets"),
			}},
		},
	}
}
