package agentidp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// RevocationType is what a revocation cuts off.
type RevocationType string

// The types.
const (
	RevokeAgent        RevocationType = "agent"
	RevokeCredential   RevocationType = "credential"
	RevokeOrganization RevocationType = "organization"
	RevokeKey          RevocationType = "kid"
	RevokeToken        RevocationType = "jti"
)

// RevocationEntry is one entry of the feed.
type RevocationEntry struct {
	Seq    int64          `json:"seq"`
	Type   RevocationType `json:"type"`
	ID     string         `json:"id"`
	Epoch  int64          `json:"epoch,omitempty"` // tokens with a lower rev member are dead
	Exp    int64          `json:"exp,omitempty"`   // Unix seconds after which it may be forgotten
	Reason string         `json:"reason"`
	At     Time           `json:"at"`
}

// RevocationPage is what the feed says: what is new behind a cursor, or everything.
type RevocationPage struct {
	Epoch   string            `json:"epoch"` // names this feed
	Cursor  string            `json:"cursor"`
	Entries []RevocationEntry `json:"entries"`
}

// NewRevocation cuts off what is live now.
type NewRevocation struct {
	Type   RevocationType `json:"type"`
	ID     string         `json:"id"`               // agentId, credentialId or clientId, organizationId, kid or jti
	Reason string         `json:"reason,omitempty"` // for the audit log
}

// Revoke cuts off an agent, credential, organization, key or token. Nothing is
// suspended: new tokens can be issued.
func (c *Client) Revoke(ctx context.Context, revocation NewRevocation) (entry RevocationEntry, err error) {
	err = c.do(ctx, post("/api/v1/revocations", revocation), &entry)
	return entry, err
}

// RevocationPreview is what a revocation would cut off now.
type RevocationPreview struct {
	Type           RevocationType `json:"type"`
	ID             string         `json:"id"`                       // as the feed would name it
	OrganizationID string         `json:"organizationId,omitempty"` // of the subject; none of a key
	At             Time           `json:"at"`
	LiveTokens     int64          `json:"liveTokens"` // issued and neither expired nor revoked
	Bound          PreviewBound   `json:"bound"`
	Agents         int64          `json:"agents"`      // active ones whose tokens die
	Credentials    int64          `json:"credentials"` // live ones whose tokens die
	Sidecars       int64          `json:"sidecars"`    // connected ones of the organization
}

// PreviewBound is what the number of live tokens is worth.
type PreviewBound string

// The bounds.
const (
	BoundExact   PreviewBound = "exact"
	BoundAtLeast PreviewBound = "at_least"
	BoundAtMost  PreviewBound = "at_most"
)

// PreviewRevocation counts what a revocation of an agent, credential,
// organization or key would cut off. It changes nothing.
func (c *Client) PreviewRevocation(ctx context.Context, kind RevocationType, id string) (preview RevocationPreview, err error) {
	err = c.do(ctx, get("/api/v1/revocations/preview", url.Values{"type": {string(kind)}, "id": {id}}), &preview)
	return preview, err
}

const (
	snapshotType = "agentidp-revocations+jwt"
	longestWait  = 30 * time.Second
)

// Revocations is what is new behind the cursor, as soon as there is something or
// after wait, up to 30 seconds. Without a cursor, or with one of another feed,
// it is every live entry, whose signature is verified.
func (c *Client) Revocations(ctx context.Context, after string, wait time.Duration) (page RevocationPage, err error) {
	do := get("/api/v1/revocations", set(url.Values{}, "after", after))
	do.accept = "*/*"
	if wait > 0 {
		do.query.Set("wait", strconv.Itoa(int(min(wait, longestWait-5*time.Second)/time.Second)))
	}
	body, err := c.bytes(ctx, do)
	if err != nil {
		return page, err
	}
	if !bytes.HasPrefix(body, []byte("{")) {
		return c.snapshot(ctx, string(body))
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return page, fmt.Errorf("agentidp: revocations: %w", err)
	}
	return page, nil
}

// snapshotClaims are the payload of a signed snapshot.
type snapshotClaims struct {
	Issuer   string `json:"iss"`
	IssuedAt int64  `json:"iat"`
	RevocationPage
}

// Valid is what the parser asks of claims: none of the registered ones but iss is there.
func (snapshotClaims) GetExpirationTime() (*jwt.NumericDate, error) { return nil, nil } //nolint:nilnil // absent
func (snapshotClaims) GetIssuedAt() (*jwt.NumericDate, error)       { return nil, nil } //nolint:nilnil // absent
func (snapshotClaims) GetNotBefore() (*jwt.NumericDate, error)      { return nil, nil } //nolint:nilnil // absent
func (s snapshotClaims) GetIssuer() (string, error)                 { return s.Issuer, nil }
func (snapshotClaims) GetSubject() (string, error)                  { return "", nil }
func (snapshotClaims) GetAudience() (jwt.ClaimStrings, error)       { return nil, nil }

func (c *Client) snapshot(ctx context.Context, signed string) (RevocationPage, error) {
	keys, err := c.JWKS(ctx)
	if err != nil {
		return RevocationPage{}, err
	}
	var claims snapshotClaims
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithStrictDecoding())
	_, err = parser.ParseWithClaims(signed, &claims, func(token *jwt.Token) (any, error) {
		if token.Header["typ"] != snapshotType {
			return nil, fmt.Errorf("typ is not %s", snapshotType)
		}
		kid, _ := token.Header["kid"].(string) // absent: no key
		return keys.public(kid)
	})
	if err != nil {
		return RevocationPage{}, fmt.Errorf("agentidp: the snapshot of the revocations is not signed by the IdP: %w", err)
	}
	return claims.RevocationPage, nil
}
