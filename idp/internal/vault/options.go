package vault

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sentryagent/agentidp/idp"
)

// DefaultJWTFile is where Kubernetes puts the token of a pod's service account.
const DefaultJWTFile = "/var/run/secrets/kubernetes.io/serviceaccount/token"

// Options of a Client. Addr and exactly one of Token, TokenFile, AppRole and
// Kubernetes are required; a zero elsewhere is the default.
type Options struct {
	Addr      string // http:// or https://, as in VAULT_ADDR
	Namespace string // of Vault Enterprise or OpenBao
	CACert    string // file of PEM certificates that Vault's must descend from; default: the system's
	Mount     string // of KV version 2; default "secret"

	Token      string
	TokenFile  string // read again at every login
	AppRole    *AppRole
	Kubernetes *Kubernetes

	TransitMount string // default "transit"
	TransitKey   string // default "agentidp"

	Logger  *slog.Logger // default: logs nothing
	Metrics *metrics.Set // default: counted for nobody
	Now     idp.Clock    // default time.Now

	callTimeout time.Duration // default the constant; a machine that tests is slower
}

// AppRole logs in with a role id and a secret id, given or in a file.
type AppRole struct {
	Mount        string // default "approle"
	RoleID       string
	SecretID     string
	SecretIDFile string // read again at every login
}

// Kubernetes logs in with the token of the pod's service account.
type Kubernetes struct {
	Mount   string // default "kubernetes"
	Role    string
	JWTFile string // default DefaultJWTFile; read again at every login
}

func (o *Options) setDefaults() error {
	o.Mount, o.TransitMount = path(o.Mount, "secret"), path(o.TransitMount, "transit")
	o.TransitKey = path(o.TransitKey, "agentidp")
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = metrics.NewSet()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.callTimeout == 0 {
		o.callTimeout = callTimeout
	}
	addr, err := url.Parse(o.Addr)
	if err != nil || addr.Host == "" || addr.User != nil || (addr.Scheme != "http" && addr.Scheme != "https") {
		return errors.New("vault: the address must be an http or https URL without user or password")
	}
	return o.checkLogin()
}

func (o *Options) checkLogin() error {
	ways := 0
	for _, given := range []bool{o.Token != "", o.TokenFile != "", o.AppRole != nil, o.Kubernetes != nil} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		return fmt.Errorf("vault: %d ways to log in are configured, must be one", ways)
	}
	if role := o.AppRole; role != nil && (role.RoleID == "" || (role.SecretID == "") == (role.SecretIDFile == "")) {
		return errors.New("vault: an AppRole login needs a role id and one of secret id and its file")
	}
	if o.Kubernetes != nil && o.Kubernetes.Role == "" {
		return errors.New("vault: a Kubernetes login needs a role")
	}
	return nil
}

// path is a configured path of Vault as it stands in requests.
func path(configured, fallback string) string {
	if trimmed := strings.Trim(configured, "/"); trimmed != "" {
		return trimmed
	}
	return fallback
}

// secretFile reads the one line of a file; its text never stands in an error.
func secretFile(name string) (string, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", err
	}
	const limit = 64 << 10
	text, err := io.ReadAll(io.LimitReader(file, limit))
	if err = errors.Join(err, file.Close()); err != nil {
		return "", err
	}
	line := strings.TrimSpace(string(text))
	if line == "" || strings.ContainsAny(line, "\r\n") {
		return "", fmt.Errorf("%s must hold one line", name)
	}
	return line, nil
}
