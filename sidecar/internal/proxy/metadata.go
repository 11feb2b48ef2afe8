package proxy

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/sentryagent/agentidp/shared/decision"
)

// metadataAge is how long clients may keep a resource's metadata.
const metadataAge = "public, max-age=300"

// metadata is what a protected resource says of itself (RFC 9728 section 2).
type metadata struct {
	Resource string   `json:"resource"`
	Servers  []string `json:"authorization_servers"`
	Scopes   []string `json:"scopes_supported,omitempty"`
	Methods  []string `json:"bearer_methods_supported"`
	Name     string   `json:"resource_name,omitempty"`
}

var errIssuer = errors.New("proxy: Options.Issuer is required: metadata of resources names it")

// describe answers with the metadata of a resource.
func (p *Proxy) describe(x *exchange) {
	r := x.match.Route.Metadata
	document, err := json.Marshal(metadata{r.URL, []string{p.Issuer}, r.Scopes, []string{"header"}, r.Name})
	if err != nil {
		p.refuse(x, internalError)
		return
	}
	x.record.BytesOut = int64(len(document))
	if x.finish(decision.Allowed, x.record.Reason, http.StatusOK) != nil {
		p.refuse(x, auditFull)
		return
	}
	x.edge.refuse(&refusal{status: http.StatusOK, document: document})
}

// challenged adds to a challenge where the resource describes itself (RFC 9728
// section 5.1), and to one that names no scope those to ask for.
func (x *exchange) challenged(r *refusal) *refusal {
	if r.challenge == "" || r.status != 401 && r.status != 403 || x.match.Route == nil || x.match.Route.Resource == nil {
		return r
	}
	resource := x.match.Route.Resource
	scope := x.match.Route.Capability
	if !resource.Told {
		scope = strings.Join(resource.Scopes, " ")
	}
	told := *r
	told.challenge += `, resource_metadata="` + resource.Meta + `"`
	if scope != "" && !strings.Contains(r.challenge, "scope=") && !x.public() {
		told.challenge += `, scope="` + scope + `"`
	}
	return &told
}
