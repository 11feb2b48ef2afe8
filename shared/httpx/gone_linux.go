package httpx

import "golang.org/x/sys/unix"

// ended asks for the state of the connection, so that unread input (a pipelined
// request, TLS's goodbye) does not hide its end.
func ended(fd uintptr) bool {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(poll, 0)
	return err == nil && n > 0 && poll[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
}
