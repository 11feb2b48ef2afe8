package proxy

import (
	"context"
	"io"
)

// edge is the side of an exchange that faces its client. A request is judged
// and forwarded the same way whichever protocol it came by; what differs is here.
type edge interface {
	// context ends when nobody waits for the answer any more, as far as the
	// protocol lets the server know by itself.
	context() context.Context
	// closes makes this the last request of its connection, where requests come
	// one after another. doubtful: what follows it may be none at all.
	closes(doubtful bool)
	// body gives the request's body, of at most MaxBody bytes, which from now on
	// must come at its pace. An error says that it is announced longer.
	body() (io.Reader, error)
	// unread ends reading of that body, if somebody still does and it can be
	// ended; nobody will read on.
	unread()
	// cutShort reports whether the end of a body of no declared length is only
	// that of the connection.
	cutShort() bool
	// watch gives what tells whether the client is gone, and what ends whatever
	// waits for it; both are for another goroutine, until the exchange settles.
	watch() (gone func() bool, cut func())
	// refuse answers with a refusal that was recorded.
	refuse(r *refusal)
	// relay answers with what the upstream said, and ends the exchange with it.
	relay(a *answered)
}
