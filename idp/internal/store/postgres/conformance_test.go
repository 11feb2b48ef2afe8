package postgres

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/idp/internal/store/storetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Backend { return backend(t, fresh(t), Options{}) })
}

// backend opens the database at the address; o.URL may lead there another way.
func backend(t *testing.T, address string, o Options) storetest.Backend {
	if o.URL == "" {
		o.URL = address
	}
	s := openWith(t, o)
	return storetest.Backend{
		DB: s,
		Reopen: func(t *testing.T) store.DB {
			require.NoError(t, s.Close())
			return openWith(t, o)
		},
		Exec: func(ctx context.Context, statement string) error { return execute(ctx, address, statement) },
	}
}
