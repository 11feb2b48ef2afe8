package registry

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
	"github.com/sentryagent/agentidp/shared/capability"
)

// BootstrapEmail is the email of the first administrator.
const BootstrapEmail = "admin@localhost"

// settingBootstrap holds the id of the bootstrap that won; there is one per store.
const settingBootstrap = "bootstrap"

// BootstrapInput is the first administrator's credential as configured; both
// members empty: generated.
type BootstrapInput struct {
	ClientID string
	Secret   string
}

var clientIDForm = regexp.MustCompile(`^aidp_c_[0-9A-Za-z]{22}$`)

// Check says what is wrong with a configured credential; half of one is wrong.
func (in BootstrapInput) Check() error {
	switch {
	case in == BootstrapInput{}:
		return nil
	case in.ClientID == "" || in.Secret == "":
		return errors.New("bootstrap: client id and secret must be set together")
	case !clientIDForm.MatchString(in.ClientID):
		return errors.New("bootstrap: the client id must be aidp_c_ and 22 of 0-9, A-Z, a-z")
	case !strongSecret(in.Secret):
		return errors.New("bootstrap: the secret must be 32 to 64 printable ASCII characters")
	}
	return nil
}

// strongSecret bounds what an operator may choose: any length that bcrypt
// looks at whole, and none that can be guessed. One in our own format is the best.
func strongSecret(secret string) bool {
	printable := func(r rune) bool { return r >= ' ' && r <= '~' }
	return len(secret) >= 32 && len(secret) <= 64 && strings.TrimFunc(secret, printable) == ""
}

// BootstrapResult is the administrator that a bootstrap or reset made usable.
type BootstrapResult struct {
	Administrator idp.Agent
	Credential    IssuedCredential
}

// EnsureBootstrap gives an empty store the operator's organization and its
// administrator. The result is nil when the store has them already: of all
// replicas that start at once exactly one gets the secret.
func (s *Service) EnsureBootstrap(ctx context.Context, in BootstrapInput) (*BootstrapResult, error) {
	if err := in.Check(); err != nil {
		return nil, err
	}
	done, err := s.bootstrapped(ctx)
	if err != nil || done {
		return nil, err
	}
	founded, err := s.firstOrganization(ctx, in)
	if err != nil {
		return nil, err
	}
	attempt, won := uuid.NewString(), false
	// Past Actor.Commit: there is nobody yet who could ask.
	err = s.log.Commit(ctx, func(ctx context.Context, tx *store.Tx) ([]idp.Event, error) {
		winner, err := tx.Settings.PutIfAbsent(ctx, settingBootstrap, attempt)
		won = winner == attempt
		if err != nil || !won {
			return nil, err
		}
		if err := s.insertFounded(ctx, tx, founded); err != nil {
			return nil, err
		}
		system := Actor{}
		return []idp.Event{system.Event(idp.ActionAdministratorBootstrap, idp.OperatorOrganization,
			credentialMetadata(&founded.Credential.Credential, map[string]any{"configured": in.Secret != ""}))}, nil
	})
	if err != nil {
		return nil, err
	}
	var result *BootstrapResult
	if won {
		result = &BootstrapResult{Administrator: founded.Administrator, Credential: founded.Credential}
	}
	return result, nil
}

func (s *Service) bootstrapped(ctx context.Context) (done bool, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Settings.Get(ctx, settingBootstrap)
		done = err == nil
		if errors.Is(err, idp.ErrNotFound) {
			return nil
		}
		return err
	})
	return done, err
}

func (s *Service) firstOrganization(ctx context.Context, in BootstrapInput) (*FoundedOrganization, error) {
	now := s.now()
	founding := NewOrganization{ID: idp.OperatorOrganization, Name: "Default", Plan: string(idp.PlanFree)}
	founded, err := founding.found(now)
	if err != nil {
		return nil, err
	}
	founded.Credential, err = s.bootstrapCredential(ctx, founded.Administrator.ID, in, now)
	return &founded, err
}

// bootstrapCredential makes an operator administrator's credential, generated unless configured.
func (s *Service) bootstrapCredential(ctx context.Context, agentID string, in BootstrapInput, now time.Time) (IssuedCredential, error) {
	secret := in.Secret
	if secret == "" {
		secret = clientauth.NewSecret()
	}
	credential := newCredential(idp.OperatorOrganization, agentID, idp.SecretHash{}, now)
	hash, err := s.hash(ctx, credential.ID, secret)
	if err != nil {
		return IssuedCredential{}, fmt.Errorf("the administrator's credential: %w", err)
	}
	credential.Secret = hash
	if in.ClientID != "" {
		credential.ClientID = in.ClientID
	}
	return IssuedCredential{Credential: credential, ClientSecret: secret}, nil
}

// ResetAdministrator gives the operator another way in after the secret was
// lost: a new credential for an active administrator, beyond any limit. When
// none is left, admin@localhost is restored or registered anew. Existing
// credentials stay as they are.
func (s *Service) ResetAdministrator(ctx context.Context) (*BootstrapResult, error) {
	now := s.now()
	issued, err := s.bootstrapCredential(ctx, "", BootstrapInput{}, now)
	if err != nil {
		return nil, err
	}
	var result BootstrapResult
	// Past Actor.Commit: whoever holds the data folder asks, without a token.
	err = s.log.Commit(ctx, func(ctx context.Context, tx *store.Tx) ([]idp.Event, error) {
		agent, how, err := restoreAdministrator(ctx, tx, now)
		if err != nil {
			return nil, err
		}
		result = BootstrapResult{Administrator: agent, Credential: issued}
		credential := &result.Credential.Credential
		credential.AgentID = agent.ID
		system := Actor{}
		return []idp.Event{system.Event(idp.ActionAdministratorReset, idp.OperatorOrganization,
			credentialMetadata(credential, map[string]any{"administrator": how}))}, tx.Credentials.Insert(ctx, *credential)
	})
	if err != nil {
		return nil, err
	}
	return &result, nil
}

// restoreAdministrator finds or makes an active operator administrator and says how: kept, restored or registered.
func restoreAdministrator(ctx context.Context, tx *store.Tx, now time.Time) (idp.Agent, string, error) {
	_, err := tx.Organizations.Get(ctx, idp.OperatorOrganization)
	if errors.Is(err, idp.ErrNotFound) {
		return idp.Agent{}, "", apierr.New(apierr.InvalidState, "the store was never started: the first start makes an administrator").WithReason("not_bootstrapped")
	}
	if err != nil {
		return idp.Agent{}, "", err
	}
	kept, fallen, err := findAdministrator(ctx, tx)
	switch {
	case err != nil:
		return idp.Agent{}, "", err
	case kept != nil:
		return *kept, "kept", nil
	case fallen != nil:
		next := *fallen
		next.Status = idp.Active
		next.Capabilities, err = capability.NewSet(append(fallen.Capabilities.Strings(),
			idp.AdministratorCapabilities(idp.OperatorOrganization).Strings()...))
		if err == nil {
			err = saveAgent(ctx, tx, fallen, &next, now)
		}
		return next, "restored", err
	}
	agent, err := administrator(idp.OperatorOrganization, BootstrapEmail, now)
	if err == nil {
		err = tx.Agents.Insert(ctx, agent)
	}
	return agent, "registered", err
}

// findAdministrator looks for an active operator administrator and, failing
// that, for the agent that was the first one.
func findAdministrator(ctx context.Context, tx *store.Tx) (kept, fallen *idp.Agent, err error) {
	filter := store.AgentFilter{OrganizationID: idp.OperatorOrganization}
	for page := (store.Page{Number: 1, Limit: 100}); ; page.Number++ {
		found, err := tx.Agents.List(ctx, filter, store.AgentOrder{}, page)
		if err != nil {
			return nil, nil, err
		}
		agents := found.Agents
		for i := range agents {
			if agents[i].Administrator() && (kept == nil || agents[i].Email == BootstrapEmail) {
				kept = &agents[i]
			}
			if agents[i].Email == BootstrapEmail {
				fallen = &agents[i]
			}
		}
		if !found.More {
			return kept, fallen, nil
		}
	}
}
