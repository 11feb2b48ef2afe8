package httpx_test

import (
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/shared/httpx"
)

// waker reads as a connection of ours does, and counts what its socket is told.
type waker struct {
	net.Conn
	until httpx.ReadDeadline
	moved int
}

func (w *waker) SetReadDeadline(t time.Time) error {
	w.moved++
	return w.Conn.SetReadDeadline(t)
}

func (w *waker) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	for n == 0 && err != nil && w.until.Early(w, err) {
		n, err = w.Conn.Read(p)
	}
	return n, err
}

func TestReadDeadline(t *testing.T) {
	in := func(d time.Duration) time.Time { return time.Now().Add(d) }
	facts := map[string]func(t *testing.T, w *waker, peer net.Conn){
		"it ends a read when it is due, though it was moved": func(t *testing.T, w *waker, _ net.Conn) {
			require.NoError(t, w.until.Set(w, in(time.Second)))
			require.NoError(t, w.until.Set(w, in(time.Minute)))
			began := time.Now()
			_, err := w.Read(make([]byte, 1))
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			require.Equal(t, time.Minute, time.Since(began))
			require.Equal(t, 2, w.moved)
		},
		"a later one costs the socket nothing": func(t *testing.T, w *waker, peer net.Conn) {
			for range 1000 {
				require.NoError(t, w.until.Set(w, in(time.Minute)))
				require.NoError(t, w.until.Set(w, in(time.Second+time.Minute)))
				go func() { _, _ = peer.Write([]byte{1}) }()
				n, err := w.Read(make([]byte, 1))
				require.NoError(t, err)
				require.Equal(t, 1, n)
				time.Sleep(time.Millisecond)
			}
			require.Equal(t, 1, w.moved)
		},
		"one that passed while nobody read is not held against the next read": func(t *testing.T, w *waker, peer net.Conn) {
			require.NoError(t, w.until.Set(w, in(time.Second)))
			time.Sleep(time.Hour)
			require.NoError(t, w.until.Set(w, in(time.Second)))
			go func() { _, _ = peer.Write([]byte{1}) }()
			n, err := w.Read(make([]byte, 1))
			require.NoError(t, err)
			require.Equal(t, 1, n)
		},
		"an earlier one reaches a read under way": func(t *testing.T, w *waker, _ net.Conn) {
			require.NoError(t, w.until.Set(w, in(time.Hour)))
			time.AfterFunc(time.Second, func() { _ = w.until.Set(w, time.Unix(1, 0)) })
			began := time.Now()
			_, err := w.Read(make([]byte, 1))
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			require.Equal(t, time.Second, time.Since(began))
		},
		"none is none, whatever the socket still has": func(t *testing.T, w *waker, peer net.Conn) {
			require.NoError(t, w.until.Set(w, in(time.Second)))
			require.NoError(t, w.until.Set(w, time.Time{}))
			time.AfterFunc(24*time.Hour, func() { _, _ = peer.Write([]byte{1}) })
			n, err := w.Read(make([]byte, 1))
			require.NoError(t, err)
			require.Equal(t, 1, n)
			require.Equal(t, 2, w.moved)
		},
		"other errors are what they are": func(t *testing.T, w *waker, _ net.Conn) {
			require.NoError(t, w.until.Set(w, in(time.Second)))
			require.NoError(t, w.Close())
			_, err := w.Read(make([]byte, 1))
			require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
		},
	}
	for name, holds := range facts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, peer := net.Pipe()
				defer ours.Close()
				defer peer.Close()
				holds(t, &waker{Conn: ours}, peer)
			})
		})
	}
}
