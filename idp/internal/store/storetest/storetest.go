// Package storetest holds a store backend to the contract that package store
// states in its comments. Every backend, and every wrapper around one, passes
// the same suite.
package storetest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

// Backend is one store under test. The function that makes it registers its
// cleanup with t.
type Backend struct {
	// DB is fresh and empty.
	DB store.DB
	// Reopen closes the open DB and opens the same data again.
	Reopen func(t *testing.T) store.DB
	// Exec runs one SQL statement past the store, as an insider would who can
	// reach the database. The suite names the tables events, checkpoints and
	// pruned_segments, with columns sequence, size and segment.
	Exec func(ctx context.Context, statement string) error
}

// fact is one thing that holds for every backend; it gets a store of its own.
type fact struct {
	name  string
	check func(t *testing.T, b Backend)
}

// Run checks every fact, each on a store that open makes for it.
func Run(t *testing.T, open func(t *testing.T) Backend) {
	for _, group := range []struct {
		name  string
		facts []fact
	}{
		{"transactions", transactionFacts},
		{"concurrency", concurrencyFacts},
		{"organizations", organizationFacts},
		{"agents", agentFacts},
		{"agent list", agentListFacts},
		{"agent order", agentOrderFacts},
		{"credentials", credentialFacts},
		{"admissions", admissionFacts},
		{"quota", quotaFacts},
		{"events", eventFacts},
		{"tree", treeFacts},
		{"retention", retentionFacts},
		{"revocations", revocationFacts},
		{"keys", keyFacts},
		{"sidecars", sidecarFacts},
		{"idempotency", idempotencyFacts},
		{"assertions", assertionFacts},
		{"settings", settingFacts},
		{"stats", statFacts},
		{"counts", countFacts},
		{"status lists", statusListFacts},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, f := range group.facts {
				t.Run(f.name, func(t *testing.T) { f.check(t, open(t)) })
			}
		})
	}
}

type work = func(ctx context.Context, tx *store.Tx) error

// update demands that the transaction commits.
func update(t *testing.T, db store.DB, fn work) {
	t.Helper()
	require.NoError(t, db.Update(t.Context(), fn))
}

// refuse demands that the transaction fails with the error.
func refuse(t *testing.T, db store.DB, want error, fn work) {
	t.Helper()
	require.ErrorIs(t, db.Update(t.Context(), fn), want)
}

// read returns what fn reads in a view.
func read[T any](t *testing.T, db store.DB, fn func(ctx context.Context, tx *store.Tx) (T, error)) T {
	t.Helper()
	var got T
	require.NoError(t, db.View(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
		got, err = fn(ctx, tx)
		return err
	}))
	return got
}

// absent demands that what fn reads is answered with the error.
func absent[T any](t *testing.T, db store.DB, want error, fn func(ctx context.Context, tx *store.Tx) (T, error)) {
	t.Helper()
	require.ErrorIs(t, db.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := fn(ctx, tx)
		return err
	}), want)
}
