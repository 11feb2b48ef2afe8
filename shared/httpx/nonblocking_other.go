//go:build !linux || !(amd64 || arm64)

package httpx

import "net"

// NonBlocking leaves all to net.Conn here.
type NonBlocking struct{}

// Open does nothing.
func (*NonBlocking) Open(net.Conn) {}

// Send takes nothing.
func (*NonBlocking) Send([]byte) int { return 0 }

// Receive reads nothing.
func (*NonBlocking) Receive([]byte) (n int, err error) { return 0, nil }

// Ask sends nothing.
func (*NonBlocking) Ask(_, _ []byte) (sent, n int, err error) { return 0, 0, nil }
