// Package agentidp is the Go SDK of AgentIdP. An agent gets an access token
// with its credential, keeps it fresh and calls APIs with it:
//
//	config, err := agentidp.FromEnvironment()
//	source, err := config.WithResources("https://notes.example.com").TokenSource()
//	response, err := source.Client().Get("https://notes.example.com/notes")
package agentidp

import (
	"crypto"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Config says who asks and for what.
type Config struct {
	URL      string // base URL of the IdP, its issuer: https://idp.example.com
	ClientID string
	// ClientSecret or PrivateKey prove the client id, one of them.
	ClientSecret string
	// PrivateKey signs client assertions (private_key_jwt): an *rsa.PrivateKey of
	// 2048 to 4096 bits, or an *ecdsa.PrivateKey on P-256. See ParsePrivateKey.
	PrivateKey crypto.Signer
	// KeyID is the kid of PrivateKey as the agent's JWK Set has it. Empty: the RFC 7638 thumbprint.
	KeyID string
	// Resources are the APIs the token is for (RFC 8707). None: the IdP's own management API.
	Resources []string
	// Scopes are the capabilities asked for. None: all the agent holds.
	Scopes []string
	// HTTPClient asks for tokens; nil means http.DefaultTransport. Redirects are never followed.
	HTTPClient *http.Client
}

// WithResources is c for other resources.
func (c Config) WithResources(resources ...string) Config {
	c.Resources = slices.Clone(resources)
	return c
}

// WithScopes is c for other scopes.
func (c Config) WithScopes(scopes ...string) Config {
	c.Scopes = slices.Clone(scopes)
	return c
}

func (c Config) validate() error {
	var problems []string
	if err := c.validateURL(); err != nil {
		problems = append(problems, err.Error())
	}
	if c.ClientID == "" {
		problems = append(problems, "the client id (AGENTIDP_CLIENT_ID) is missing")
	}
	switch {
	case c.ClientSecret != "" && c.PrivateKey != nil:
		problems = append(problems, "a client secret (AGENTIDP_CLIENT_SECRET) and a private key (AGENTIDP_PRIVATE_KEY_FILE) are both given")
	case c.PrivateKey != nil:
		if _, err := algorithmOf(c.PrivateKey); err != nil {
			problems = append(problems, "the private key (AGENTIDP_PRIVATE_KEY_FILE): "+err.Error())
		}
	case c.ClientSecret == "":
		problems = append(problems, "the client secret (AGENTIDP_CLIENT_SECRET) or a private key (AGENTIDP_PRIVATE_KEY_FILE) is missing")
	}
	if len(problems) > 0 {
		return fmt.Errorf("agentidp: %s", strings.Join(problems, "; "))
	}
	return nil
}

func (c Config) validateURL() error {
	base, err := url.Parse(c.URL)
	if err != nil || base.Host == "" || base.User != nil || base.RawQuery != "" || base.Scheme != "https" && base.Scheme != "http" {
		return errors.New("the URL (AGENTIDP_URL) must be the IdP's absolute http(s) address")
	}
	return nil
}

// issuer is the URL as the IdP itself writes it.
func (c Config) issuer() string { return strings.TrimSuffix(c.URL, "/") }

func (c Config) tokenURL() string { return c.issuer() + "/api/v1/token" }

func (c Config) form() url.Values {
	form := url.Values{"grant_type": {"client_credentials"}}
	if len(c.Resources) > 0 {
		form["resource"] = c.Resources
	}
	if len(c.Scopes) > 0 {
		form.Set("scope", strings.Join(c.Scopes, " "))
	}
	return form
}

// client asks for tokens. Each attempt has its own deadline.
func (c Config) client() *http.Client {
	client := &http.Client{CheckRedirect: noRedirect}
	if c.HTTPClient != nil {
		client.Transport, client.Timeout = c.HTTPClient.Transport, c.HTTPClient.Timeout
	}
	return client
}

// noRedirect keeps credentials from going where the configuration did not send them.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
