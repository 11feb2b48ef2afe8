//go:build (amd64 || arm64) && !race

package httpx

import (
	"syscall"
	"unsafe"
)

func sendNow(fd uintptr, p []byte) (n int, errno syscall.Errno) {
	sent, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0) //nolint:gosec // the call takes an address
	return int(sent), errno
}

func receiveNow(fd uintptr, p []byte) (n int, errno syscall.Errno) {
	received, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), syscall.MSG_DONTWAIT, 0, 0) //nolint:gosec // the call takes an address
	return int(received), errno
}
