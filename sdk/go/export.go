package agentidp

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// idleTimeout ends an export that brings nothing for so long.
const idleTimeout = time.Minute

// ExportFormat is the form of an export.
type ExportFormat string

// The forms. NDJSON can be verified without the IdP.
const (
	ExportNDJSON ExportFormat = "ndjson"
	ExportCSV    ExportFormat = "csv"
)

// Export streams the events that the filter leaves, oldest first, up to the
// latest checkpoint; Search looks at all of them. The caller closes it. A read error
// says that it is incomplete; it may be as long as the log, and fails when a minute
// brings nothing.
func (c *Client) Export(ctx context.Context, format ExportFormat, filter EventFilter) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	watch := time.AfterFunc(idleTimeout, cancel)
	do := get("/api/v1/audit/export", set(filter.query(), "format", string(format)))
	do.accept = "*/*"
	response, err := c.send(ctx, do, "")
	if err == nil && response.StatusCode != http.StatusOK {
		_, err = readAnswer(response, maxCall)
	}
	if err != nil {
		watch.Stop()
		cancel()
		return nil, err
	}
	return &export{body: response.Body, watch: watch, cancel: cancel}, nil
}

type export struct {
	body   io.ReadCloser
	watch  *time.Timer
	cancel context.CancelFunc
}

func (e *export) Read(p []byte) (int, error) {
	n, err := e.body.Read(p)
	e.watch.Reset(idleTimeout)
	if err != nil && err != io.EOF { //nolint:errorlint // io.Reader returns it as it is
		err = fmt.Errorf("agentidp: the export is incomplete: %w", err)
	}
	return n, err
}

func (e *export) Close() error {
	e.watch.Stop()
	err := e.body.Close()
	e.cancel()
	return err
}
