// Package idpbench lets the benchmark reach what only code inside the IdP can:
// the signing backend, the audit log on its store, and an IdP whose audit log is
// a stub. It is linked into no product.
package idpbench

import (
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/auditlog"
	"github.com/sentryagent/agentidp/idp/internal/issuer"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/postgres"
	"github.com/sentryagent/agentidp/idp/internal/store/sqlite"
)

// Signer signs with the key as an IdP of the same build does whose
// AGENTIDP_SIGNER is that. backend is as the IdP's start line has it, and callers
// how many keep it busy.
func Signer(key *rsa.PrivateKey, name string) (signer crypto.Signer, backend string, callers int, err error) {
	s := issuer.Signer(name)
	if !s.Valid() {
		return nil, "", 0, fmt.Errorf("signer %.50q: must be one of %v", name, issuer.Signers())
	}
	signer, err = s.Open(key)
	return signer, s.Backend(), s.AtOnce(), err
}

// Log is an audit log on a store of its own.
type Log struct {
	log   *auditlog.Log
	db    store.DB
	stop  context.CancelFunc
	ended chan error
}

// OpenLog opens a log on an empty store: the PostgreSQL database of that URL, or
// the SQLite file of that path.
func OpenLog(ctx context.Context, url, path string) (*Log, error) {
	db, err := open(ctx, url, path)
	if err != nil {
		return nil, err
	}
	sealer, err := issuer.NewSealer(make([]byte, issuer.MasterKeySize))
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	key, err := auditlog.OpenCheckpointKey(ctx, db, sealer, "bench.example.com/audit", time.Now)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	l := &Log{log: auditlog.New(db, key, auditlog.Options{Logger: slog.New(slog.DiscardHandler)}), db: db, stop: stop, ended: make(chan error, 1)}
	go func() { l.ended <- l.log.Run(running) }()
	if err := l.Append(ctx); err != nil { // the first one makes what the others find
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func open(ctx context.Context, url, path string) (store.DB, error) {
	if url != "" {
		return postgres.Open(ctx, postgres.Options{URL: url, Migrate: true})
	}
	return sqlite.Open(ctx, path)
}

// Append returns once one event, as issuance writes it, is durable. It is safe
// for concurrent use.
func (l *Log) Append(ctx context.Context) error {
	return l.log.Append(ctx, idp.Event{
		OrganizationID: idp.OperatorOrganization, AgentID: "6f1c0d8e-3c1b-4f6e-9a55-0f6c6f0b7a11", Action: idp.ActionTokenIssued, Outcome: idp.Success,
		Origin:   idp.Origin{IPAddress: "203.0.113.7", UserAgent: "agentidp-bench", RequestID: "4bf92f3577b34da6a3ce929d0e0e4736"},
		Metadata: map[string]any{"jti": "8c7b1f5e-9d0a-4c57-8c1d-2f4b6a7e9c10", "scope": "notes:read", "credentialId": "d2b7c1de-5a0f-4bb0-9c51-7e2f0a3b8d4c"},
	})
}

// Size is the number of durable events.
func (l *Log) Size(ctx context.Context) (size int64, err error) {
	err = l.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		size, err = tx.Tree.Size(ctx)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("size of the log: %w", err)
	}
	return size, nil
}

// Close writes what is queued and closes the store.
func (l *Log) Close() error {
	l.stop()
	return errors.Join(<-l.ended, l.db.Close())
}
