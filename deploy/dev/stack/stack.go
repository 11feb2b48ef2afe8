// Package stack runs the product as a user would: the IdP, a protected notes
// API and the sidecar in front of it, as separate programs on loopback.
package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
)

// Addresses of the programs, host:port.
type Addresses struct {
	IdP, IdPAdmin, Sidecar, SidecarAdmin, Notes string
}

// Fixed are the addresses of `make up`.
var Fixed = Addresses{IdP: "127.0.0.1:8080", IdPAdmin: "127.0.0.1:8083", Sidecar: "127.0.0.1:8081", SidecarAdmin: "127.0.0.1:8082", Notes: "127.0.0.1:8090"}

// Free picks addresses that nobody listens on.
func Free() (Addresses, error) {
	var a Addresses
	picked := map[string]bool{"": true}
	for _, addr := range []*string{&a.IdP, &a.IdPAdmin, &a.Sidecar, &a.SidecarAdmin, &a.Notes} {
		for picked[*addr] {
			free, err := freeAddr()
			if err != nil {
				return Addresses{}, err
			}
			*addr = free
		}
		picked[*addr] = true
	}
	return a, nil
}

// Credential is an agent's, in the form of admin.json.
type Credential struct {
	ClientID     string `json:"clientId"`
	ClientSecret string `json:"clientSecret"`
}

// Stack is the three programs over one data folder. Its methods are not safe for concurrent use.
type Stack struct {
	Addresses
	Bin    string // folder of the built programs
	Dir    string // folder of all data and logs
	Routes string // the sidecar's route file
	// Further environment of the IdP, read by Prepare, and of the sidecar, read at each start.
	IdPEnv, SidecarEnv []string
	// Upstream is what the sidecar protects, a URL; empty: the notes API.
	Upstream string
	// Elsewhere, if set, runs the programs in the stack's place, as containers do.
	Elsewhere Programs

	idp, sidecar, notes *process
	logs                []*os.File
}

// Programs are the stack's, run by something else: it starts, enrols and ends them.
type Programs interface {
	Start(ctx context.Context) error
	StartIdP(ctx context.Context) error
	StartSidecar(ctx context.Context) error
	StopIdP() error
	StopSidecar() error
	Close() error
	// Environment is what agentidp needs to open the IdP's store.
	Environment() []string
}

// Resource is the audience of tokens for the notes API.
func (s *Stack) Resource() string { return "http://" + s.Sidecar }

// Issuer is the IdP's URL.
func (s *Stack) Issuer() string { return "http://" + s.IdP }

// AdminFile holds the first administrator's credential.
func (s *Stack) AdminFile() string { return filepath.Join(s.IdPDir(), "admin.json") }

// IdPDir is the IdP's data folder.
func (s *Stack) IdPDir() string { return filepath.Join(s.Dir, "idp") }

// Start runs all three; on failure none is left running.
func (s *Stack) Start(ctx context.Context) error {
	if err := s.Prepare(); err != nil {
		return err
	}
	if s.Elsewhere != nil {
		return s.Elsewhere.Start(ctx)
	}
	if err := s.vacant(); err != nil {
		return errors.Join(err, s.Close())
	}
	for _, step := range []func(context.Context) error{s.StartIdP, s.StartNotes, s.Enrol, s.StartSidecar} {
		if err := step(ctx); err != nil {
			return errors.Join(err, s.Close())
		}
	}
	return nil
}

// vacant wants nobody to listen where the stack will: another program's
// answers would be taken for ours.
func (s *Stack) vacant() error {
	var errs []error
	for name, addr := range map[string]string{"the IdP": s.IdP, "the sidecar": s.Sidecar, "the sidecar's admin address": s.SidecarAdmin, "the notes API": s.Notes} {
		listener, err := net.Listen("tcp", addr) //nolint:noctx // closed at once
		if err != nil {
			errs = append(errs, fmt.Errorf("%s cannot have %s: is another one running? %w", name, addr, err))
			continue
		}
		errs = append(errs, listener.Close())
	}
	return errors.Join(errs...)
}

// Prepare makes the folders and opens the logs. Start does it too.
func (s *Stack) Prepare() error {
	if s.logs != nil {
		return nil
	}
	for _, dir := range []string{s.Dir, s.IdPDir(), filepath.Join(s.Dir, "sidecar")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("data folder: %w", err)
		}
	}
	for _, name := range []string{"idp", "notes", "sidecar"} {
		file, err := openLog(s.Dir, name)
		if err != nil {
			return fmt.Errorf("log: %w", err)
		}
		s.logs = append(s.logs, file)
	}
	s.idp = &process{
		name: "the IdP", path: filepath.Join(s.Bin, "agentidp"), args: []string{"serve"}, log: s.logs[0],
		readyAt: "http://" + s.IdP + "/health",
		env:     append([]string{"AGENTIDP_ADDR=" + s.IdP, "AGENTIDP_ADMIN_ADDR=" + s.IdPAdmin, "AGENTIDP_DATA_DIR=" + s.IdPDir()}, s.IdPEnv...),
	}
	s.notes = &process{
		name: "the notes API", path: filepath.Join(s.Bin, "notes"), args: []string{"-addr", s.Notes, "-file", filepath.Join(s.Dir, "notes.jsonl")},
		log: s.logs[1], readyAt: "http://" + s.Notes + "/healthz",
	}
	return nil
}

// StartIdP runs the IdP and waits until it is healthy.
func (s *Stack) StartIdP(ctx context.Context) error {
	if s.Elsewhere != nil {
		return s.Elsewhere.StartIdP(ctx)
	}
	return s.idp.start(ctx)
}

// StopIdP ends the IdP as SIGTERM does.
func (s *Stack) StopIdP() error {
	if s.Elsewhere != nil {
		return s.Elsewhere.StopIdP()
	}
	return s.idp.stop()
}

// StartNotes runs the notes API.
func (s *Stack) StartNotes(ctx context.Context) error { return s.notes.start(ctx) }

// StartSidecar runs the sidecar and waits until it is ready. Enrol comes first.
func (s *Stack) StartSidecar(ctx context.Context) error {
	if s.Elsewhere != nil {
		return s.Elsewhere.StartSidecar(ctx)
	}
	credential, err := readCredential(s.sidecarFile())
	if err != nil {
		return err
	}
	upstream := s.Upstream
	if upstream == "" {
		upstream = "http://" + s.Notes
	}
	s.sidecar = &process{
		name: "the sidecar", path: filepath.Join(s.Bin, "agentidp-sidecar"), args: []string{"serve"}, log: s.logs[2],
		readyAt: "http://" + s.SidecarAdmin + "/ready",
		env: []string{
			"AGENTIDP_SIDECAR_ADDR=" + s.Sidecar, "AGENTIDP_SIDECAR_ADMIN_ADDR=" + s.SidecarAdmin,
			"AGENTIDP_SIDECAR_UPSTREAM=" + upstream, "AGENTIDP_SIDECAR_ISSUER=" + s.Issuer(),
			"AGENTIDP_SIDECAR_AUDIENCE=" + s.Resource(), "AGENTIDP_SIDECAR_ROUTES=" + s.Routes,
			"AGENTIDP_SIDECAR_DATA_DIR=" + filepath.Join(s.Dir, "sidecar"),
			"AGENTIDP_SIDECAR_CLIENT_ID=" + credential.ClientID, "AGENTIDP_SIDECAR_CLIENT_SECRET=" + credential.ClientSecret,
		},
	}
	s.sidecar.env = append(s.sidecar.env, s.SidecarEnv...)
	return s.sidecar.start(ctx)
}

// StopSidecar ends the sidecar as SIGTERM does.
func (s *Stack) StopSidecar() error {
	if s.Elsewhere != nil {
		return s.Elsewhere.StopSidecar()
	}
	return s.sidecar.stop()
}

// PIDs of the IdP and the sidecar, for measuring them; 0 for one that was never started.
func (s *Stack) PIDs() (idp, sidecar int) { return s.idp.pid(), s.sidecar.pid() }

// Ended tells which program ended first, without being asked to.
func (s *Stack) Ended(ctx context.Context) error {
	select {
	case <-s.idp.ended:
		return fmt.Errorf("the IdP ended: %w", errors.Join(s.idp.err, errors.New("see "+s.logs[0].Name())))
	case <-s.notes.ended:
		return fmt.Errorf("the notes API ended: %w", errors.Join(s.notes.err, errors.New("see "+s.logs[1].Name())))
	case <-s.sidecar.ended:
		return fmt.Errorf("the sidecar ended: %w", errors.Join(s.sidecar.err, errors.New("see "+s.logs[2].Name())))
	case <-ctx.Done():
		return nil
	}
}

// Close ends what runs, the sidecar first so that its decisions still arrive.
func (s *Stack) Close() error {
	var errs []error
	if s.Elsewhere != nil {
		errs = append(errs, s.Elsewhere.Close())
	}
	for _, p := range []*process{s.sidecar, s.notes, s.idp} {
		if p != nil {
			errs = append(errs, p.stop())
		}
	}
	for _, file := range s.logs {
		errs = append(errs, file.Close())
	}
	s.logs = nil
	return errors.Join(errs...)
}

// Administrator reads the first administrator's credential.
func (s *Stack) Administrator() (Credential, error) { return readCredential(s.AdminFile()) }

func readCredential(path string) (Credential, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return Credential{}, fmt.Errorf("credential: %w", err)
	}
	var c Credential
	if err := json.Unmarshal(raw, &c); err != nil {
		return Credential{}, fmt.Errorf("credential %s: %w", path, err)
	}
	return c, nil
}

func writeCredential(path string, c Credential) error {
	raw, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("credential: %w", err)
	}
	if err := os.WriteFile(path, append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("credential: %w", err)
	}
	return nil
}

func missing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}
