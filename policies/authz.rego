# Who may do what: the one decision of the management API and of every sidecar.
#
# input: {agent: {id, organizationId, clientId}, token: {jti, aud[], scope[], exp},
#         request: {method, host, path, peer}, route: {id, capability}, rpc?: {protocol, method, name}}
# route.id is the operationId at the management API, which never holds a slash,
# and the path pattern ("/notes/{id}") at a sidecar, which always does.
# route.capability is what the route demands; "public" lets anyone through.
# rpc is there when the body is a message of MCP or A2A. Two questions are then
# asked, and both must be allowed: one with what the route demands, and, where the
# message demands more, one with that, such as mcp:tool/search, in its place. So
# this policy, and any that judges by route.capability, judges messages too.
package agentidp.authz

default decision := {"allow": false, "reason": "capability_missing"}

decision := {"allow": true, "reason": "public"} if input.route.capability == "public"

else := {"allow": true, "reason": "capability"} if covered

# Only where own.rego is loaded: the management API.
else := {"allow": true, "reason": "self", "obligations": data.agentidp.own.obligations}

# One scope of the token covers the demanded capability: it names the same
# resource, or * unless the resource is reserved, and the same action, or *.
covered if demanded in input.token.scope

covered if concat("", [resource, ":*"]) in input.token.scope

covered if {
	"*:*" in input.token.scope
	open
}

covered if {
	concat("", ["*", action]) in input.token.scope
	open
}

# Without an action there is one more way to write a form: without the colon.
covered if {
	bare
	some form in [resource, concat("", [resource, ":"])]
	form != ""
	form in input.token.scope
}

covered if {
	bare
	some form in ["*", "*:"]
	form in input.token.scope
	open
}

demanded := input.route.capability if input.route.capability != ""

resource := split(demanded, ":")[0]

# The action with its colon: ":read".
action := trim_prefix(demanded, resource)

bare if action in {"", ":"}

# A list that is missing must not open anything, so it is read outside of not.
open if {
	reserved := data.agentidp.reserved
	not resource in reserved
}
