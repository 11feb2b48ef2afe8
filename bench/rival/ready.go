package rival

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// ready waits until the rival answers anything: one that verifies refuses us.
func (r *Rival) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for {
		if _, err := ask(ctx, r.URL()+"/", ""); err == nil {
			return nil
		}
		select {
		case <-r.ended:
			return fmt.Errorf("it ended before it was ready: %w", errors.Join(r.err, errors.New("its output says why")))
		case <-ctx.Done():
			return fmt.Errorf("it is not ready: %w", ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// ask is one request on a connection of its own; token may be "".
func ask(ctx context.Context, url, token string) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	request.Close = true
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}
