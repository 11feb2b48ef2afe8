//go:build !unix

package upstream

type idleSocket struct{}

// pending cannot be told here; a request on a dead connection is answered 502.
func (c *Conn) pending() bool { return false }
