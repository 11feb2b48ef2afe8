package lab

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

// Program is one of the two.
type Program int

// The programs, as Focus means them.
const (
	IdP     Program = iota + 1
	Sidecar         // and the bare proxy, which is always where the sidecar is measured
)

// lowPriority is the IdP's while the sidecar is measured: it is another
// machine's work, and gets what the load leaves over.
const lowPriority = 19

// Focus gives a program the measured cores to itself. Both are started anew,
// on the data they have, unless they are where they should be already.
func (l *Lab) Focus(ctx context.Context, on Program) error {
	if l.focus == on {
		return nil
	}
	if err := errors.Join(l.StopSidecar(), l.StopIdP()); err != nil {
		return err
	}
	l.focus = on
	idp, sidecar := l.Servers, l.Others
	if on == Sidecar {
		idp, sidecar = sidecar, idp
	}
	if err := On(idp, func() error { return l.StartIdP(ctx) }); err != nil {
		return err
	}
	if on == Sidecar && len(l.Others) > 0 {
		pid, _ := l.PIDs()
		if err := renice(pid, lowPriority); err != nil {
			return err
		}
		if err := l.startOther(ctx); err != nil {
			return err
		}
	}
	return On(sidecar, func() error { return l.StartSidecar(ctx) })
}

// Unsettle makes the next Focus start both anew: after something went wrong,
// nobody knows how they are.
func (l *Lab) Unsettle() { l.focus, l.SidecarEnv = 0, nil }

// RestartSidecar starts it with empty caches, on the cores it has.
func (l *Lab) RestartSidecar(ctx context.Context, env ...string) error {
	if err := l.StopSidecar(); err != nil {
		return err
	}
	cores := l.Others
	if l.focus == Sidecar {
		cores = l.Servers
	}
	l.SidecarEnv = env
	return On(cores, func() error { return l.StartSidecar(ctx) })
}

// Refresh starts both proxies anew: memory that load took before is not the
// next measurement's.
func (l *Lab) Refresh(ctx context.Context) error {
	if err := errors.Join(kill(l.bare), l.startBare()); err != nil {
		return err
	}
	return l.RestartSidecar(ctx)
}

// startOther runs the sidecar of another build beside ours, if there is one.
func (l *Lab) startOther(ctx context.Context) error {
	if l.Options.Against == "" || l.other != nil {
		return nil
	}
	addresses, err := stack.Free()
	if err != nil {
		return err
	}
	addresses.IdP, addresses.IdPAdmin = l.Stack.IdP, l.IdPAdmin
	l.other = &stack.Stack{Addresses: addresses, Bin: l.Options.Against, Dir: filepath.Join(l.root, "other"), Routes: l.Options.Routes, Upstream: l.Upstream}
	if err := l.other.Prepare(); err != nil {
		return err
	}
	credential, err := os.ReadFile(filepath.Join(l.Dir, "sidecar.json")) // the same agent's
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(l.other.Dir, "sidecar.json"), credential, 0o600); err != nil {
		return err
	}
	return On(l.Servers, func() error { return l.other.StartSidecar(ctx) })
}

// Spare is a stack of its own on empty data, prepared and not started; it ends
// with the laboratory or before.
func (l *Lab) Spare(ctx context.Context, env ...string) (*stack.Stack, error) {
	return l.spare(ctx, "bin", env...)
}

// Stubbed is a Spare whose IdP records no token.
func (l *Lab) Stubbed(ctx context.Context) (*stack.Stack, error) {
	return l.spare(ctx, "stub")
}

func (l *Lab) spare(ctx context.Context, bin string, env ...string) (*stack.Stack, error) {
	s, err := l.newStack(ctx, "spare", bin, env...)
	if err == nil {
		l.spares = append(l.spares, s)
	}
	return s, err
}
