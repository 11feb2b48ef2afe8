package syncer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/shared/durable"
)

const identityName = "identity.json"

// identity is who this sidecar is. It is safe for concurrent use.
type identity struct {
	path string
	id   string // UUID made once per data folder
	mu   sync.Mutex
	kept keptIdentity // guarded by mu
}

type keptIdentity struct {
	ID string `json:"sidecarId"`
	// What the credential taught us, and which credential that was.
	Issuer       string `json:"issuer"`
	ClientID     string `json:"clientId"`
	Organization string `json:"organization"`
}

func loadIdentity(dir, issuer, clientID string) (*identity, error) {
	i := &identity{path: filepath.Join(dir, identityName)}
	content, err := os.ReadFile(i.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("syncer: %w", err)
	default:
		if err := json.Unmarshal(content, &i.kept); err != nil {
			return nil, fmt.Errorf("syncer: %s is damaged; remove it to begin as a new sidecar: %w", i.path, err)
		}
	}
	if i.kept.Issuer != issuer || i.kept.ClientID != clientID {
		i.kept.Issuer, i.kept.ClientID, i.kept.Organization = issuer, clientID, ""
	}
	if _, err := uuid.Parse(i.kept.ID); err != nil {
		i.kept.ID = uuid.NewString()
		if err := i.save(); err != nil {
			return nil, err
		}
	}
	i.id = i.kept.ID
	return i, nil
}

func (i *identity) organization() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.kept.Organization
}

// learn keeps what our own token says.
func (i *identity) learn(organization string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if organization == "" || i.kept.Organization == organization {
		return nil
	}
	i.kept.Organization = organization
	return i.save()
}

// save writes the file. mu is held, or nobody else has i yet.
func (i *identity) save() error {
	content, err := json.Marshal(i.kept)
	if err != nil {
		return fmt.Errorf("syncer: identity: %w", err)
	}
	if err := durable.WriteFile(i.path, content); err != nil {
		return fmt.Errorf("syncer: identity: %w", err)
	}
	return nil
}
