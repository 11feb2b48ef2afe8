package cli

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	agentidp "github.com/sentryagent/agentidp/sdk/go"
	"github.com/sentryagent/agentidp/shared/command"
	"github.com/sentryagent/agentidp/shared/durable"
)

// profile is where an IdP is and who calls it.
type profile struct {
	URL          string `json:"url"`
	ClientID     string `json:"clientId"`
	ClientSecret string `json:"clientSecret"`
	CAFile       string `json:"caFile,omitempty"` // PEM authorities beside the system's
}

// profiles is the file that holds them.
type profiles struct {
	Current  string             `json:"current"`
	Profiles map[string]profile `json:"profiles"`

	path string
}

const defaultProfile = "default"

var profileName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// clientEnvironment is what the commands that call the API read, which is no
// setting of the server.
var clientEnvironment = []string{
	"AGENTIDP_URL", "AGENTIDP_CLIENT_ID", "AGENTIDP_CLIENT_SECRET", "AGENTIDP_CLIENT_SECRET_FILE", "AGENTIDP_PRIVATE_KEY_FILE", "AGENTIDP_KEY_ID",
	"AGENTIDP_CREDENTIALS_FILE", "AGENTIDP_CA_FILE", "AGENTIDP_PROFILE",
}

// env is a variable of the process's environment; the last one counts.
func (p program) env(name string) (value string) {
	for _, pair := range p.Environ {
		if v, found := strings.CutPrefix(pair, name+"="); found {
			value = v
		}
	}
	return value
}

// configFolder is $XDG_CONFIG_HOME/agentidp.
func (p program) configFolder() (string, error) {
	if base := p.env("XDG_CONFIG_HOME"); filepath.IsAbs(base) {
		return filepath.Join(base, "agentidp"), nil
	}
	home := p.env("HOME")
	if home == "" {
		return "", errors.New("neither XDG_CONFIG_HOME nor HOME says where profiles lie")
	}
	return filepath.Join(home, ".config", "agentidp"), nil
}

// profiles reads the file, if there is one. Others than its owner must not be able to.
func (p program) profiles() (*profiles, error) {
	folder, err := p.configFolder()
	if err != nil {
		return nil, err
	}
	all := &profiles{Profiles: map[string]profile{}, path: filepath.Join(folder, "profiles.json")}
	info, err := os.Stat(all.path)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return nil, fmt.Errorf("profiles: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s holds secrets and others can read it: chmod 600 it, and rotate what it holds", all.path)
	}
	content, err := os.ReadFile(all.path)
	if err == nil {
		err = json.Unmarshal(content, all)
	}
	if err != nil {
		return nil, fmt.Errorf("profiles: %s: %w", all.path, err)
	}
	return all, nil
}

func (all *profiles) save() error {
	if err := os.MkdirAll(filepath.Dir(all.path), 0o700); err != nil {
		return fmt.Errorf("profiles: %w", err)
	}
	content, err := json.MarshalIndent(all, "", "  ")
	if err == nil {
		err = durable.WriteFile(all.path, append(content, '\n'))
	}
	if err != nil {
		return fmt.Errorf("profiles: %w", err)
	}
	return nil
}

// connection is whom a command calls. A profile counts as a whole, and so does
// the environment: a secret never goes to an address that came from elsewhere.
type connection struct {
	profile
	name  string        // of the profile; empty: from the environment
	key   crypto.Signer // the proof instead of a secret; nil: none. Only the environment names one
	keyID string        // of key; empty: its thumbprint
}

var errNoProfile = errors.New(`nobody is logged in: "agentidp login --url URL --credential-file DATA/admin.json" as the administrator (--help has more), or set AGENTIDP_URL, AGENTIDP_CLIENT_ID and AGENTIDP_CLIENT_SECRET_FILE`)

// connection is the profile that is named, else the environment, else the current profile.
func (p program) connection(name string) (connection, error) {
	if name == "" {
		name = p.env("AGENTIDP_PROFILE")
	}
	if name == "" && (p.env("AGENTIDP_CLIENT_ID") != "" || p.env("AGENTIDP_CREDENTIALS_FILE") != "") {
		config, err := agentidp.FromLookup(p.env)
		if err != nil {
			return connection{}, fmt.Errorf("%w: %w", command.ErrUsage, err)
		}
		found := profile{URL: config.URL, ClientID: config.ClientID, ClientSecret: config.ClientSecret, CAFile: p.env("AGENTIDP_CA_FILE")}
		return connection{profile: found, key: config.PrivateKey, keyID: config.KeyID}, nil
	}
	all, err := p.profiles()
	if err != nil {
		return connection{}, err
	}
	if name == "" {
		name = all.Current
	}
	found, ok := all.Profiles[name]
	switch {
	case ok:
		return connection{profile: found, name: name}, nil
	case name == "":
		return connection{}, &failure{text: errNoProfile.Error(), status: exitNotAllowed, cause: errNoProfile}
	default:
		return connection{}, fmt.Errorf("%w: there is no profile %q: agentidp login --profile %[2]s", command.ErrUsage, name)
	}
}

// config is what the SDK wants to know.
func (c connection) config() (agentidp.Config, error) {
	config, err := c.profile.config()
	config.PrivateKey, config.KeyID = c.key, c.keyID
	return config, err
}

// config is the part that a profile's file holds: no key.
func (c profile) config() (agentidp.Config, error) {
	client, err := c.http()
	return agentidp.Config{URL: c.URL, ClientID: c.ClientID, ClientSecret: c.ClientSecret, HTTPClient: client}, err
}

// http is a client that trusts the profile's authorities too and follows nobody elsewhere.
func (c profile) http() (*http.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // the standard library's
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("authorities: %w", err)
		}
		roots, err := x509.SystemCertPool()
		if err != nil {
			roots = x509.NewCertPool()
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("authorities: %s holds no certificate", c.CAFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{
		Timeout: 10 * time.Second, Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}
