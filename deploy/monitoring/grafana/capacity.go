package main

const ours = `{job=~"agentidp|agentidp-sidecar"}`

func capacity() dashboard {
	return dashboard{
		UID: "agentidp-capacity", Title: "AgentIdP: capacity", Description: "What the programs use, and what is nearest to its limit.",
		Stats: []panel{
			{"Largest IdP", "Resident memory of the largest replica.", "bytes", 0, 0, []query{q(`max(process_resident_memory_bytes{job="agentidp"})`, "")}},
			{"Largest sidecar", "Resident memory.", "bytes", 0, 0, []query{q(`max(process_resident_memory_bytes{job="agentidp-sidecar"})`, "")}},
			{"Busiest IdP", "Cores that it uses.", "short", 0, 0, []query{q(`max(rate(process_cpu_seconds_total{job="agentidp"}[$__rate_interval]))`, "")}},
			{"Busiest sidecar", "Cores that it uses.", "short", 0, 0, []query{q(`max(rate(process_cpu_seconds_total{job="agentidp-sidecar"}[$__rate_interval]))`, "")}},
			{"Fullest spool", "Of SPOOL_MAX_BYTES; full at 87.5 %.", "percentunit", 0.5, 0.75, []query{q("max(sidecar:spool_used:ratio)", "")}},
			{"File descriptors", "Share in use, of the process that is nearest to its limit.", "percentunit", 0.7, 0.9, []query{q("max(process_open_fds"+ours+" / process_max_fds"+ours+")", "")}},
		},
		Graphs: []panel{
			{"CPU", "Cores used, by process.", "short", 0, 0, []query{q("rate(process_cpu_seconds_total"+ours+"[$__rate_interval])", "{{job}} {{instance}}")}},
			{"Memory", "Resident, by process.", "bytes", 0, 0, []query{q("process_resident_memory_bytes"+ours, "{{job}} {{instance}}")}},
			{"Goroutines", "A line that only rises is a leak.", "short", 0, 0, []query{q("go_goroutines"+ours, "{{job}} {{instance}}")}},
			{"Signatures and hashes at work", "How many are under way on average: near the number of cores a replica can issue no more. More than CPU shows: the machine has no core to spare.", "short", 0, 0, []query{
				q("sum by (instance) (rate(agentidp_sign_seconds_sum[$__rate_interval]))", "sign {{instance}}"), q("sum by (instance) (rate(agentidp_secret_hash_seconds_sum[$__rate_interval]))", "hash {{instance}}"),
			}},
			{"Spool", "Share of SPOOL_MAX_BYTES, the ten fullest. Dashed: 50 and 75 %; full at 87.5 %.", "percentunit", 0.5, 0.75, []query{q("topk(10, sidecar:spool_used:ratio)", "{{instance}}")}},
			{"Written to disk", "Bytes a second, by process.", "Bps", 0, 0, []query{q("rate(process_io_storage_written_bytes_total"+ours+"[$__rate_interval])", "{{job}} {{instance}}")}},
			{"Sidecars: requests being judged", "The ten busiest, and clients' connections past the limit of one address.", "short", 0, 0, []query{
				q("topk(10, sidecar_judging)", "{{instance}}"), q("sum(sidecar_connections_refused)", "connections refused"),
			}},
			{"Pushed out of caches", "Tokens and decisions forgotten before their time.", "reqps", 0, 0, []query{
				q("sum(rate(sidecar_token_cache_dropped_total[$__rate_interval]))", "tokens"), q("sum(rate(sidecar_decision_cache_dropped_total[$__rate_interval]))", "decisions"),
			}},
			{"Connections to PostgreSQL", "Of the replicas' pools; no data on the embedded store.", "short", 0, 0, []query{q("sum by (state) (agentidp_store_connections)", "{{state}}")}},
			{"Redis and Vault", "Questions that Redis did not answer, requests to Vault that failed; no data without them.", "reqps", 0, 0, []query{
				q("sum by (op) (rate(agentidp_redis_errors_total[$__rate_interval]))", "Redis {{op}}"), q("sum by (reason) (rate(agentidp_vault_failures_total[$__rate_interval]))", "Vault {{reason}}"),
			}},
			{"Status lists", "How far the lists are behind the revocation feed. Dashed: 10 and 60 s.", "s", 10, 60, []query{q("max(agentidp_statuslist_lag_seconds)", "lag")}},
			{"Indexes for tokens", "Left in hand, the replica that has fewest; a new block comes by itself.", "short", 0, 0, []query{q("min(agentidp_statuslist_indexes_left)", "left")}},
		},
	}
}
