package storetest

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// errFact is a caller's own error.
var errFact = errors.New("fact")

// put stores a setting named and valued alike: the smallest write there is.
func put(ctx context.Context, tx *store.Tx, name string) error {
	_, err := tx.Settings.PutIfAbsent(ctx, name, name)
	return err
}

// kept lists which of the names are stored.
func kept(t *testing.T, db store.DB, names ...string) []string {
	t.Helper()
	var found []string
	for _, name := range names {
		err := db.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Settings.Get(ctx, name)
			return err
		})
		if err == nil {
			found = append(found, name)
			continue
		}
		require.ErrorIs(t, err, idp.ErrNotFound)
	}
	return found
}

var transactionFacts = []fact{
	{"an error undoes everything and is returned as it is", func(t *testing.T, b Backend) {
		err := b.DB.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			require.NoError(t, put(ctx, tx, "a"))
			require.NoError(t, tx.Organizations.Insert(ctx, organization("acme")))
			return errFact
		})
		require.Equal(t, errFact, err)
		require.Empty(t, kept(t, b.DB, "a"))
		require.Empty(t, listOrganizations(t, b.DB, store.Page{Number: 1, Limit: 10}).Rows)
		require.Equal(t, errFact, b.DB.View(t.Context(), func(context.Context, *store.Tx) error { return errFact }))
	}},
	{"a panic undoes everything, goes on, and leaves the store usable", func(t *testing.T, b Backend) {
		require.PanicsWithValue(t, "fact", func() {
			_ = b.DB.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				require.NoError(t, put(ctx, tx, "a"))
				panic("fact")
			})
		})
		require.PanicsWithValue(t, "fact", func() {
			_ = b.DB.View(t.Context(), func(context.Context, *store.Tx) error { panic("fact") })
		})
		require.Empty(t, kept(t, b.DB, "a"))
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error { return put(ctx, tx, "b") })
		require.Equal(t, []string{"b"}, kept(t, b.DB, "a", "b"))
	}},
	{"a transaction sees its own writes", func(t *testing.T, b Backend) {
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error {
			require.NoError(t, tx.Organizations.Insert(ctx, organization("acme")))
			got, err := tx.Organizations.Get(ctx, "acme")
			require.Equal(t, organization("acme"), got)
			return err
		})
	}},
	{"a conflict leaves the transaction usable inside a savepoint", func(t *testing.T, b Backend) {
		insertOrganizations(t, b.DB, organization("acme"))
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error {
			err := tx.Savepoint(ctx, func(ctx context.Context) error {
				require.NoError(t, put(ctx, tx, "lost"))
				return tx.Organizations.Insert(ctx, organization("acme"))
			})
			require.ErrorIs(t, err, idp.ErrConflict)
			return put(ctx, tx, "b")
		})
		require.Equal(t, []string{"b"}, kept(t, b.DB, "lost", "b"))
	}},
	{"a savepoint's error undoes its own writes only", func(t *testing.T, b Backend) {
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error {
			for i, name := range []string{"a", "b", "c", "d"} {
				err := tx.Savepoint(ctx, func(ctx context.Context) error {
					require.NoError(t, put(ctx, tx, name))
					if i%2 == 1 {
						return errFact
					}
					return nil
				})
				if i%2 == 1 {
					require.Equal(t, errFact, err)
				} else {
					require.NoError(t, err)
				}
			}
			return put(ctx, tx, "e")
		})
		require.Equal(t, []string{"a", "c", "e"}, kept(t, b.DB, "a", "b", "c", "d", "e"))
	}},
	{"savepoints nest", func(t *testing.T, b Backend) {
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error {
			nested := func(names [3]string, inner, outer error) error {
				return tx.Savepoint(ctx, func(ctx context.Context) error {
					require.NoError(t, put(ctx, tx, names[0]))
					require.Equal(t, inner, tx.Savepoint(ctx, func(ctx context.Context) error {
						require.NoError(t, put(ctx, tx, names[1]))
						return inner
					}))
					require.NoError(t, put(ctx, tx, names[2]))
					return outer
				})
			}
			require.NoError(t, nested([3]string{"a", "b", "c"}, errFact, nil))
			require.Equal(t, errFact, nested([3]string{"d", "e", "f"}, nil, errFact))
			require.NoError(t, nested([3]string{"g", "h", "i"}, nil, nil))
			return nil
		})
		require.Equal(t, []string{"a", "c", "g", "h", "i"}, kept(t, b.DB, "a", "b", "c", "d", "e", "f", "g", "h", "i"))
	}},
	{"a recovered panic in a savepoint undoes its writes", func(t *testing.T, b Backend) {
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error {
			require.Panics(t, func() {
				_ = tx.Savepoint(ctx, func(ctx context.Context) error {
					require.NoError(t, put(ctx, tx, "a"))
					panic("fact")
				})
			})
			return put(ctx, tx, "b")
		})
		require.Equal(t, []string{"b"}, kept(t, b.DB, "a", "b"))
	}},
	{"a failed transaction takes its savepoints along", func(t *testing.T, b Backend) {
		refuse(t, b.DB, errFact, func(ctx context.Context, tx *store.Tx) error {
			require.NoError(t, tx.Savepoint(ctx, func(ctx context.Context) error { return put(ctx, tx, "a") }))
			return errFact
		})
		require.Empty(t, kept(t, b.DB, "a"))
	}},
	{"a view refuses every write", func(t *testing.T, b Backend) {
		_, a, c := seed(t, b.DB)
		for name, write := range everyWrite(a, c) {
			require.ErrorIs(t, b.DB.View(t.Context(), write), store.ErrReadOnly, name)
			require.ErrorIs(t, b.DB.Read(t.Context(), write), store.ErrReadOnly, name)
		}
		require.NoError(t, b.DB.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			return tx.Savepoint(ctx, func(ctx context.Context) error {
				_, err := tx.Organizations.Get(ctx, "acme")
				return err
			})
		}))
	}},
	{"each read sees what was committed before it, a view does not", func(t *testing.T, b Backend) {
		setting := func(ctx context.Context, tx *store.Tx, name string) error {
			_, err := tx.Settings.Get(ctx, name)
			return err
		}
		var over []*store.Tx
		between := func(name string) func(context.Context, *store.Tx) error {
			return func(ctx context.Context, tx *store.Tx) error {
				over = append(over, tx)
				require.ErrorIs(t, setting(ctx, tx, name), idp.ErrNotFound)
				update(t, b.DB, func(ctx context.Context, tx *store.Tx) error { return put(ctx, tx, name) })
				return setting(ctx, tx, name)
			}
		}
		require.ErrorIs(t, b.DB.View(t.Context(), between("view")), idp.ErrNotFound)
		require.NoError(t, b.DB.Read(t.Context(), between("read")))
		require.Equal(t, errFact, b.DB.Read(t.Context(), func(context.Context, *store.Tx) error { return errFact }))
		for _, tx := range over {
			err := setting(t.Context(), tx, "read")
			require.Error(t, err, "the transaction is over")
			require.NotErrorIs(t, err, idp.ErrNotFound)
		}
	}},
	{"a context that has ended is refused and nothing runs", func(t *testing.T, b Backend) {
		ended, end := context.WithCancel(t.Context())
		end()
		run := func(context.Context, *store.Tx) error { t.Error("ran"); return nil }
		require.ErrorIs(t, b.DB.Update(ended, run), context.Canceled)
		require.ErrorIs(t, b.DB.Read(ended, run), context.Canceled)
		require.ErrorIs(t, b.DB.View(ended, run), context.Canceled)
	}},
	{"a context that ends meanwhile undoes everything", func(t *testing.T, b Backend) {
		ctx, end := context.WithCancel(t.Context())
		require.ErrorIs(t, b.DB.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
			require.NoError(t, put(ctx, tx, "a"))
			end()
			require.ErrorIs(t, put(ctx, tx, "b"), context.Canceled)
			return nil
		}), context.Canceled)
		require.Empty(t, kept(t, b.DB, "a", "b"))
	}},
	{"what was committed is there after reopening", func(t *testing.T, b Backend) {
		o, a, c := seed(t, b.DB)
		appendEvents(t, b.DB, event(0))
		grow(t, b.DB, 1)
		reopened := b.Reopen(t)
		require.Equal(t, o, getOrganization(t, reopened, "acme"))
		require.Equal(t, a, getAgent(t, reopened, "acme", a.ID))
		require.Equal(t, c, getCredential(t, reopened, a.ID, c.ID))
		require.Equal(t, event(0), getEvent(t, reopened, "acme", event(0).ID))
		require.Equal(t, int64(1), treeSize(t, reopened))
		require.NoError(t, reopened.Ping(t.Context()))
	}},
	{"a closed store refuses", func(t *testing.T, b Backend) {
		require.NoError(t, b.DB.Ping(t.Context()))
		require.NoError(t, b.DB.Close())
		nothing := func(context.Context, *store.Tx) error { return nil }
		require.ErrorIs(t, b.DB.Update(t.Context(), nothing), store.ErrUnavailable)
		require.ErrorIs(t, b.DB.View(t.Context(), nothing), store.ErrUnavailable)
		require.ErrorIs(t, b.DB.Read(t.Context(), nothing), store.ErrUnavailable)
		require.ErrorIs(t, b.DB.Ping(t.Context()), store.ErrUnavailable)
		require.NoError(t, b.DB.Close())
	}},
}

// everyWrite names every writing call of the contract.
func everyWrite(a idp.Agent, c idp.Credential) map[string]work {
	return map[string]work{
		"organization insert": func(ctx context.Context, tx *store.Tx) error { return tx.Organizations.Insert(ctx, organization("x")) },
		"organization update": func(ctx context.Context, tx *store.Tx) error {
			return tx.Organizations.Update(ctx, organization("acme"))
		},
		"organization epoch": func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Organizations.RaiseEpoch(ctx, "acme")
			return err
		},
		"agent insert":      func(ctx context.Context, tx *store.Tx) error { return tx.Agents.Insert(ctx, agent("acme", "x")) },
		"agent update":      func(ctx context.Context, tx *store.Tx) error { return tx.Agents.Update(ctx, a) },
		"credential insert": func(ctx context.Context, tx *store.Tx) error { return tx.Credentials.Insert(ctx, credential(a, "x")) },
		"credential update": func(ctx context.Context, tx *store.Tx) error { return tx.Credentials.Update(ctx, c) },
		"admit":             func(ctx context.Context, tx *store.Tx) error { _, err := tx.Admissions.Admit(ctx, nil); return err },
		"event append": func(ctx context.Context, tx *store.Tx) error {
			return tx.Events.Append(ctx, []store.EventRow{event(0)})
		},
		"tree append":     func(ctx context.Context, tx *store.Tx) error { return tx.Tree.Append(ctx, 0, [][32]byte{{}}, 1) },
		"tree checkpoint": func(ctx context.Context, tx *store.Tx) error { return tx.Tree.SaveCheckpoint(ctx, checkpoint(1)) },
		"revocation append": func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Revocations.Append(ctx, idp.Revocation{Type: idp.RevokeKID, At: noon})
			return err
		},
		"revocation prune": func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Revocations.Prune(ctx, noon, noon)
			return err
		},
		"key insert": func(ctx context.Context, tx *store.Tx) error { return tx.Keys.Insert(ctx, key("x")) },
		"key status": func(ctx context.Context, tx *store.Tx) error {
			return tx.Keys.SetStatus(ctx, "x", store.KeyActive, noon)
		},
		"idempotency insert": func(ctx context.Context, tx *store.Tx) error { return tx.Idempotency.Insert(ctx, record("x")) },
		"idempotency delete": func(ctx context.Context, tx *store.Tx) error {
			return tx.Idempotency.Delete(ctx, record("x").IdempotencyKey)
		},
		"idempotency prune": func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Idempotency.Prune(ctx, noon)
			return err
		},
		"assertion prune": func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Assertions.Prune(ctx, noon)
			return err
		},
		"sidecar put":           func(ctx context.Context, tx *store.Tx) error { return tx.Sidecars.Put(ctx, sidecar("agent", "x")) },
		"setting put if absent": func(ctx context.Context, tx *store.Tx) error { return put(ctx, tx, "x") },
	}
}
