package agentidp.authz_test

import data.agentidp.authz

decide(capability, scope) := decision if {
	decision := authz.decision with input as {
		"agent": {"id": "a-1", "organizationId": "o-1", "clientId": "c-1"},
		"token": {"jti": "j-1", "aud": ["https://api.example"], "scope": scope, "exp": 1},
		"request": {"method": "GET", "host": "api.example", "path": "/notes/7", "peer": "192.0.2.1"},
		"route": {"id": "/notes/{id}", "capability": capability},
	}
}

denied := {"allow": false, "reason": "capability_missing"}

covers := {"allow": true, "reason": "capability"}

test_default_deny if {
	authz.decision == denied with input as {}
	authz.decision == denied with input as {"route": {"id": "/notes"}}
	authz.decision == denied with input as {"route": {"id": "/notes", "capability": "notes:read"}}
	decide("notes:read", []) == denied
	decide("notes:read", null) == denied
}

test_route_without_capability if {
	decide("", []) == denied
	decide("", ["", "*", "*:*", ":"]) == denied
}

test_public if {
	decide("public", []) == {"allow": true, "reason": "public"}
	authz.decision == {"allow": true, "reason": "public"} with input as {"route": {"capability": "public"}}
	decide("public:read", ["public"]) == denied
}

test_same_capability if {
	decide("notes:read", ["audit:read", "notes:read"]) == covers
	decide("notes:read", ["notes:write"]) == denied
	decide("notes:read", ["notes:rea", "notes:read2", "note:read", "notes"]) == denied
	decide("notes:read", ["Notes:read", " notes:read", "notes:read "]) == denied
}

test_wildcard_action if {
	decide("notes:read", ["notes:*"]) == covers
	decide("notes:*", ["notes:read"]) == denied
	decide("notes:read", ["note:*", "n*:read", "notes:r*"]) == denied
}

test_wildcard_resource if {
	decide("notes:read", ["*:read"]) == covers
	decide("notes:read", ["*:write"]) == denied
	decide("notes:read", ["*:*"]) == covers
	decide("notes:read", ["*"]) == denied
}

# Not capabilities by the grammar, but the matcher in Go knows them too.
test_without_action if {
	decide("notes", ["notes"]) == covers
	decide("notes", ["notes:"]) == covers
	decide("notes:", ["notes"]) == covers
	decide("notes", ["notes:*"]) == covers
	decide("notes", ["*"]) == covers
	decide("notes", ["*:"]) == covers
	decide("notes", ["notes:read", "*:read", ""]) == denied
	decide(":", [""]) == denied
	decide("agents", ["*", "*:", "*:*"]) == denied
	decide("agents", ["agents:"]) == covers
}

test_wildcard_never_covers_reserved if {
	every reserved in data.agentidp.reserved {
		capability := concat("", [reserved, ":read"])
		decide(capability, ["*:read", "*:*", "*"]) == denied
		decide(capability, [concat("", [reserved, ":*"])]) == covers
		decide(capability, [capability]) == covers
	}
}

test_scope_is_a_list_of_strings if {
	decide("notes:read", "notes:read") == denied
	decide("notes:read", [["notes:read"]]) == denied
}

message(capability, scope) := decision if {
	decision := authz.decision with input as {
		"agent": {"id": "a-1", "organizationId": "o-1", "clientId": "c-1"},
		"token": {"jti": "j-1", "aud": ["https://api.example"], "scope": scope, "exp": 1},
		"request": {"method": "POST", "host": "api.example", "path": "/mcp", "peer": "192.0.2.1"},
		"route": {"id": "/mcp", "capability": capability},
		"rpc": {"protocol": "mcp", "method": "tools/call", "name": "search"},
	}
}

# What the message is plays no part, only what it demands.
test_messages if {
	message("mcp:use", ["mcp:use"]) == covers
	message("mcp:tool/search", ["mcp:use"]) == denied
	message("mcp:tool/search", ["mcp:use", "mcp:tool/search"]) == covers
	message("mcp:tool/search", ["mcp:tool/search_all", "mcp:tool/sear", "mcp:tool", "mcp:tool/*", "mcp:tool*"]) == denied
	message("mcp:tool/search", ["mcp:*"]) == covers
	message("mcp:tool/search", ["*:tool/search"]) == covers
	message("mcp:use", ["mcp:tool/search"]) == denied
}
