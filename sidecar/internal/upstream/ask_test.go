package upstream

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// lineTo connects as a server's dial does; serve gets the other end.
func lineTo(t *testing.T, serve func(net.Conn)) *Conn {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan struct{})
	go func() {
		defer close(served)
		peer, err := ln.Accept()
		if err != nil {
			return
		}
		defer func() { _ = peer.Close() }()
		serve(peer)
	}()
	socket, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	c := &Conn{Conn: socket, limit: time.Minute}
	c.direct.Open(socket)
	c.forget = context.AfterFunc(t.Context(), func() {})
	c.raw, err = socket.(syscall.Conn).SyscallConn()
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = c.Close(), ln.Close(); <-served })
	return c
}

// echo answers n bytes once it has read size of them, each time.
func echo(size, n int) func(net.Conn) {
	return func(peer net.Conn) {
		buffer := make([]byte, size)
		for {
			if _, err := io.ReadFull(peer, buffer); err != nil {
				return
			}
			if _, err := peer.Write(buffer[:n]); err != nil {
				return
			}
		}
	}
}

func TestAskWritesAllAndTheAnswerCanBeRead(t *testing.T) {
	for _, size := range []int{1, 900, 16 << 20} { // the last is more than a socket takes at once
		c, answer := lineTo(t, echo(size, 1)), make([]byte, 1)
		for range 3 {
			c.sent = 0
			require.NoError(t, c.Ask(make([]byte, size), time.Minute))
			_, err := io.ReadFull(c, answer)
			require.NoError(t, err)
			require.EqualValues(t, size, c.Sent())
		}
	}
}

func TestAskEndsWithItsDeadline(t *testing.T) {
	c := lineTo(t, func(peer net.Conn) { _, _ = io.Copy(io.Discard, peer) })
	require.NoError(t, c.Ask([]byte("request"), 10*time.Millisecond))
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

// The socket may still have the deadline of the request before.
func TestAskAfterADeadlineThatPassed(t *testing.T) {
	c, answer := lineTo(t, echo(7, 1)), make([]byte, 1)
	require.NoError(t, c.Await(time.Millisecond))
	require.Eventually(t, func() bool { return errors.Is(c.raw.Read(func(uintptr) bool { return false }), os.ErrDeadlineExceeded) }, 10*time.Second, time.Millisecond)
	require.NoError(t, c.Ask([]byte("request"), time.Minute))
	_, err := io.ReadFull(c, answer)
	require.NoError(t, err)
}

func TestAskEndsWithTheConnection(t *testing.T) {
	c := lineTo(t, func(peer net.Conn) { _, _ = peer.Read(make([]byte, 7)) })
	require.NoError(t, c.Ask([]byte("request"), time.Minute))
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.Eventually(t, func() bool {
		require.NoError(t, c.Ask([]byte("more"), time.Minute))
		_, err := c.Read(make([]byte, 1))
		return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
	}, 10*time.Second, time.Millisecond, "writing tells")

	c = lineTo(t, func(peer net.Conn) { _, _ = io.Copy(io.Discard, peer) })
	asked := make(chan error, 1)
	go func() {
		_, err := io.ReadFull(c, make([]byte, 1))
		asked <- errors.Join(err, c.Ask([]byte("request"), time.Minute))
	}()
	_ = c.Conn.Close() // as a live exchange that is cut off does, at any moment
	require.ErrorIs(t, <-asked, net.ErrClosed)
	_, err = c.Read(make([]byte, 1))
	require.ErrorIs(t, err, net.ErrClosed)
}

// What an upstream answers to a part of a request, which it would not read on, is
// no answer: the rest would be the beginning of the next request on the line.
func TestNothingAnswersAPartOfARequest(t *testing.T) {
	cut := make(chan struct{})
	c := lineTo(t, func(peer net.Conn) {
		<-cut
		_, _ = io.WriteString(peer, "HTTP/1.1 204 No Content\r\n\r\n")
		_, _ = io.Copy(io.Discard, peer)
	})
	c.limit = 20 * time.Millisecond
	require.NoError(t, c.Ask(make([]byte, 16<<20), time.Minute))
	_, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "of the write, not of the answer")
	close(cut)
	require.NoError(t, c.Await(time.Minute))
	n, err := c.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.Zero(t, n)
}
