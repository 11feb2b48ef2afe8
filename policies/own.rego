# What an agent may do to itself at the management API without holding the
# capability, and what the API must then see to. Sidecars do not load this file;
# nor could they reach it, because the operationIds below hold no slash.
package agentidp.own

obligations := {} if {
	input.route.id == "getAgent"
	path == agent
}

obligations := {"fields": ["metadata", "version"]} if {
	input.route.id == "updateAgent"
	path == agent
}

obligations := {} if {
	input.route.id == "listCredentials"
	path == array.concat(agent, ["credentials"])
}

obligations := {} if {
	input.route.id == "rotateCredential"
	path == array.concat(agent, ["credentials", path[6], "rotate"])
	path[6] != ""
}

obligations := {"tokens": "own"} if {
	input.route.id in {"introspectToken", "revokeToken"}
	input.agent.id != ""
}

# Compared segment by segment: an id that holds a slash matches nothing.
path := split(input.request.path, "/")

agent := ["", "api", "v1", "agents", input.agent.id] if input.agent.id != ""
