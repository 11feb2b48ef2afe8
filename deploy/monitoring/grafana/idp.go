package main

const (
	issue = `{operation="issueToken"}`
	http  = "agentidp_http_request_duration_seconds"
)

func idp() dashboard {
	return dashboard{
		UID: "agentidp-idp", Title: "AgentIdP: IdP", Description: "Tokens: how many, how fast, how many fail, and what the time goes into.",
		Stats: []panel{
			{"Replicas", "Replicas that Prometheus reaches.", "short", 2, 1, []query{q(`count(up{job="agentidp"} == 1)`, "")}},
			{"Failing, 1 h", "Share of token requests answered 5xx in the last hour. Objective: 0.1 % over 30 days; past 1.44 % somebody is called.", "percentunit", 0.001, 0.0144, []query{q("max(agentidp:issuance_errors:ratio_rate1h)", "")}},
			{"Slow, 1 h", "Share of token requests that took more than 250 ms in the last hour. Objective: 1 % over 30 days; past 14.4 % somebody is called.", "percentunit", 0.01, 0.144, []query{q("max(agentidp:issuance_slow:ratio_rate1h)", "")}},
			{"Issuance p99", "Of the last five minutes.", "s", 0.1, 0.25, []query{q("max(agentidp:issuance_seconds:p99_rate5m)", "")}},
			{"Dependencies down", "What /health calls degraded or unavailable, over all replicas.", "short", 1, 2, []query{q("count(agentidp_dependency_up == 0) or vector(0)", "")}},
			{"Age of the signing key", "How long the key that signs has done so; AGENTIDP_KEY_ROTATION says for how long it should.", "s", 0, 0, []query{q("max(agentidp_signing_key_age_seconds)", "")}},
		},
		Graphs: []panel{
			{"Tokens", "Issued, and refused by the error of the answer.", "reqps", 0, 0, []query{q("sum(rate(agentidp_tokens_issued_total[$__rate_interval]))", "issued"), rates("agentidp_tokens_refused_total", "error")}},
			{"Time to issue a token", "Of the token endpoint, refusals included. Dashed: 100 and 250 ms.", "s", 0.1, 0.25, []query{
				quantile(0.5, http, issue, "p50"), quantile(0.9, http, issue, "p90"), quantile(0.99, http, issue, "p99"),
			}},
			{"Requests by status", "All operations.", "reqps", 0, 0, []query{rates("agentidp_http_requests_total", "status")}},
			{"Slowest operations, p99", "The five slowest that were asked for, without the feed, whose polls are long on purpose.", "s", 0, 0, []query{q(
				`topk(5, histogram_quantile(0.99, sum by (operation, le) (rate(agentidp_http_request_duration_seconds_bucket{operation!="getRevocations"}[$__rate_interval]))) > 0)`, "{{operation}}")}},
			{"What the time goes into, p99", "A signature, a commit of the audit log, a hash of a secret not proved before.", "s", 0, 0, []query{
				quantile(0.99, "agentidp_sign_seconds", "", "sign"), quantile(0.99, "agentidp_audit_commit_seconds", "", "commit"), quantile(0.99, "agentidp_secret_hash_seconds", "", "hash"),
			}},
			{"Waiting", "Callers in line for a signature, for a commit, for a hash.", "short", 0, 0, []query{
				q("sum(agentidp_sign_queue_length)", "sign"), q("sum(agentidp_audit_queue_length)", "commit"), q("sum(agentidp_secret_hash_queue_length)", "hash"),
			}},
			{"Secrets proved before", "Share of client authentications that needed no hash.", "percentunit", 0, 0, []query{
				share("agentidp_client_auth_cache_hits_total", "agentidp_client_auth_cache_misses_total", "hits"),
			}},
			{"Requests in flight", "Being answered, and the long polls of sidecars among them.", "short", 0, 0, []query{
				q("sum(agentidp_http_requests_in_flight)", "all"), q("sum(agentidp_feed_polls)", "polls"),
			}},
			{"Dependencies", "1 while the dependency is ok at every replica.", "short", 0, 0, []query{q("min by (dependency) (agentidp_dependency_up)", "{{dependency}}")}},
		},
	}
}
