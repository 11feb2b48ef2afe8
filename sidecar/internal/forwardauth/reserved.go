package forwardauth

import (
	"strings"

	"github.com/sentryagent/agentidp/sidecar/internal/guard"
)

// replaced are the reserved fields that nginx and Traefik, with our examples,
// take from no client: they replace or remove them. They cannot remove families
// by their prefix, so a field that is not here would reach the API.
var replaced = names(`
	x-agent x-agent-id x-agent-organization x-agent-client-id x-agent-scope
	x-agentidp x-agentidp-decision-id x-agentidp-error x-agentidp-status x-agentidp-body
	forwarded forwarded-for x-forwarded x-forwarded-for x-forwarded-host x-forwarded-proto x-forwarded-by x-forwarded-server x-forwarded-port
	x-forwarded-prefix x-forwarded-scheme x-forwarded-ssl x-forwarded-method x-forwarded-uri x-forwarded-user x-forwarded-preferred-username
	x-forwarded-email x-forwarded-groups x-forwarded-access-token x-forwarded-client-cert x-forwarded-tls-client-cert x-forwarded-tls-client-cert-info
	x-original-method x-original-uri x-original-url x-original-host x-original-forwarded-for x-rewrite-url x-rewrite-uri
	x-host x-http-host-override x-http-method-override x-http-method x-method-override http-method-override
	x-real-ip x-client-ip client-ip true-client-ip x-cluster-client-ip cf-connecting-ip fastly-client-ip x-remote-user remote-user
	proxy proxy-authorization proxy-authenticate proxy-authentication-info http2-settings
`)

func names(list string) map[string]bool {
	set := map[string]bool{}
	for name := range strings.FieldsSeq(list) {
		set[name] = true
	}
	return set
}

// reserved reports whether only a proxy may say the field, and the one that
// asks would let the client's through.
func reserved(name []byte) bool {
	own := string(name)
	return guard.Strips(own) && !replaced[strings.ToLower(own)]
}
