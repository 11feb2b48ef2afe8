// Package inside measures what only code inside the IdP can: signing with the
// backend of its build and appending to its audit log. Command idpbench, built
// with the tags of the IdP, runs it; the benchmark reads what it prints.
package inside

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"github.com/sentryagent/agentidp/bench/load"
	"github.com/sentryagent/agentidp/bench/result"
	"github.com/sentryagent/agentidp/idp/idpbench"
	"github.com/sentryagent/agentidp/shared/token"
)

// Measurement is what a command prints, as JSON.
type Measurement struct {
	Backend   string        `json:"backend,omitempty"` // that signed
	Sample    result.Sample `json:"sample"`
	Histogram string        `json:"histogram,omitempty"` // as in a result.Row
}

func of(r load.Result, backend string) (Measurement, error) {
	if r.Errors > 0 {
		return Measurement{}, fmt.Errorf("%d of %d failed: %s", r.Errors, r.Requests, r.FirstError)
	}
	encoded, err := load.Encode(r.Latency)
	return Measurement{Backend: backend, Sample: r.Sample(), Histogram: encoded}, err
}

// Sign makes RS256 signatures on all cores: the limit of issuance. signer is as
// AGENTIDP_SIGNER; go is Go's crypto/rsa whatever the build has.
func Sign(ctx context.Context, signer string, duration time.Duration) (Measurement, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return Measurement{}, err
	}
	signs, backend, callers, err := idpbench.Signer(key, signer)
	if err != nil {
		return Measurement{}, err
	}
	digest := sha256.Sum256([]byte("bench"))
	return of(load.Loop(ctx, callers, duration, func(context.Context) error {
		_, err := signs.Sign(rand.Reader, digest[:], crypto.SHA256)
		return err
	}), backend)
}

// Verify verifies one RS256 signature again and again on all cores: as the
// programs do, with the modulus kept, or with Go's crypto/rsa alone.
func Verify(ctx context.Context, pureGo bool, duration time.Duration) (Measurement, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return Measurement{}, err
	}
	digest := sha256.Sum256([]byte("bench"))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	if err != nil {
		return Measurement{}, err
	}
	kept, backend := token.NewKey(&key.PublicKey), "kept modulus"
	op := func(context.Context) error {
		if !kept.Verify(digest, signature) {
			return rsa.ErrVerification
		}
		return nil
	}
	if pureGo {
		backend = "crypto/rsa"
		op = func(context.Context) error {
			return rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], signature)
		}
	}
	return of(load.Loop(ctx, runtime.GOMAXPROCS(0), duration, op), backend)
}

// Append makes events durable, each caller waiting for its own, in a new log: in
// the PostgreSQL database of that URL or, without one, a SQLite file in the folder.
func Append(ctx context.Context, url, folder string, callers int, duration time.Duration) (m Measurement, err error) {
	log, err := idpbench.OpenLog(ctx, url, filepath.Join(folder, "append.db"))
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	before, err := log.Size(ctx)
	if err != nil {
		return m, err
	}
	loaded := load.Loop(ctx, callers, duration, log.Append)
	after, err := log.Size(ctx)
	if err != nil {
		return m, err
	}
	if after-before != loaded.Requests {
		return m, fmt.Errorf("%d events appended, and the log has %d more", loaded.Requests, after-before)
	}
	return of(loaded, "")
}
