package httpapi

import (
	"slices"
	"time"
)

const (
	pulseEvery = 20 * time.Second // well within the minute after which clients and proxies take a silent answer for dead
	pulseHeld  = 256              // bytes: more than an hour of silence
)

// pulse holds back the last bytes of a stream and gives them away one by one
// while nothing else comes. CSV has no line that says nothing, so a byte of the
// line before is what shows that the export goes on. The zero value is ready.
type pulse struct {
	held []byte
	beat time.Time // when something was given last
}

// give takes a piece, which may be empty, and returns what to write now.
func (p *pulse) give(piece []byte, now time.Time) []byte {
	if len(piece) > 0 {
		p.held, p.beat = slices.Concat(p.held, piece), now
		return p.take(max(1, len(p.held)-pulseHeld))
	}
	if len(p.held) == 0 || now.Sub(p.beat) < pulseEvery {
		return nil
	}
	p.beat = now
	return p.take(1)
}

// end returns what is still held.
func (p *pulse) end() []byte { return p.take(len(p.held)) }

func (p *pulse) take(n int) []byte {
	taken := p.held[:n]
	p.held = p.held[n:]
	return taken
}
