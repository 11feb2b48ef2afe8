package proxy

import "time"

// What a stream or tunnel that is cut may still say, it must say at once: some
// tenths of a second, which a loaded machine may take from any goroutine. The tests
// ask what is said, not how fast, and so they allow for it. A tunnel whose peer
// says nothing is what takes so long then.
func init() {
	const patience = 3 * time.Second
	tunnelGrace, closeWait, goneAfter, lastWords = patience, patience, patience, patience
	for _, e := range []*ending{&closed, &upstreamLeft, &silent, &badFrame, &bigMessage, &badUpstream, &defect} {
		e.grace = patience
	}
}
