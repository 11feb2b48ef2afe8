// Enrol gives a sidecar its credential: it registers an agent for it as the
// administrator and writes a settings file. It does nothing when the file is there,
// and may be repeated when it was cut off.
// The administrator is the one of AGENTIDP_CLIENT_ID and AGENTIDP_CLIENT_SECRET, else of the file.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

func main() {
	idp := flag.String("idp", "127.0.0.1:8080", "address of the IdP")
	admin := flag.String("admin", "admin.json", "file with the administrator's credential")
	email := flag.String("email", "sidecar@example.com", "email of the sidecar's agent")
	out := flag.String("out", "sidecar.yaml", "settings file to write")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := enrol(ctx, *idp, *admin, *email, *out)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "enrol:", err)
		os.Exit(1)
	}
}

func enrol(ctx context.Context, idp, admin, email, out string) error {
	if _, err := os.Stat(out); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	credential, err := administrator(admin)
	if err != nil {
		return fmt.Errorf("administrator's credential: %w", err)
	}
	s := &stack.Stack{Addresses: stack.Addresses{IdP: idp}}
	client, err := s.Client(ctx, credential)
	if err != nil {
		return err
	}
	registered, err := client.Register(ctx, stack.Registration{Email: email, AgentType: "sidecar", Capabilities: []string{"revocations:read", "decisions:write"}})
	if err != nil {
		return err
	}
	settings := fmt.Sprintf("client_id: %q\nclient_secret: %q\n", registered.ClientID, registered.ClientSecret)
	if err := os.WriteFile(out+".tmp", []byte(settings), 0o600); err != nil {
		return fmt.Errorf("settings file: %w", err)
	}
	return os.Rename(out+".tmp", out)
}

func administrator(file string) (credential stack.Credential, err error) {
	if id := os.Getenv("AGENTIDP_CLIENT_ID"); id != "" {
		return stack.Credential{ClientID: id, ClientSecret: os.Getenv("AGENTIDP_CLIENT_SECRET")}, nil
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return credential, err
	}
	return credential, json.Unmarshal(content, &credential)
}
