package vault

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/hashicorp/vault/api"
)

// dialer makes API clients that share one pool of connections.
type dialer struct {
	addr, namespace string
	http            *http.Client
}

func newDialer(o *Options) (*dialer, error) {
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CACert != "" {
		pem, err := os.ReadFile(o.CACert)
		if err != nil {
			return nil, fmt.Errorf("vault: CA certificates: %w", err)
		}
		secure.RootCAs = x509.NewCertPool()
		if !secure.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("vault: no CA certificate in %s", o.CACert)
		}
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: o.callTimeout}).DialContext,
		TLSClientConfig: secure, TLSHandshakeTimeout: o.callTimeout, ForceAttemptHTTP2: true,
		MaxIdleConns: inFlight, MaxIdleConnsPerHost: inFlight, MaxConnsPerHost: 2 * inFlight, IdleConnTimeout: time.Minute,
	}
	d := &dialer{addr: o.Addr, namespace: o.Namespace, http: &http.Client{
		Transport: bounded{transport},
		// A redirect would take the token to a server that nobody configured.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if _, err := d.client(""); err != nil {
		return nil, err
	}
	return d, nil
}

// client makes an API client with a token; empty: none. The library would take
// token, namespace and wrapping from the environment: only Options count here.
// It would also try again, which the deadline leaves no time for.
func (d *dialer) client(token string) (*api.Client, error) {
	client, err := api.NewClient(&api.Config{Address: d.addr, HttpClient: d.http, DisableRedirects: true})
	if err != nil {
		return nil, errors.New("vault: the address or a VAULT_ variable is not usable")
	}
	client.SetToken(token)
	client.ClearNamespace()
	if d.namespace != "" {
		client.SetNamespace(d.namespace)
	}
	client.SetWrappingLookupFunc(func(string, string) string { return "" })
	return client, nil
}

// bounded reads no more than maxAnswer of any answer.
type bounded struct{ *http.Transport }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.Transport.RoundTrip(r)
	if err == nil {
		response.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(response.Body, maxAnswer), response.Body}
	}
	return response, err
}
