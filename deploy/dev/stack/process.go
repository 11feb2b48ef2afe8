package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// How long a program may take to become ready, and to end after SIGTERM.
const (
	readyWithin = time.Minute
	stopWithin  = time.Minute
)

// process is one program of the stack.
type process struct {
	name    string
	path    string
	env     []string // beside PATH and HOME
	args    []string
	readyAt string // URL that answers 2xx once it is ready
	log     io.Writer
	cmd     *exec.Cmd
	ended   chan struct{} // closed when the program has ended; err is set then
	err     error
}

// start runs the program and waits until it is ready.
func (p *process) start(ctx context.Context) error {
	p.cmd = exec.Command(p.path, p.args...) //nolint:noctx // it outlives the start; stop ends it
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, p.env...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	// Its own group: Ctrl-C reaches the launcher only, which ends all in order.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.ended = make(chan struct{})
	go func(ended chan struct{}) {
		p.err = p.cmd.Wait()
		close(ended)
	}(p.ended)
	return p.ready(ctx)
}

func (p *process) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.readyAt, nil)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err == nil {
			err = answer.Body.Close()
		}
		if err == nil && answer.StatusCode/100 == 2 {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended before it was ready: %w", p.name, errors.Join(p.err, errors.New("see its output")))
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready at %s: %w", p.name, p.readyAt, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (p *process) pid() int {
	if p == nil || p.cmd == nil || p.cmd.Process == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// stop asks the program to end, and waits. After stopWithin it is killed, which is an error.
func (p *process) stop() error {
	if p.cmd == nil || p.cmd.Process == nil {
		return nil
	}
	select {
	case <-p.ended:
		return p.err
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	select {
	case <-p.ended:
		if p.err != nil {
			return fmt.Errorf("%s: %w", p.name, p.err)
		}
		return nil
	case <-time.After(stopWithin):
		return fmt.Errorf("%s did not end within %s: %w", p.name, stopWithin, p.cmd.Process.Kill())
	}
}

// freeAddr picks a loopback address that nobody listens on now. Of its ports no
// outgoing connection takes one meanwhile, and no test beside.
func freeAddr() (string, error) {
	for {
		addr := fmt.Sprintf("127.0.0.1:%d", 30_000+rand.IntN(2_700))
		listener, err := net.Listen("tcp", addr) //nolint:noctx // closed at once
		switch {
		case err == nil:
			return addr, listener.Close()
		case !errors.Is(err, syscall.EADDRINUSE):
			return "", fmt.Errorf("free port: %w", err)
		}
	}
}

func openLog(dir, name string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}
