package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

// bench is the running stack and what the measurements share.
type bench struct {
	options
	*stack.Stack
	dir            string
	upstream, bare *exec.Cmd    // bare: only where it is measured
	other          *stack.Stack // with the sidecar of another build, at the same IdP; nil: none
	addr, bareAddr string
	admin          *stack.Client
	reader         stack.Registered // may read notes
}

func start(ctx context.Context, o options) (*bench, error) {
	dir, err := os.MkdirTemp("", "agentidp-bench-")
	if err != nil {
		return nil, err
	}
	addresses, err := stack.Free()
	if err != nil {
		return nil, err
	}
	more, err := stack.Free()
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, dir: dir, addr: addresses.Notes, bareAddr: more.Notes}
	b.Stack = &stack.Stack{Addresses: addresses, Bin: o.bin, Dir: dir, Routes: o.routes, Upstream: "http://" + b.addr, IdPEnv: []string{
		"AGENTIDP_LIMITS_REQUESTS_PER_MINUTE=0", "AGENTIDP_LIMITS_TOKENS_PER_MONTH=0",
	}}
	if o.database != "" {
		key := make([]byte, 32)
		_, _ = rand.Read(key) // never fails
		b.IdPEnv = append(b.IdPEnv, "DATABASE_URL="+o.database, "AGENTIDP_MASTER_KEY="+hex.EncodeToString(key))
	}
	if err := b.boot(ctx); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// boot starts each program and reports how long it took.
func (b *bench) boot(ctx context.Context) error {
	for _, name := range []string{"agentidp", "agentidp-sidecar"} {
		info, err := os.Stat(filepath.Join(b.bin, name))
		if err != nil {
			return fmt.Errorf("%w (make build first)", err)
		}
		fmt.Printf("size     %-18s %.1f MB\n", name, float64(info.Size())/1e6)
	}
	if err := b.startUpstream(); err != nil {
		return err
	}
	if err := b.Prepare(); err != nil {
		return err
	}
	for _, step := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"IdP, first start", b.StartIdP},
		{"IdP stop", func(context.Context) error { return b.StopIdP() }},
		{"IdP, existing data", b.StartIdP},
		{"enrol sidecar", b.Enrol},
		{"sidecar to ready", b.StartSidecar},
		{"sidecar stop", func(context.Context) error { return b.StopSidecar() }},
		{"sidecar, warm data", b.StartSidecar},
	} {
		began := time.Now()
		if err := step.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Printf("start    %-18s %s\n", step.name, time.Since(began).Round(time.Millisecond))
	}
	return b.register(ctx)
}

func (b *bench) register(ctx context.Context) error {
	credential, err := b.Administrator()
	if err != nil {
		return err
	}
	if b.admin, err = b.Client(ctx, credential); err != nil {
		return err
	}
	b.reader, err = b.admin.Register(ctx, stack.Registration{Email: "bench@example.com", AgentType: "custom", Capabilities: []string{"notes:read"}})
	return err
}

func (b *bench) token(ctx context.Context) (string, error) {
	token, err := b.Config(b.reader.Credential, b.Resource()).Token(ctx)
	if err != nil {
		return "", err
	}
	return token.AccessToken, nil
}

func (b *bench) startUpstream() (err error) {
	b.upstream, err = self("upstream", b.addr)
	return err
}

func (b *bench) startBare() (err error) {
	b.bare, err = self("bare", b.bareAddr, b.addr)
	return err
}

func (b *bench) close() error {
	var err error
	if b.other != nil {
		err = b.other.Close()
	}
	return errors.Join(err, b.Close(), kill(b.bare), kill(b.upstream), os.RemoveAll(b.dir))
}

// footprint reports the memory of both programs after the load.
func (b *bench) footprint(context.Context) error {
	idp, sidecar := b.PIDs()
	for _, p := range []struct {
		name string
		pid  int
	}{{"agentidp", idp}, {"agentidp-sidecar", sidecar}} {
		for _, field := range []string{"VmRSS", "VmHWM"} {
			bytes, err := memory(p.pid, field)
			if err != nil {
				return err
			}
			fmt.Printf("memory   %-18s %s %.1f MiB\n", p.name, field, mebibytes(bytes))
		}
	}
	return nil
}
