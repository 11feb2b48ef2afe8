package verify

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// fetchTimeout is of one fetch, with its answer.
const fetchTimeout = 10 * time.Second

// wanted is a document to fetch.
type wanted struct {
	address, accept string
	etag            string // of the copy that the caller has; empty: it has none
	limit           int64  // bytes
}

// document is what a fetch brought.
type document struct {
	body []byte
	etag string // empty: it has none
	same bool   // as the caller's copy; there is no body then
}

// get fetches a document. Only a 200 is one, and a 304 for the caller's copy.
func get(ctx context.Context, client *http.Client, want wanted) (document, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, want.address, nil)
	if err != nil {
		return document{}, fmt.Errorf("fetch: %w", err)
	}
	request.Header.Set("Accept", want.accept)
	if want.etag != "" {
		request.Header.Set("If-None-Match", want.etag)
	}
	response, err := client.Do(request)
	if err != nil {
		return document{}, fmt.Errorf("fetch: %w", err)
	}
	defer response.Body.Close() //nolint:errcheck // read as far as wanted
	if response.StatusCode == http.StatusNotModified && want.etag != "" {
		return document{same: true}, nil
	}
	if response.StatusCode != http.StatusOK {
		return document{}, fmt.Errorf("fetch: status %d", response.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, want.limit+1))
	if err != nil {
		return document{}, fmt.Errorf("fetch: %w", err)
	}
	if int64(len(body)) > want.limit {
		return document{}, fmt.Errorf("fetch: more than %d bytes", want.limit)
	}
	return document{body: body, etag: response.Header.Get("ETag")}, nil
}
