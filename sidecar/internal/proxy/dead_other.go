//go:build !unix

package proxy

// pending cannot be told here; a request on a dead connection is answered 502.
func (c *upstreamConn) pending() bool { return false }
