package story

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// importKey gives the IdP a signing key that the story knows too: only so can
// it show that the right key is not enough.
func (p *play) importKey(ctx context.Context) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return fmt.Errorf("signing key: %w", err)
	}
	p.key = key
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("signing key: %w", err)
	}
	file := filepath.Join(p.Dir, "signing-key.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return fmt.Errorf("signing key: %w", err)
	}
	_, err = p.agentidp(ctx, p.IdPDir(), "keys", "import", "--offline", "--pem", file)
	return err
}

// agentidp runs the command line on a data folder and returns what it printed.
func (p *play) agentidp(ctx context.Context, dir string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, filepath.Join(p.Bin, "agentidp"), append(args, "--data-dir", dir)...)
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	if p.Elsewhere != nil {
		command.Env = append(command.Env, p.Elsewhere.Environment()...)
	}
	printed, err := command.CombinedOutput()
	if err != nil {
		return string(printed), fmt.Errorf("agentidp %s: %w: %s", strings.Join(args, " "), err, printed)
	}
	return string(printed), nil
}

func (p *play) forgeries(ctx context.Context) (string, error) {
	before, err := p.seen(ctx)
	if err != nil {
		return "", err
	}
	forged, err := p.forge(ctx)
	if err != nil {
		return "", err
	}
	for _, f := range forged {
		if _, err := p.expect(ctx, http.MethodGet, "/notes", f.token, "", http.StatusUnauthorized, f.reason); err != nil {
			return "", fmt.Errorf("%s: %w", f.name, err)
		}
	}
	after, err := p.seen(ctx)
	if err == nil && after != before+1 {
		err = fmt.Errorf("the API was reached %d times", after-before-1)
	}
	return fmt.Sprintf("%d forgeries", len(forged)), err
}

type forgery struct{ name, token, reason string }

func (p *play) forge(ctx context.Context) ([]forgery, error) {
	genuine, _, err := jwt.NewParser().ParseUnverified(p.token, jwt.MapClaims{})
	if err != nil {
		return nil, fmt.Errorf("read our own token: %w", err)
	}
	kid, _ := genuine.Header["kid"].(string)
	claims, _ := genuine.Claims.(jwt.MapClaims)
	foreign, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("foreign key: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(&p.key.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	elsewhere, err := p.tokenFor(ctx, p.screener.Credential, "https://elsewhere.example.com")
	if err != nil {
		return nil, err
	}
	payload := strings.Split(p.token, ".")[1]
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"`+kid+`","typ":"at+jwt"}`)) + "." + payload + "."

	sign := func(method jwt.SigningMethod, key any, typ string, claims jwt.MapClaims) string {
		t := jwt.NewWithClaims(method, claims)
		t.Header["kid"], t.Header["typ"] = kid, typ
		signed, signErr := t.SignedString(key)
		if signErr != nil && err == nil {
			err = fmt.Errorf("forge: %w", signErr)
		}
		return signed
	}
	past := jwt.MapClaims{}
	for name, value := range claims {
		past[name] = value
	}
	past["iat"], past["exp"] = time.Now().Add(-2*time.Hour).Unix(), time.Now().Add(-time.Hour).Unix()
	forged := []forgery{
		{"alg none", none, "malformed"}, // no signature is no token, whatever it says it is
		{"HS256 with the public key", sign(jwt.SigningMethodHS256, publicPEM, "at+jwt", claims), "algorithm"},
		{"a foreign key with the same kid", sign(jwt.SigningMethodRS256, foreign, "at+jwt", claims), "signature"},
		{"expired", sign(jwt.SigningMethodRS256, p.key, "at+jwt", past), "expired"},
		{"wrong audience", elsewhere, "audience_mismatch"},
		{"right key, wrong typ", sign(jwt.SigningMethodRS256, p.key, "JWT", claims), "type_mismatch"},
	}
	return forged, err
}
