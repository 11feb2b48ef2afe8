package httpx

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/valyala/fasthttp"
)

var background = context.Background()

// ErrCut is wrapped by Serve's error when the drain time ended before all requests did.
var ErrCut = errors.New("connections were cut")

const (
	silence  = time.Second     // for a connection's first byte, when Serve ends
	patience = 5 * time.Second // for handlers to end whose connection was closed
)

// Serve serves the listener until ctx ends. It then stops accepting, closes idle
// connections, lets requests in flight and hijacked connections end for up to
// drain, and closes what is left. It returns when the server has let go
// of every connection, at the latest a few seconds after drain: nil, an error of
// the listener, or one that wraps ErrCut.
func Serve(ctx context.Context, server *fasthttp.Server, ln *Listener, drain time.Duration) error {
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	select {
	case err := <-served:
		ln.cut(func(*conn) bool { return true })
		return errors.Join(err, released(ln, patience))
	case <-ctx.Done():
	}

	// fasthttp would wait 5 s for connections that never sent a request.
	silent := time.AfterFunc(min(silence, drain/2), func() {
		ln.cut(func(c *conn) bool { return !c.heard.Load() && time.Since(c.since) >= silence })
	})
	defer silent.Stop()
	end := time.Now().Add(drain)
	limit, cancel := context.WithDeadline(background, end)
	defer cancel()
	late := server.ShutdownWithContext(limit) //nolint:contextcheck // ctx has ended; the drain has a time of its own
	_ = ln.Close()                            // closed already, unless the server had not begun to accept
	if errors.Is(late, context.DeadlineExceeded) {
		late = fmt.Errorf("%w: %d were open after %v", ErrCut, ln.Open(), drain)
	} else {
		// The last answers are on their way; hijacked connections are nothing that the server waits for.
		_ = released(ln, max(LingerTime, time.Until(end))) // what stays is cut
	}
	ln.cut(func(*conn) bool { return true })
	return errors.Join(late, <-served, released(ln, patience))
}

// released waits until the server has let go of every connection.
func released(ln *Listener, patience time.Duration) error {
	for end := time.Now().Add(patience); ln.Open() > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("%d connections have handlers that do not end", ln.Open())
		}
	}
	return nil
}
