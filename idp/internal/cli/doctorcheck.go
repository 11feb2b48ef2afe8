package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	agentidp "github.com/sentryagent/agentidp/sdk/go"
	"github.com/sentryagent/agentidp/shared/token"
)

// From when on something is wrong.
const (
	certificateLeft = 14 * 24 * time.Hour
	credentialLeft  = 14 * 24 * time.Hour
	skewAllowed     = 10 * time.Second // tokens allow more; a clock that is off goes on to be
	quotaNear       = 90               // per cent
	keyAge          = 180 * 24 * time.Hour
	sidecarAway     = 24 * time.Hour  // one that was not seen for longer is taken for gone
	feedLag         = 2 * time.Minute // an idle sidecar is written down once a minute
)

func (x *examination) tls(context.Context) finding {
	address, err := url.Parse(x.URL())
	if err != nil {
		return problem("correct the URL", "%v", err)
	}
	if x.answer.TLS == nil {
		if ip := net.ParseIP(address.Hostname()); ip.IsLoopback() || address.Hostname() == "localhost" {
			return ok("none, on a loopback address")
		}
		return problem("serve with AGENTIDP_TLS_CERT and AGENTIDP_TLS_KEY, or behind a proxy that does", "secrets and tokens cross the network in the clear")
	}
	certificate := x.answer.TLS.PeerCertificates[0]
	if left := certificate.NotAfter.Sub(x.now()); left < certificateLeft {
		return problem("renew the certificate; the IdP reads it again by itself", "the certificate of %s ends %s", address.Hostname(), fromNow(left))
	}
	return ok("%s, the certificate is good until %s", tlsVersion(x.answer), certificate.NotAfter.UTC().Format(time.DateOnly))
}

func tlsVersion(answer *http.Response) string {
	return map[uint16]string{0x0303: "TLS 1.2", 0x0304: "TLS 1.3"}[answer.TLS.Version]
}

func (x *examination) clock(context.Context) finding {
	there, err := http.ParseTime(x.answer.Header.Get("Date"))
	if err != nil {
		return skip("the answer tells no time")
	}
	// Date has whole seconds: half a second is the best guess of the rest.
	skew := there.Add(500 * time.Millisecond).Sub(x.asked.Add(x.took / 2))
	if skew.Abs() > skewAllowed {
		return problem("let NTP set both clocks: tokens are refused when they differ by a minute", "the IdP's clock and ours differ by %s", skew.Abs().Round(time.Second))
	}
	return ok("the IdP's and ours agree within %s", (skew.Abs() + time.Second).Round(time.Second))
}

func (x *examination) discovery(ctx context.Context) finding {
	m, err := x.Metadata(ctx)
	if err != nil {
		return problem("is something else answering at that URL?", "%v", explain(err))
	}
	openid, err := x.OpenIDConfiguration(ctx)
	if err != nil {
		return problem("is something else answering at that URL?", "%v", explain(err))
	}
	x.metadata = m
	if strings.TrimSuffix(m.Issuer, "/") != x.URL() {
		return problem("call it by its issuer, or set AGENTIDP_ISSUER to the URL that clients use", "the issuer is %s, you call it %s: clients refuse that", m.Issuer, x.URL())
	}
	if openid.Issuer != m.Issuer || openid.JWKSURI != m.JWKSURI || openid.TokenEndpoint != m.TokenEndpoint {
		return problem("does a proxy or cache answer one of them?", "oauth-authorization-server and openid-configuration differ")
	}
	for _, endpoint := range []string{m.TokenEndpoint, m.JWKSURI, m.IntrospectionEndpoint, m.RevocationEndpoint} {
		if !strings.HasPrefix(endpoint, x.URL()+"/") {
			return problem("set AGENTIDP_ISSUER to the URL that clients use", "the endpoint %s is not under the issuer", endpoint)
		}
	}
	return ok("issuer %s, both documents agree", m.Issuer)
}

func (x *examination) published(ctx context.Context) finding {
	keys, err := x.JWKS(ctx)
	if err != nil {
		return problem("nobody can verify tokens: look at the IdP's log", "%v", explain(err))
	}
	x.jwks = keys
	raw, err := json.Marshal(keys)
	if err != nil {
		return problem("look at what is between here and the IdP", "%v", err)
	}
	usable, _, err := token.ParseJWKS(raw)
	if err != nil {
		return problem("look at what is between here and the IdP", "the key set is not usable: %v", err)
	}
	for _, key := range keys.Keys {
		if _, err := usable.Key(key.KID); err != nil {
			return problem("rotate it: agentidp keys rotate", "the key %s is not usable: %v", key.KID, err)
		}
	}
	return ok("%d", len(keys.Keys))
}

func (x *examination) credential(ctx context.Context) finding {
	raw, err := x.AccessToken(ctx)
	if err != nil {
		return problem(`"agentidp login" with a good one`, "no token: %v", explain(err))
	}
	document, err := json.Marshal(x.jwks)
	if err != nil {
		return problem("look at what is between here and the IdP", "%v", err)
	}
	keys, _, err := token.ParseJWKS(document)
	if err != nil {
		return skip("there are no keys to verify a token with")
	}
	verifier := &token.Verifier{Issuer: x.metadata.Issuer, Audience: x.metadata.Issuer, Keys: keys, Leeway: time.Minute, Now: x.now}
	claims, err := verifier.Verify(ctx, raw)
	if err != nil {
		return problem("do the key set and the token endpoint belong to one IdP?", "its token does not verify: %v", err)
	}
	agent, err := x.Agent(ctx, claims.Subject)
	if err != nil {
		return problem("try again; the IdP's log has the cause", "%v", explain(err))
	}
	x.self = &agent
	return ok("gets a token for %s, which verifies", agent.Email)
}

func (x *examination) ending(ctx context.Context) finding {
	if x.self == nil {
		return skip("no token")
	}
	for credential, err := range x.Credentials(ctx, x.self.AgentID) {
		if err != nil {
			return denied(err, "its credentials")
		}
		if credential.ClientID != x.config.ClientID {
			continue
		}
		if credential.ExpiresAt == nil {
			return ok("never")
		}
		if left := credential.ExpiresAt.Sub(x.now()); left < credentialLeft {
			return problem("agentidp credentials rotate, or a new one when it has an expiry of its own", "it ends %s", fromNow(left))
		}
		return ok("%s", credential.ExpiresAt)
	}
	return skip("the credential is not on the list")
}

// quota looks at the agents of the organization that had most tokens this month.
func (x *examination) quota(ctx context.Context) finding {
	if x.self == nil {
		return skip("no token")
	}
	usage, err := x.OrganizationUsage(ctx, x.self.OrganizationID)
	if err != nil {
		return denied(err, "what agents use")
	}
	limit := usage.TokensLimitPerAgent
	var near []string
	for _, agent := range usage.MostTokens {
		if limit > 0 && agent.TokensUsed*100 >= limit*quotaNear {
			near = append(near, fmt.Sprintf("%s used %d of %d tokens", agent.Email, agent.TokensUsed, limit))
		}
	}
	if len(near) > 0 {
		return problem("keep tokens until they expire (the SDKs do), or agentidp organizations update --plan custom", "%s", strings.Join(near, ", "))
	}
	return ok("every agent is below %d %% of the month's tokens", quotaNear)
}

func (x *examination) signing(ctx context.Context) finding {
	if x.self == nil {
		return skip("no token")
	}
	keys, err := x.Keys(ctx)
	if err != nil {
		return denied(err, "the signing keys")
	}
	x.keys = &keys
	for _, key := range keys.Data {
		if key.Status != agentidp.KeyActive {
			continue
		}
		if !slices.ContainsFunc(x.jwks.Keys, func(k agentidp.JWK) bool { return k.KID == key.KID }) {
			return problem("does a cache keep an old /.well-known/jwks.json?", "the key that signs, %s, is not in the key set", key.KID)
		}
		since := x.now().Sub(firstOf(key.ActivatedAt, &key.CreatedAt).Time)
		if since > keyAge {
			return problem("agentidp keys rotate, or set AGENTIDP_KEY_ROTATION", "the key that signs has done so for %s", spanned(since))
		}
		return ok("%s of %d bits has signed for %s", key.KID, key.Bits, spanned(since))
	}
	return problem("look at the IdP's log", "no key signs")
}

func (x *examination) fleet(ctx context.Context) finding {
	if x.self == nil {
		return skip("no token")
	}
	head := ""
	if page, err := x.Revocations(ctx, "", 0); err == nil {
		head = page.Cursor
	}
	connected := 0
	var ill []string
	for sidecar, err := range x.Sidecars(ctx, "") {
		if err != nil {
			return denied(err, "the sidecars")
		}
		unseen := x.now().Sub(sidecar.SeenAt.Time)
		lag, known := behind(head, sidecar.FeedCursor)
		switch {
		case sidecar.Connected && head != "" && unseen < feedLag && known && lag > 0 && unseen > time.Minute:
			ill = append(ill, fmt.Sprintf("%s has not taken up the last %d revocations", called(sidecar), lag))
		case sidecar.Connected:
			connected++
		case unseen < sidecarAway:
			ill = append(ill, fmt.Sprintf("%s was last seen %s", called(sidecar), fromNow(-unseen)))
		}
	}
	if len(ill) > 0 {
		return problem("is it running, and does it reach the IdP? Its /ready says more. One that was taken away is forgotten after a day", "%s", strings.Join(ill, ", "))
	}
	return ok("%d connected", connected)
}

func (x *examination) policy(ctx context.Context) finding {
	if x.self == nil {
		return skip("no token")
	}
	policy, err := x.Policy(ctx)
	if err != nil {
		return denied(err, "the policy")
	}
	if policy.LastError != nil {
		return problem("correct the policy folder and reload (SIGHUP)", "the last reload kept the old policy: %s", policy.LastError.Message)
	}
	return ok("revision %s, its %d tests pass", policy.Revision, policy.Tests)
}
