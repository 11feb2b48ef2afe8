package rival

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
)

// haproxyConfig: threads, address, rules, upstream. Like our sidecar it keeps
// connections alive on both sides; it logs nothing.
const haproxyConfig = `global
    nbthread %d
    maxconn 4096
    hard-stop-after 1s

defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout http-request 10s
    http-reuse always

frontend edge
    bind %s
%s    default_backend api

backend api
    server api %s
`

// haproxyRules: issuer, audience, file of the public key. A token's claims are
// read before its signature is checked, as cheapest first; an exp that is no
// number leaves its variable unset, which "unless" refuses.
//
// What this does not do, and our sidecar does: it looks up no revocation; it
// records nothing; it knows one key and never fetches another; it decides
// nothing by route, method or capability; it tells the API nothing of the agent
// and strips no header by which a client could; it takes a token of any type.
const haproxyRules = `    http-request deny deny_status 401 unless { req.hdr(authorization) -m found }
    http-request set-var(txn.token) http_auth_bearer
    http-request set-var(txn.alg) var(txn.token),jwt_header_query('$.alg')
    http-request deny deny_status 401 unless { var(txn.alg) -m str RS256 }
    http-request set-var(txn.now) date()
    http-request set-var(txn.exp) var(txn.token),jwt_payload_query('$.exp','int')
    http-request deny deny_status 401 unless { var(txn.exp),sub(txn.now) -m int gt 0 }
    http-request deny deny_status 401 unless { var(txn.token),jwt_payload_query('$.iss') -m str %s }
    http-request deny deny_status 401 unless { var(txn.token),jwt_payload_query('$.aud') -m str %s }
    http-request deny deny_status 401 unless { var(txn.token),jwt_verify(txn.alg,"%s") -m int 1 }
`

func haproxy(r *Rival, o Options) (*exec.Cmd, error) {
	path, err := program("haproxy")
	if err != nil {
		return nil, err
	}
	rules := ""
	if r.Kind == HAProxyJWT {
		if rules, err = r.haproxyRules(o); err != nil {
			return nil, err
		}
	}
	config, err := r.write("haproxy.cfg", fmt.Sprintf(haproxyConfig, o.Cores, r.Addr, rules, o.Upstream))
	if err != nil {
		return nil, err
	}
	return exec.Command(path, "-db", "-f", config), nil // -db: one process, in the foreground
}

// plainText is what needs no quotes in HAProxy's configuration.
var plainText = regexp.MustCompile(`^[A-Za-z0-9:/._~-]+$`)

func (r *Rival) haproxyRules(o Options) (string, error) {
	if o.Key == nil || !plainText.MatchString(o.Issuer) || !plainText.MatchString(o.Audience) {
		return "", errors.New("it needs a key, and an issuer and audience that are URLs")
	}
	encoded, err := publicPEM(o.Key)
	if err != nil {
		return "", err
	}
	file, err := r.write("issuer.pem", encoded)
	if err != nil {
		return "", err
	}
	if strings.ContainsAny(file, `"'\ `) {
		return "", fmt.Errorf("the folder of temporary files has a name that HAProxy's configuration cannot hold: %s", file)
	}
	return fmt.Sprintf(haproxyRules, o.Issuer, o.Audience, file), nil
}

func publicPEM(key *rsa.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), nil
}
