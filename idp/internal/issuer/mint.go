package issuer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/token"
)

// ErrUnwanted says that a token was not signed because nobody wants it any more.
var ErrUnwanted = errors.New("the token is not wanted any more")

// Mint signs an access token that says exactly what c says. c.KID, when set,
// is the key that must sign, as the audit event names it already. Claims that
// our own verifier would refuse are an error; a token that would be longer than
// token.MaxLength is INVALID_SCOPE; a full line of signatures is OVERLOADED.
// begun, when not nil, is called when the token's turn to be signed has come, and
// says whether it is wanted still; ErrUnwanted: it was not.
func (i *Issuer) Mint(ctx context.Context, c token.Claims, begun func() bool) (string, error) {
	k, err := i.active()
	if err != nil {
		return "", err
	}
	if c.KID != "" && c.KID != k.row.ID {
		return "", apierr.New(apierr.Overloaded, "the signing key was just changed; try again").
			WithReason("key_changed").WithRetryAfter(time.Second)
	}
	if err := c.Check(); err != nil {
		return "", fmt.Errorf("mint: %w", err)
	}
	if c.ExpiresAt <= c.IssuedAt || c.NotBefore != 0 {
		return "", errors.New("mint: exp must be after iat, and there is no nbf")
	}
	payload := appendClaims(make([]byte, 0, 512), &c)
	if k.signedLength(k.header, len(payload)) > token.MaxLength {
		return "", apierr.New(apierr.InvalidScope, "the token would be too long; ask for less scope or fewer resources").
			WithReason("token_too_long")
	}
	return i.sign(ctx, k, k.header, payload, begun)
}

// Sign makes a compact JWS of the type typ over payload as it is, such as a
// revocation snapshot. It stands in the same line as Mint.
func (i *Issuer) Sign(ctx context.Context, typ string, payload []byte) (string, error) {
	if typ == "" || typ == token.Type {
		return "", fmt.Errorf("sign: typ %q is not for documents", typ)
	}
	k, err := i.active()
	if err != nil {
		return "", err
	}
	return i.sign(ctx, k, headerSegment(k.row.ID, typ), payload, nil)
}

// appendClaims writes the claims as encoding/json, not escaping HTML, would write a
// struct of them in this order; aud is a string when there is one audience.
func appendClaims(b []byte, c *token.Claims) []byte {
	b = appendString(append(b, `{"iss":`...), c.Issuer)
	b = appendString(append(b, `,"sub":`...), c.Subject)
	b = appendAudience(append(b, `,"aud":`...), c.Audience)
	b = appendString(append(b, `,"client_id":`...), c.ClientID)
	b = appendString(append(b, `,"scope":`...), c.Scope)
	b = strconv.AppendInt(append(b, `,"iat":`...), c.IssuedAt, 10)
	b = strconv.AppendInt(append(b, `,"exp":`...), c.ExpiresAt, 10)
	b = appendString(append(b, `,"jti":`...), c.JTI)
	b = appendString(append(b, `,"org":`...), c.Organization)
	b = strconv.AppendInt(append(b, `,"rev":[`...), c.Rev[0], 10)
	b = strconv.AppendInt(append(b, ','), c.Rev[1], 10)
	b = strconv.AppendInt(append(b, ','), c.Rev[2], 10)
	b = append(b, ']')
	if c.Status.URI != "" {
		b = strconv.AppendInt(append(b, `,"status":{"status_list":{"idx":`...), c.Status.Index, 10)
		b = appendString(append(b, `,"uri":`...), c.Status.URI)
		b = append(b, "}}"...)
	}
	return append(b, '}')
}

func appendAudience(b []byte, audience []string) []byte {
	if len(audience) == 1 {
		return appendString(b, audience[0])
	}
	b = append(b, '[')
	for n, a := range audience {
		if n > 0 {
			b = append(b, ',')
		}
		b = appendString(b, a)
	}
	return append(b, ']')
}

// appendString takes the short way for strings that stand in JSON as they are,
// and leaves every other one to encoding/json. Claims are never part of a page:
// < > & are not escaped, so that a token is as long as what it says.
func appendString(b []byte, s string) []byte {
	for n := range len(s) {
		if c := s[n]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return append(b, quoted(s)...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func quoted(s string) []byte {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(s); err != nil {
		panic(err) // a string always marshals
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n"))
}
