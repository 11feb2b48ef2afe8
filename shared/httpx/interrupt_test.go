package httpx_test

import (
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/httpx"
)

// A write after an interruption has its own time, however short ago the last one was.
func TestInterrupt(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ln := httpx.NewListener(inner, httpx.ListenOptions{})
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	defer client.Close()
	c, err := ln.Accept()
	require.NoError(t, err)
	_, err = io.WriteString(c, "first ")
	require.NoError(t, err)
	reading := make(chan error, 1)
	go func() { _, err := c.Read(make([]byte, 1)); reading <- err }()
	httpx.Interrupt(c)
	require.ErrorIs(t, <-reading, io.EOF)
	_, err = io.WriteString(c, "second")
	require.NoError(t, err)

	// One under way ends.
	writing := make(chan error, 1)
	go func() {
		var err error
		for block := make([]byte, 1<<20); err == nil; {
			_, err = c.Write(block)
		}
		writing <- err
	}()
	got := make([]byte, len("first second"))
	_, err = io.ReadFull(client, got)
	require.NoError(t, err)
	require.Equal(t, "first second", string(got))
	eventually(t, func() bool {
		httpx.Interrupt(c)
		select {
		case err = <-writing:
			return true
		default:
			return false
		}
	}, "the write ends")
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout())
	require.NoError(t, c.Close())
}
