//go:build !unix

package proxy

// dead cannot be told here; a request on a dead connection is answered 502.
func (c *upstreamConn) dead() bool { return false }
