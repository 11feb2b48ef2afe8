package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// redis is a server of ours that keeps nothing.
type redis struct {
	url     string
	command *exec.Cmd
}

func startRedis(ctx context.Context, folder string, cores []int) (*redis, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("%w (apt-get install redis-server)", err)
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	command := exec.Command(path, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := On(cores, command.Start); err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	r := &redis{url: "redis://" + addr, command: command}
	if err := Listens(ctx, addr); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *redis) close() error { return kill(r.command) }

// Listens waits until somebody takes connections at the address.
func Listens(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, serverStarts)
	defer cancel()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("nobody listens on %s: %w", addr, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func freePort() (int, error) {
	for {
		port := 30_000 + rand.IntN(2_700) // no outgoing connection takes one of these meanwhile
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		switch {
		case err == nil:
			return port, listener.Close()
		case !errors.Is(err, syscall.EADDRINUSE):
			return 0, err
		}
	}
}
