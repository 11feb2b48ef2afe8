package main

func audit() dashboard {
	return dashboard{
		UID: "agentidp-audit", Title: "AgentIdP: audit and security", Description: "Whether everything is recorded, what ends soon, and who is turned away.",
		Stats: []panel{
			{"Decisions lost, 1 h", "Lost or left unrecorded. It must be 0.", "short", 0.5, 1, []query{q("sum(increase(sidecar_audit_lost_total[1h])) + sum(increase(sidecar_records_refused_total[1h]))", "")}},
			{"Audit writes failed, 1 h", "Commits that failed, callers that found the queue full: both answered 503.", "short", 0.5, 1, []query{q("sum(increase(agentidp_audit_write_failures_total[1h])) + sum(increase(agentidp_audit_queue_full_total[1h]))", "")}},
			{"Newest checkpoint", "Age of the newest signed checkpoint of the log.", "s", 60, 300, []query{q("time() - max(agentidp_audit_checkpoint_timestamp_seconds)", "")}},
			{"Next certificate to expire", "Of the IdP and all sidecars; no data without TLS.", "s", 1209600, 172800, []query{q("min(agentidp:certificate_expires:seconds)", "")}},
			{"Credentials ending", "Within 14 days.", "short", 1, 10, []query{q("max(agentidp_credentials_expiring)", "")}},
			{"Reloads that failed", "Policies, routes, certificates: what was there before stays in force.", "short", 1, 2, []query{q("sum(agentidp:reload_failing:bool)", "")}},
		},
		Graphs: []panel{
			{"Audit events", "Written; refusals that stand in another event's count; taken by retention.", "reqps", 0, 0, []query{
				q("sum(rate(agentidp_audit_events_total[$__rate_interval]))", "written"), q("sum(rate(agentidp_audit_folded_total[$__rate_interval]))", "folded"), q("sum(rate(agentidp_audit_pruned_events_total[$__rate_interval]))", "pruned"),
			}},
			{"Decisions shipped", "By the sidecars, and those folded into another record.", "reqps", 0, 0, []query{
				q("sum(rate(sidecar_audit_shipped_total[$__rate_interval]))", "shipped"), q("sum(rate(sidecar_anonymous_folded_total[$__rate_interval]))", "folded"),
			}},
			{"Oldest decision not shipped", "The ten sidecars that are furthest behind.", "s", 60, 300, []query{q("topk(10, sidecar_audit_lag_seconds)", "{{instance}}")}},
			{"Tokens refused", "By the error of the answer.", "reqps", 0, 0, []query{rates("agentidp_tokens_refused_total", "error")}},
			{"Requests refused at the IdP", "Status 4xx, by operation: the five most frequent.", "reqps", 0, 0, []query{q(`topk(5, sum by (operation) (rate(agentidp_http_requests_total{status="4xx"}[$__rate_interval])) > 0)`, "{{operation}}")}},
			{"Tokens refused by sidecars", "The token itself, its revocation, or no credential at all.", "reqps", 0, 0, []query{
				q(`sum by (check) (rate(sidecar_rejected_total{check=~"token|revocation|credential"}[$__rate_interval]))`, "{{check}}"), q("sum(rate(sidecar_jwks_unknown_kid_total[$__rate_interval]))", "unknown key"),
			}},
			{"Revocations in force", "Entries that sidecars hold: the most and the fewest. They should agree.", "short", 0, 0, []query{q("max(sidecar_revocation_entries)", "most"), q("min(sidecar_revocation_entries)", "fewest")}},
			{"Secrets and assertions", "Hashes refused because the line was full; secrets that Vault lost; client assertions.", "reqps", 0, 0, []query{
				q("sum(rate(agentidp_secret_hash_refused_total[$__rate_interval]))", "hash refused"), q("sum(rate(agentidp_secrets_lost_total[$__rate_interval]))", "secret lost"),
				q("sum by (result) (rate(agentidp_client_assertions_total[$__rate_interval]))", "assertion {{result}}"),
			}},
			{"Alerts that fire", "By severity; no data is good.", "short", 0, 0, []query{q(`count by (severity) (ALERTS{alertstate="firing", alertname=~"AgentIdP.*"})`, "{{severity}}")}},
		},
	}
}
