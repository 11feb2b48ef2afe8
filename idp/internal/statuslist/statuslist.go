// Package statuslist keeps Token Status Lists (draft-ietf-oauth-status-list-21):
// for relying parties that verify tokens without a sidecar. Indexes gives every
// token a place in a list; Lists says, from the audit log and the revocation
// feed alone, which of them are dead. Nothing is stored for a single token.
package statuslist

import (
	"strconv"
	"strings"
	"time"

	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/token"
)

const (
	// Type is the typ of a list (section 5.1); MediaType is what it is served as.
	Type      = "statuslist+jwt"
	MediaType = "application/statuslist+jwt"

	// Path is where the lists are, below the issuer.
	Path = "/statuslists"
)

const (
	// blockLife bounds how long a replica gives out the indexes of one block: it
	// says how long after its last block a list may still get new tokens.
	blockLife = time.Hour
	// skew is granted to the clocks of replicas.
	skew = 5 * time.Minute
)

// base is the address that ids are appended to.
func base(issuer string) string { return strings.TrimRight(issuer, "/") + Path + "/" }

func uri(base string, id int64) string { return base + strconv.FormatInt(id, 10) }

// place is where the token with a global index is looked up.
func place(base string, index int64) token.Status {
	return token.Status{URI: uri(base, index/store.StatusListSize), Index: index % store.StatusListSize}
}
