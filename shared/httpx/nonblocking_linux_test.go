//go:build amd64 || arm64

package httpx_test

import (
	"io"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/httpx"
)

// sockets is a connection and its peer.
func sockets(t *testing.T) (s *httpx.NonBlocking, ours, peer *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, ln.Close()) }()
	dialled, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	accepted, err := ln.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = dialled.Close(), accepted.Close() })
	s = &httpx.NonBlocking{}
	s.Open(dialled)
	return s, dialled.(*net.TCPConn), accepted.(*net.TCPConn)
}

func TestNonBlocking(t *testing.T) {
	room := make([]byte, 64<<10)
	facts := map[string]func(t *testing.T, s *httpx.NonBlocking, ours, peer *net.TCPConn){
		"what is sent arrives": func(t *testing.T, s *httpx.NonBlocking, _, peer *net.TCPConn) {
			require.Equal(t, 5, s.Send([]byte("hello")))
			got := make([]byte, 5)
			_, err := io.ReadFull(peer, got)
			require.NoError(t, err)
			require.Equal(t, "hello", string(got))
		},
		"it takes no more than the socket does, and nothing large": func(t *testing.T, s *httpx.NonBlocking, ours, _ *net.TCPConn) {
			require.Zero(t, s.Send(room))
			require.Zero(t, s.Send(nil))
			for s.Send(room[:16<<10]) == 16<<10 {
			}
			require.NoError(t, ours.SetWriteDeadline(time.Now().Add(10*time.Millisecond)))
			_, err := ours.Write(room)
			require.ErrorIs(t, err, os.ErrDeadlineExceeded, "the rest has net.Conn's deadline")
		},
		"it waits for what comes": func(t *testing.T, s *httpx.NonBlocking, _, peer *net.TCPConn) {
			for _, text := range []string{"a", "bc"} {
				time.AfterFunc(5*time.Millisecond, func() { _, _ = io.WriteString(peer, text) })
				n, err := s.Receive(room)
				require.NoError(t, err)
				require.Equal(t, text, string(room[:n]))
			}
		},
		"it waits until the deadline": func(t *testing.T, s *httpx.NonBlocking, ours, _ *net.TCPConn) {
			for range 2 { // the second begins behind it
				require.NoError(t, ours.SetReadDeadline(time.Now().Add(5*time.Millisecond)))
				_, err := s.Receive(room)
				require.ErrorIs(t, err, os.ErrDeadlineExceeded)
				sent, _, err := s.Ask([]byte("ask"), room)
				require.ErrorIs(t, err, os.ErrDeadlineExceeded)
				require.Zero(t, sent)
			}
		},
		"the end is an end": func(t *testing.T, s *httpx.NonBlocking, _, peer *net.TCPConn) {
			require.NoError(t, peer.CloseWrite())
			for range 2 {
				_, err := s.Receive(room)
				require.ErrorIs(t, err, io.EOF)
			}
		},
		"a reset is none": func(t *testing.T, s *httpx.NonBlocking, _, peer *net.TCPConn) {
			require.NoError(t, peer.SetLinger(0))
			require.NoError(t, peer.Close())
			_, err := s.Receive(room)
			require.ErrorIs(t, err, syscall.ECONNRESET)
		},
		"one that was closed": func(t *testing.T, s *httpx.NonBlocking, ours, _ *net.TCPConn) {
			time.AfterFunc(5*time.Millisecond, func() { _ = ours.Close() })
			_, err := s.Receive(room)
			require.ErrorIs(t, err, net.ErrClosed)
			require.Zero(t, s.Send([]byte("x")))
		},
		"a question and its answer": func(t *testing.T, s *httpx.NonBlocking, _, peer *net.TCPConn) {
			go func() { _, _ = io.Copy(peer, peer) }()
			for _, text := range []string{"one", "another"} {
				sent, n, err := s.Ask([]byte(text), room)
				require.NoError(t, err)
				require.Equal(t, len(text), sent)
				require.Equal(t, text, string(room[:n]))
			}
		},
		"a question that does not fit": func(t *testing.T, s *httpx.NonBlocking, ours, _ *net.TCPConn) {
			sent, _, err := s.Ask(room, room)
			require.NoError(t, err)
			require.Zero(t, sent)
			question := room[:16<<10]
			for sent = len(question); sent == len(question); { // until the kernel makes no more room behind our back
				for s.Send(question) == len(question) {
				}
				require.NoError(t, ours.SetReadDeadline(time.Now().Add(5*time.Second)))
				var n int
				sent, n, err = s.Ask(question, slices.Clone(room))
				require.Zero(t, n)
			}
			require.NoError(t, err, "and nothing was waited for")
		},
	}
	for name, holds := range facts {
		t.Run(name, func(t *testing.T) {
			s, ours, peer := sockets(t)
			holds(t, s, ours, peer)
		})
	}
}

func TestNonBlockingOfOthers(t *testing.T) {
	var s httpx.NonBlocking
	ours, _ := net.Pipe()
	s.Open(ours)
	require.Zero(t, s.Send([]byte("x")))
	n, err := s.Receive(make([]byte, 1))
	require.NoError(t, err)
	require.Zero(t, n)
	sent, n, err := s.Ask([]byte("x"), make([]byte, 1))
	require.NoError(t, err)
	require.Zero(t, sent+n)
}
