package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"

	"github.com/jackc/pgx/v5"
)

// ErrUnreachable says that there is nobody to talk to at the address, or a server
// that takes no connections now. What a server says of the login, the database or
// the certificate is not among it: that does not go away by itself.
var ErrUnreachable = errors.New("the server cannot be reached")

// reach sees whether the server answers, no longer than serving waits for it:
// migrations have more patience with a silent address.
func reach(ctx context.Context, o *Options) error {
	config, err := poolConfig(o.direct(), minimalConns, true)
	if err != nil {
		return err
	}
	o.relax(config)
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return unreached(err)
	}
	_ = conn.Close(ctx) // it has answered
	return nil
}

// unreached marks what connecting failed with as ErrUnreachable, if it is that.
func unreached(err error) error {
	if !unreachable(err) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}

func unreachable(err error) bool {
	if state := code(err); state != "" {
		return unavailable(state)
	}
	var operation *net.OpError
	if errors.As(err, &operation) && slices.Contains(alerts, operation.Op) {
		return false
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// alerts are the operations by which crypto/tls tells of a handshake that one
// side has refused: the certificate is wrong, not the network.
var alerts = []string{"remote error", "local error"}
