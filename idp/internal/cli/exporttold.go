package cli

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

const tellEvery = 10 * time.Second

// told is an export whose reader waits at a terminal: a rare event in a long log
// may be minutes away, and the file appears only when it is whole.
type told struct {
	from  io.Reader
	bytes atomic.Int64
	done  chan struct{}
}

// telling says to w, every now and then, how far the export from is. Close ends that.
func telling(w io.Writer, from io.Reader) *told {
	t := &told{from: from, done: make(chan struct{})}
	began, tick := time.Now(), time.NewTicker(tellEvery)
	go func() {
		defer tick.Stop()
		for {
			select {
			case <-t.done:
				return
			case <-tick.C:
				fmt.Fprintf(w, "the IdP is still looking through the log: %d bytes in %s\n", t.bytes.Load(), time.Since(began).Round(time.Second))
			}
		}
	}()
	return t
}

// Read implements io.Reader.
func (t *told) Read(p []byte) (int, error) {
	n, err := t.from.Read(p)
	t.bytes.Add(int64(n))
	return n, err
}

func (t *told) Close() { close(t.done) }
