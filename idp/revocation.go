package idp

import "time"

// RevocationType says what an entry of the revocation feed cuts off.
type RevocationType string

// The types, with what ID names. Epoch types kill tokens whose rev member is
// lower than Epoch; jti kills one token until its Expires; kid kills every token of a key.
const (
	RevokeOrganization RevocationType = "organization" // organizationId
	RevokeAgent        RevocationType = "agent"        // agentId
	RevokeCredential   RevocationType = "credential"   // client_id, because that is what a token names
	RevokeJTI          RevocationType = "jti"
	RevokeKID          RevocationType = "kid"
)

// RevocationTypes lists every type.
var RevocationTypes = []RevocationType{RevokeAgent, RevokeCredential, RevokeOrganization, RevokeKID, RevokeJTI}

// CheckRevocationType demands one of RevocationTypes.
func CheckRevocationType(t RevocationType) []Rule { return oneOf("type", t, RevocationTypes) }

// Revocation is one entry of the feed. Seq rises strictly in commit order.
type Revocation struct {
	Seq     int64
	Type    RevocationType
	ID      string
	Epoch   int64     // organization, agent, credential
	Expires time.Time // jti: the token's exp. Whole seconds
	Reason  string
	At      time.Time
}

// Rev is a token's "rev" claim: the epochs it was minted under.
type Rev struct {
	Organization int64
	Agent        int64
	Credential   int64
}

// Live reports whether a token minted under r survives the current epochs.
func (r Rev) Live(current Rev) bool {
	return r.Organization >= current.Organization && r.Agent >= current.Agent && r.Credential >= current.Credential
}
