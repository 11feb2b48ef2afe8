package rival

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
)

func oidcProvider(r *Rival, o Options) (*exec.Cmd, error) {
	node, err := program("node")
	if err != nil {
		return nil, err
	}
	folder := o.Modules
	if folder == "" {
		if folder, err = cached(); err != nil {
			return nil, err
		}
	}
	if _, err := os.Stat(filepath.Join(folder, "node_modules", "oidc-provider")); err != nil {
		return nil, fmt.Errorf("oidc-provider is %w in %s (bench/rival/install)", ErrMissing, folder)
	}
	r.clientID, r.clientSecret = "bench", rand.Text()
	cmd := exec.Command(node, filepath.Join(folder, "server.mjs"))
	cmd.Dir = folder
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "NODE_ENV=production", "ADDR=" + r.Addr,
		"CLIENT_ID=" + r.clientID, "CLIENT_SECRET=" + r.clientSecret, "COOKIE_KEY=" + rand.Text(),
	}
	return cmd, nil
}

// cached is where bench/rival/install puts it: .cache of the repository that we are in.
func cached() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; folder = filepath.Dir(folder) {
		if _, err := os.Stat(filepath.Join(folder, "go.work")); err == nil {
			return filepath.Join(folder, ".cache", "oidcprovider"), nil
		}
		if folder == filepath.Dir(folder) {
			return "", fmt.Errorf("oidc-provider is %w: run this in the repository", ErrMissing)
		}
	}
}

// TokenRequest is what a client posts for a token.
type TokenRequest struct {
	Path          string
	Authorization string // the header's value
	Form          string // application/x-www-form-urlencoded
}

// TokenRequest asks an issuer for a token for the resource.
func (r *Rival) TokenRequest(resource string) TokenRequest {
	return TokenRequest{
		Path:          "/token",
		Authorization: "Basic " + base64.StdEncoding.EncodeToString([]byte(r.clientID+":"+r.clientSecret)),
		Form:          url.Values{"grant_type": {"client_credentials"}, "scope": {"notes:read"}, "resource": {resource}}.Encode(),
	}
}
