package app

import (
	"context"
	"crypto/tls"
	"errors"

	"github.com/sentryagent/agentidp/shared/httpx"
)

// openTLS loads what the settings name: the certificate for clients, and for
// the API and the IdP the one to show and the authorities to trust.
func (a *App) openTLS(context.Context) error {
	var errs []error
	pair := func(prefix, cert, key string) *httpx.TLS {
		if cert == "" {
			return nil
		}
		opened, err := httpx.OpenTLS(httpx.TLSOptions{CertFile: cert, KeyFile: key, Now: a.now, Logger: a.logger, Metrics: a.metrics, Prefix: prefix})
		if err != nil {
			errs = append(errs, err)
			return nil
		}
		a.certificates = append(a.certificates, opened)
		return opened
	}
	toward := func(authorities string, shown *httpx.TLS) *tls.Config {
		if authorities == "" && shown == nil {
			return nil
		}
		config := &tls.Config{MinVersion: tls.VersionTLS12}
		if shown != nil {
			config.GetClientCertificate = shown.ClientCertificate
		}
		if authorities != "" {
			pool, err := httpx.Authorities(authorities)
			errs = append(errs, err)
			config.RootCAs = pool
		}
		return config
	}
	if served := pair("sidecar_tls", a.cfg.TLSCert, a.cfg.TLSKey); served != nil {
		a.tls = served.Config()
	}
	a.upstreamTLS = toward(a.cfg.UpstreamCA, pair("sidecar_upstream_tls", a.cfg.UpstreamCert, a.cfg.UpstreamKey))
	a.idpTLS = toward(a.cfg.IdPCA, pair("sidecar_idp_tls", a.cfg.IdPCert, a.cfg.IdPKey))
	return errors.Join(errs...)
}

// watchCertificates takes up renewed certificates until ctx ends.
func (a *App) watchCertificates(ctx context.Context) error {
	var watches []*task
	for _, certificate := range a.certificates {
		watches = append(watches, a.start(ctx, func(error) {}, func(ctx context.Context) error { certificate.Run(ctx); return nil }))
	}
	<-ctx.Done()
	for _, watch := range watches {
		_ = watch.stop() // has no error
	}
	return nil
}
