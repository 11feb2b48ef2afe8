// Package agentidp is the Go SDK of AgentIdP. An agent gets an access token
// with its credential, keeps it fresh and calls APIs with it:
//
//	config, err := agentidp.FromEnvironment()
//	source, err := config.WithResources("https://notes.example.com").TokenSource()
//	response, err := source.Client().Get("https://notes.example.com/notes")
package agentidp

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// Config says who asks and for what.
type Config struct {
	URL          string // base URL of the IdP, its issuer: https://idp.example.com
	ClientID     string
	ClientSecret string
	// Resources are the APIs the token is for (RFC 8707). None: the IdP's own management API.
	Resources []string
	// Scopes are the capabilities asked for. None: all the agent holds.
	Scopes []string
	// HTTPClient asks for tokens; nil means one with a 10 s timeout.
	HTTPClient *http.Client
}

// FromEnvironment reads AGENTIDP_URL, AGENTIDP_CLIENT_ID and AGENTIDP_CLIENT_SECRET.
func FromEnvironment() (Config, error) {
	c := Config{URL: os.Getenv("AGENTIDP_URL"), ClientID: os.Getenv("AGENTIDP_CLIENT_ID"), ClientSecret: os.Getenv("AGENTIDP_CLIENT_SECRET")}
	return c, c.validate()
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
	var problems []error
	base, err := url.Parse(c.URL)
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" {
		problems = append(problems, errors.New("the URL (AGENTIDP_URL) must be the IdP's absolute http(s) address"))
	}
	if c.ClientID == "" {
		problems = append(problems, errors.New("the client id (AGENTIDP_CLIENT_ID) is missing"))
	}
	if c.ClientSecret == "" {
		problems = append(problems, errors.New("the client secret (AGENTIDP_CLIENT_SECRET) is missing"))
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("agentidp: %w", err)
	}
	return nil
}

func (c Config) tokenURL() string { return strings.TrimSuffix(c.URL, "/") + "/api/v1/token" }

func (c Config) form() string {
	form := url.Values{"grant_type": {"client_credentials"}}
	if len(c.Resources) > 0 {
		form["resource"] = c.Resources
	}
	if len(c.Scopes) > 0 {
		form.Set("scope", strings.Join(c.Scopes, " "))
	}
	return form.Encode()
}

func (c Config) client() *http.Client {
	if c.HTTPClient != nil {
		return c.HTTPClient
	}
	return &http.Client{Timeout: 10 * time.Second}
}
