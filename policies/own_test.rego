package agentidp.own_test

import data.agentidp.authz

self := "3f2c1d4e-0000-4000-8000-000000000001"

call(route, path, scope) := call_as(self, route, path, scope)

call_as(agent, route, path, scope) := decision if {
	decision := authz.decision with input as {
		"agent": {"id": agent, "organizationId": "o-1", "clientId": "c-1"},
		"token": {"jti": "j-1", "aud": ["https://idp.example"], "scope": scope, "exp": 1},
		"request": {"method": "GET", "host": "idp.example", "path": path, "peer": "192.0.2.1"},
		"route": route,
	}
}

denied := {"allow": false, "reason": "capability_missing"}

own(obligations) := {"allow": true, "reason": "self", "obligations": obligations}

below(suffix) := concat("", ["/api/v1/agents/", self, suffix])

get := {"id": "getAgent", "capability": "agents:read"}

update := {"id": "updateAgent", "capability": "agents:write"}

list := {"id": "listCredentials", "capability": "credentials:read"}

rotate := {"id": "rotateCredential", "capability": "credentials:write"}

introspect := {"id": "introspectToken", "capability": "tokens:introspect"}

revoke := {"id": "revokeToken", "capability": "tokens:revoke"}

test_own_agent if {
	call(get, below(""), []) == own({})
	call(update, below(""), []) == own({"fields": ["metadata", "version"]})
}

test_own_credentials if {
	call(list, below("/credentials"), []) == own({})
	call(rotate, below("/credentials/c-7/rotate"), []) == own({})
}

test_own_tokens if {
	call(introspect, "/api/v1/token/introspect", []) == own({"tokens": "own"})
	call(revoke, "/api/v1/token/revoke", []) == own({"tokens": "own"})
	call_as("", introspect, "/api/v1/token/introspect", []) == denied
	call_as("", revoke, "/api/v1/token/revoke", []) == denied
}

test_capability_lifts_the_obligation if {
	covers := {"allow": true, "reason": "capability"}
	call(introspect, "/api/v1/token/introspect", ["tokens:introspect"]) == covers
	call(revoke, "/api/v1/token/revoke", ["tokens:*"]) == covers
	call(update, below(""), ["agents:write"]) == covers
}

test_other_agents if {
	other := "/api/v1/agents/3f2c1d4e-0000-4000-8000-000000000002"
	call(get, other, []) == denied
	call(update, other, []) == denied
	call(list, concat("", [other, "/credentials"]), []) == denied
	call(rotate, concat("", [other, "/credentials/c-7/rotate"]), []) == denied
}

test_path_must_be_exact if {
	every path in [
		below("/"), below("x"), below("/usage"), below("/credentials"), below("?a=b"), below(";a"), below("%20"),
		concat("", ["/", below("")]), concat("", ["/x", below("")]), upper(below("")), trim_prefix(below(""), "/"), "",
	] {
		call(get, path, []) == denied
		call(update, path, []) == denied
	}
	every path in [below(""), below("/credentials/"), below("/credentials/c-7"), below("//credentials")] {
		call(list, path, []) == denied
	}
	every path in [
		below("/credentials//rotate"), below("/credentials/rotate"), below("/credentials/c-7/rotate/"),
		below("/credentials/c-7/x/rotate"), below("/credentials/c-7"), below("/other/c-7/rotate"),
	] {
		call(rotate, path, []) == denied
	}
}

test_odd_agent_ids if {
	call_as("", get, "/api/v1/agents/", []) == denied
	call_as("a/credentials/b/rotate", get, "/api/v1/agents/a/credentials/b/rotate", []) == denied
	call_as(null, get, "/api/v1/agents/null", []) == denied
}

test_nothing_else if {
	every id in [
		"listAgents", "createAgent", "deleteAgent", "getAgentUsage", "createCredential", "revokeCredential", "listAudit",
		"getAuditEvent", "getAuditCheckpoint", "getInclusionProof", "getConsistencyProof", "ingestDecisions",
		"getRevocations", "createRevocation", "listOrganizations", "createOrganization", "getOrganization",
		"updateOrganization", "listKeys", "listSidecars", "issueToken", "getMetrics", "getagent", "",
	] {
		call({"id": id, "capability": "agents:read"}, below(""), []) == denied
		call({"id": id, "capability": ""}, below("/credentials"), []) == denied
		call({"id": id}, below("/credentials/c-7/rotate"), []) == denied
	}
}

# A sidecar names its routes by path pattern, so an API that looks like the
# management API grants nothing there.
test_no_own_rights_at_a_sidecar if {
	every id in ["/api/v1/agents/{id}", "/getAgent", "/introspectToken", "/**"] {
		call({"id": id, "capability": "agents:read"}, below(""), []) == denied
	}
}
