package vaulttest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// startLimit is how long a server may take to start.
const startLimit = time.Minute

// Real finds or starts a real server; nil when none can be had. In this order:
// the one at VAULT_TEST_ADDR with VAULT_TEST_TOKEN; vault or bao on PATH, in dev
// mode; .cache/bin/vault-devserver, bao or vault of this repository. stop ends it.
func Real(ctx context.Context) (s *Server, stop func(), err error) {
	nothing := func() {}
	if addr, token := os.Getenv("VAULT_TEST_ADDR"), os.Getenv("VAULT_TEST_TOKEN"); addr != "" && token != "" {
		return &Server{Name: "real", Addr: addr, Token: token}, nothing, nil
	}
	for _, name := range []string{"vault", "bao"} {
		if program, err := exec.LookPath(name); err == nil {
			return devMode(ctx, program)
		}
	}
	cache, err := cached()
	if err != nil {
		return nil, nil, err
	}
	if program := filepath.Join(cache, "vault-devserver"); executable(program) {
		return devServer(ctx, program)
	}
	for _, name := range []string{"bao", "vault"} {
		if program := filepath.Join(cache, name); executable(program) {
			return devMode(ctx, program)
		}
	}
	return nil, nothing, nil
}

// cached is .cache/bin of the repository that holds the working directory.
func cached() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; folder != filepath.Dir(folder); folder = filepath.Dir(folder) {
		if _, err := os.Stat(filepath.Join(folder, "go.work")); err == nil {
			break
		}
	}
	return filepath.Join(folder, ".cache", "bin"), nil
}

func executable(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o100 != 0
}

// devServer starts the program in devserver/.
func devServer(ctx context.Context, program string) (*Server, func(), error) {
	c, err := start(ctx, program)
	if err != nil {
		return nil, nil, err
	}
	line, err := c.line(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, c.stop())
	}
	var told struct{ Addr, Token, UnsealKey string }
	if err := json.Unmarshal([]byte(line), &told); err != nil {
		return nil, nil, errors.Join(err, c.stop())
	}
	s := &Server{Name: "real", Addr: told.Addr, Token: told.Token, UnsealKey: told.UnsealKey, Pinned: true}
	return s, func() { _ = c.stop() }, nil
}

var unsealLine = regexp.MustCompile(`^Unseal Key: (\S+)`)

// devMode starts Vault's or OpenBao's own command in dev mode.
func devMode(ctx context.Context, program string) (*Server, func(), error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	addr := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return nil, nil, err
	}
	c, err := start(ctx, program, "server", "-dev", "-dev-no-store-token", "-dev-root-token-id=vaulttest", "-dev-listen-address="+addr)
	if err != nil {
		return nil, nil, err
	}
	s := &Server{Name: "real", Addr: "http://" + addr, Token: "vaulttest"}
	for s.UnsealKey == "" {
		line, err := c.line(ctx)
		if err != nil {
			return nil, nil, errors.Join(err, c.stop())
		}
		if match := unsealLine.FindStringSubmatch(line); match != nil {
			s.UnsealKey = match[1]
		}
	}
	for path, kind := range map[string]string{"sys/mounts/transit": "transit", "sys/auth/approle": "approle", "sys/auth/kubernetes": "kubernetes"} {
		status, text, err := s.Call(ctx, s.Token, "PUT", path, map[string]any{"type": kind})
		if err == nil && status >= 300 {
			err = fmt.Errorf("%s: %d %s", path, status, text)
		}
		if err != nil {
			return nil, nil, errors.Join(err, c.stop())
		}
	}
	return s, func() { _ = c.stop() }, nil
}

// child is a server that must not outlive us.
type child struct {
	command *exec.Cmd
	stdin   io.Closer
	lines   chan string // of standard output; closed at its end
}

func start(ctx context.Context, program string, arguments ...string) (*child, error) {
	// It ends by stop: the caller's clean-up wants it alive.
	command := exec.CommandContext(context.WithoutCancel(ctx), program, arguments...) //nolint:gosec // a server that the developer installed
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	c := &child{command: command, stdin: stdin, lines: make(chan string, 64)}
	go func() {
		defer close(c.lines)
		for text := bufio.NewScanner(stdout); text.Scan(); {
			select {
			case c.lines <- text.Text():
			default: // only the first lines are read
			}
		}
	}()
	return c, nil
}

func (c *child) line(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	select {
	case line, more := <-c.lines:
		if !more {
			return "", errors.New("vaulttest: the server ended before it was ready")
		}
		return line, nil
	case <-ctx.Done():
		return "", errors.New("vaulttest: the server was not ready in time")
	}
}

func (c *child) stop() error {
	err := errors.Join(c.stdin.Close(), c.command.Process.Kill())
	for range c.lines {
	}
	_ = c.command.Wait() // it was killed
	return err
}
