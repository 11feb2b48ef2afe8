package idpbench

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/issuer"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/revocation"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/feed"
)

// Feed is the revocation feed over a log and its store, as the IdP serves it.
type Feed struct {
	log     *Log
	service *revocation.Service
	actor   registry.Actor
}

// OpenFeed opens the feed of an empty store: the PostgreSQL database of that
// URL, or the SQLite file of that path.
func OpenFeed(ctx context.Context, url, path string) (*Feed, error) {
	log, err := OpenLog(ctx, url, path)
	if err != nil {
		return nil, err
	}
	f := &Feed{log: log}
	if err := f.found(ctx); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return f, nil
}

// found makes what a revocation needs: a key, and an administrator who may.
func (f *Feed) found(ctx context.Context) error {
	sealer, err := issuer.NewSealer(make([]byte, issuer.MasterKeySize))
	if err != nil {
		return err
	}
	keys, err := issuer.Open(ctx, f.log.db, sealer, issuer.Auto, time.Now)
	if err != nil {
		return err
	}
	commit := func(ctx context.Context, change func(context.Context, *store.Tx) ([]idp.Event, error)) error {
		return f.log.log.Commit(ctx, change)
	}
	if err := keys.EnsureKey(ctx, commit); err != nil {
		return err
	}
	agents := registry.New(registry.Options{DB: f.log.db, Log: f.log.log, Hasher: unproven{}})
	first, err := agents.EnsureBootstrap(ctx, registry.BootstrapInput{})
	if err != nil {
		return err
	}
	if first == nil {
		return errors.New("the store is not empty")
	}
	f.actor = registry.Actor{
		AgentID: first.Administrator.ID, OrganizationID: first.Administrator.OrganizationID, ClientID: first.Credential.ClientID,
		JTI: "bench", KID: keys.ActiveKID(), Capabilities: first.Administrator.Capabilities,
	}
	f.service, err = revocation.Open(ctx, revocation.Options{
		DB: f.log.db, Log: f.log.log, Keys: keys.Keys(), Signer: keys, Issuer: "https://bench.example.com",
	})
	return err
}

// unproven is for a secret that nobody will prove.
type unproven struct{}

func (unproven) Hash(context.Context, string, string) (idp.SecretHash, error) {
	return idp.SecretHash{Scheme: "none", Encoded: "none"}, nil
}

// News is the answer to a poll.
type News struct {
	Cursor  string // where to go on
	Entries int    // 0: the wait is over
	Bytes   int    // of the answer's body
}

// Start is where the feed is now, and the bytes of a signed snapshot of it.
func (f *Feed) Start(ctx context.Context) (cursor string, snapshot int, err error) {
	whole, err := f.service.Poll(ctx, "", 0)
	if err != nil {
		return "", 0, err
	}
	at := News{Cursor: feed.Cursor{Epoch: f.service.Epoch()}.String(), Entries: 1}
	for at.Entries > 0 && err == nil { // to the newest, a page at a time
		at, err = f.Poll(ctx, at.Cursor, 0)
	}
	return at.Cursor, len(whole.Snapshot), err
}

// Poll waits for what happens after the cursor, as the API does for one sidecar.
func (f *Feed) Poll(ctx context.Context, cursor string, wait time.Duration) (News, error) {
	answer, err := f.service.Poll(ctx, cursor, wait)
	switch {
	case err != nil:
		return News{}, err
	case answer.Page == nil:
		return News{}, errors.New("the feed gave a snapshot in place of news")
	}
	return News{Cursor: answer.Page.Cursor, Entries: len(answer.Page.Entries), Bytes: len(answer.Body)}, nil
}

// Revoke cuts off a token that nobody has, and returns once that is durable.
func (f *Feed) Revoke(ctx context.Context) error {
	_, _, err := f.service.Create(ctx, f.actor, revocation.NewRevocation{Type: string(idp.RevokeJTI), ID: rand.Text()})
	return err
}

// Close ends the feed, its log and its store. No poll may be waiting.
func (f *Feed) Close() error { return f.log.Close() }
