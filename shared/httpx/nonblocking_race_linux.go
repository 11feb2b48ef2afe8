//go:build (amd64 || arm64) && race

package httpx

import (
	"errors"
	"syscall"
)

// The race detector learns from these calls, not from raw ones, that what was
// sent happened before it was received. The sockets are non-blocking anyway.

func sendNow(fd uintptr, p []byte) (n int, errno syscall.Errno) {
	n, err := syscall.Write(int(fd), p)
	errors.As(err, &errno)
	return n, errno
}

func receiveNow(fd uintptr, p []byte) (n int, errno syscall.Errno) {
	n, err := syscall.Read(int(fd), p)
	errors.As(err, &errno)
	return n, errno
}
