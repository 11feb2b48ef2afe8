package syncer

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const tokenPath = "/api/v1/token" //nolint:gosec // a path

// credential gets and keeps the sidecar's own access token, for the IdP's
// management API: the client credentials grant of RFC 6749 section 4.4, with
// the issuer as resource (RFC 8707). It is safe for concurrent use.
type credential struct {
	client   *client
	identity *identity
	opts     Options
	log      *slog.Logger

	turn chan struct{} // one token; who has it may touch what follows
	now  ownToken
	next time.Time // before it no new attempt is made
	last error     // of the attempt before next
	pace pace
}

type ownToken struct {
	text    string
	renew   time.Time // from then on another is fetched
	expires time.Time
}

func newCredential(c *client, i *identity, opts Options) *credential {
	turn := make(chan struct{}, 1)
	turn <- struct{}{}
	return &credential{client: c, identity: i, opts: opts, log: opts.Logger, turn: turn, pace: pace{least: time.Second, most: 5 * time.Second}}
}

// token answers a token that is good for some time yet.
func (c *credential) token(ctx context.Context) (string, error) {
	select {
	case <-c.turn:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	defer func() { c.turn <- struct{}{} }()
	now := c.opts.Now()
	usable := c.now.text != "" && now.Before(c.now.expires)
	if usable && now.Before(c.now.renew) {
		return c.now.text, nil
	}
	if now.Before(c.next) {
		if usable {
			return c.now.text, nil
		}
		return "", c.last
	}
	fresh, err := c.fetch(ctx)
	if err == nil {
		c.now, c.last = fresh, nil
		c.pace.good()
		return fresh.text, nil
	}
	if ctx.Err() != nil { // the caller left: that says nothing about the IdP
		return "", err
	}
	c.last = err
	c.next = now.Add(c.waitAfter(err))
	if usable {
		return c.now.text, nil
	}
	return "", err
}

// waitAfter is the pace, and slow once our credential is refused: it will not
// become right by itself, and each attempt is an event in somebody's audit log.
func (c *credential) waitAfter(err error) time.Duration {
	wait := c.pace.bad(err)
	var r *refusal
	if errors.As(err, &r) && r.permanent() {
		c.log.Error("the IdP refuses the sidecar's credential", "error", err)
		return max(wait, jitter(slow))
	}
	return wait
}

// forget drops a token that the IdP refused.
func (c *credential) forget(text string) {
	<-c.turn
	defer func() { c.turn <- struct{}{} }()
	if c.now.text == text {
		c.now = ownToken{}
	}
}

func (c *credential) fetch(ctx context.Context) (ownToken, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	form := url.Values{"grant_type": {"client_credentials"}, "resource": {c.opts.Issuer}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.opts.IdPURL+tokenPath, strings.NewReader(form.Encode()))
	if err != nil {
		return ownToken{}, fmt.Errorf("request: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	request.SetBasicAuth(url.QueryEscape(c.opts.ClientID), url.QueryEscape(c.opts.ClientSecret)) // RFC 6749 section 2.3.1
	sent := c.opts.Now()
	a, err := c.client.do(request, maxAnswer)
	if err != nil {
		return ownToken{}, err
	}
	if a.status != http.StatusOK {
		return ownToken{}, refused(a)
	}
	var body struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int64  `json:"expires_in"`
	}
	if err := json.Unmarshal(a.body, &body); err != nil || body.AccessToken == "" || !strings.EqualFold(body.TokenType, "Bearer") || body.ExpiresIn <= 0 {
		return ownToken{}, errors.New("the token endpoint's answer is no bearer token")
	}
	if err := c.identity.learn(organizationOf(body.AccessToken)); err != nil {
		c.log.Warn("the sidecar's organization cannot be kept", "error", err)
	}
	life := time.Duration(min(body.ExpiresIn, 86_400)) * time.Second
	// Renewed at about four fifths: time enough for an IdP that is away for a while.
	return ownToken{text: body.AccessToken, renew: sent.Add(jitter(life * 4 / 5)), expires: sent.Add(life - life/20)}, nil
}

// organizationOf reads the org claim of our own token. It is not verified: it
// came from the endpoint that we authenticated to, over the same connection.
func organizationOf(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims struct {
		Organization string `json:"org"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	return claims.Organization
}
