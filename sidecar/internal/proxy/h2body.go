package proxy

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/sentryagent/agentidp/shared/apierr"
)

// h2Body is the body of a request, at its pace and within its limit.
type h2Body struct {
	edge   *h2
	left   int64
	window time.Duration // 0: without a pace
	got    int           // in this window
}

// Read implements io.Reader; its errors are those of httpx.Body.
func (b *h2Body) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, apierr.New(apierr.PayloadTooLarge, "body")
	}
	if b.window > 0 && b.got >= minPace {
		b.got = 0
		if err := b.edge.stream.SetReadDeadline(time.Now().Add(b.window)); err != nil {
			return 0, err
		}
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1] // one byte more tells a body that ends at the limit from one that does not
	}
	n, err := b.edge.asked.Body.Read(p)
	b.left -= int64(n)
	b.got += n
	switch {
	case b.left < 0:
		return n - 1, apierr.New(apierr.PayloadTooLarge, "body")
	case errors.Is(err, io.EOF):
		return n, err
	case err == nil:
		if b.window > 0 && b.got >= minPace { // it would pass while the upstream takes its time, and end the body
			err = b.edge.stream.SetReadDeadline(time.Time{})
		}
		return n, err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return n, apierr.New(apierr.RequestTimeout, "body")
	}
	return n, io.ErrUnexpectedEOF // the stream was reset, or its length was not the declared one
}
