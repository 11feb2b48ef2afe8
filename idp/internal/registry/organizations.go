package registry

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// NewOrganization is the body of POST /organizations.
type NewOrganization struct {
	ID                 string
	Name               string
	Plan               string // empty: free
	MaxCredentialAge   int64  // seconds; 0: none
	AdministratorEmail string // empty: admin@localhost
}

// FoundedOrganization is a new organization with its administrator, whose
// secret is never shown again.
type FoundedOrganization struct {
	Organization  idp.Organization
	Administrator idp.Agent
	Credential    IssuedCredential
}

// administrator is an agent that can do everything in the organization.
func administrator(organizationID, email string, now time.Time) (idp.Agent, error) {
	in := NewAgent{
		OrganizationID: organizationID, Email: email, Type: string(idp.TypeAdministrator), Version: "1.0.0", Owner: organizationID, Environment: "production",
		Capabilities: idp.AdministratorCapabilities(organizationID).Strings(),
	}
	if email == "" {
		in.Email = BootstrapEmail
	}
	return in.agent(now)
}

// found validates the input into an organization and its administrator.
func (in *NewOrganization) found(now time.Time) (FoundedOrganization, error) {
	o := idp.Organization{ID: in.ID, Name: in.Name, Plan: idp.Plan(in.Plan), CreatedAt: now, UpdatedAt: now, Revision: 1}
	if in.Plan == "" {
		o.Plan = idp.PlanFree
	}
	rules := append(idp.CheckOrganizationID("organizationId", in.ID), idp.CheckOrganizationName(in.Name)...)
	rules = append(rules, idp.CheckPlan(o.Plan)...)
	rules = append(rules, setCredentialAge(&o, in.MaxCredentialAge)...)
	if in.AdministratorEmail != "" {
		if _, broken := idp.NormalizeEmail(in.AdministratorEmail); broken != nil {
			rules = append(rules, idp.Rule{Field: "administratorEmail", Text: broken[0].Text})
		}
	}
	if err := Invalid(rules); err != nil {
		return FoundedOrganization{}, err
	}
	agent, err := administrator(in.ID, in.AdministratorEmail, now)
	return FoundedOrganization{Organization: o, Administrator: agent}, err
}

// CreateOrganization founds an organization together with its administrator.
// Only the operator's agents can, and like every grant it needs the actor to
// hold what the administrator gets.
func (s *Service) CreateOrganization(ctx context.Context, actor Actor, in NewOrganization) (FoundedOrganization, error) {
	now := s.now()
	if err := actor.operate(); err != nil {
		return FoundedOrganization{}, err
	}
	founded, err := in.found(now)
	if err != nil {
		return FoundedOrganization{}, err
	}
	if err := actor.mayGrant(in.ID, founded.Administrator.Capabilities); err != nil {
		return FoundedOrganization{}, err
	}
	admit := func(ctx context.Context, tx *store.Tx) error { return actor.mayFound(ctx, tx, in.ID, now) }
	if err := s.view(ctx, admit); err != nil {
		return FoundedOrganization{}, err
	}
	credential := newCredential(in.ID, founded.Administrator.ID, idp.SecretHash{}, now)
	secret, hash, err := s.secret(ctx, credential.ID)
	if err != nil {
		return FoundedOrganization{}, err
	}
	credential.Secret = hash
	founded.Credential = IssuedCredential{Credential: credential, ClientSecret: secret}
	err = actor.Commit(ctx, s.log, func(ctx context.Context, tx *store.Tx) ([]idp.Event, error) {
		if err := admit(ctx, tx); err != nil {
			return nil, err
		}
		if err := s.insertFounded(ctx, tx, &founded); err != nil {
			return nil, err
		}
		return foundedEvents(&actor, &founded), actor.Remember(ctx, tx, http.StatusCreated, credential.ID, now)
	})
	if err != nil {
		return FoundedOrganization{}, err
	}
	founded.Credential.ExpiresAt = founded.Credential.End(founded.Organization.MaxCredentialAge)
	return founded, nil
}

// mayFound decides whether the id is free, and the request the first of its kind.
func (a *Actor) mayFound(ctx context.Context, tx *store.Tx, id string, now time.Time) error {
	if err := a.replaySecret(ctx, tx, now); err != nil {
		return err
	}
	_, err := tx.Organizations.Get(ctx, id)
	if err == nil {
		return apierr.New(apierr.InvalidState, "the organization exists").WithReason("organization_exists")
	}
	if errors.Is(err, idp.ErrNotFound) {
		return nil
	}
	return err
}

func (s *Service) insertFounded(ctx context.Context, tx *store.Tx, f *FoundedOrganization) error {
	if err := tx.Organizations.Insert(ctx, f.Organization); err != nil {
		return err
	}
	if err := s.insertAgent(ctx, tx, &f.Administrator); err != nil {
		return err
	}
	return tx.Credentials.Insert(ctx, f.Credential.Credential)
}

func foundedEvents(actor *Actor, f *FoundedOrganization) []idp.Event {
	return []idp.Event{
		actor.Event(idp.ActionOrganizationCreated, f.Organization.ID, map[string]any{"plan": string(f.Organization.Plan)}),
		createdAgent(actor, &f.Administrator),
		createdCredential(actor, &f.Credential.Credential),
	}
}

// GetOrganization reads the actor's own organization, or any for the operator.
func (s *Service) GetOrganization(ctx context.Context, actor Actor, id string) (organization idp.Organization, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *store.Tx) error {
		organization, err = actor.readOrganization(ctx, tx, id)
		return err
	})
	return organization, err
}

func (a *Actor) readOrganization(ctx context.Context, tx *store.Tx, id string) (idp.Organization, error) {
	if !a.Sees(id) {
		return idp.Organization{}, noOrganization("other_organization")
	}
	organization, err := tx.Organizations.Get(ctx, id)
	if errors.Is(err, idp.ErrNotFound) {
		err = noOrganization("organization_not_found")
	}
	return organization, err
}

// ListOrganizations returns one page of all organizations and their number, to the operator's agents.
func (s *Service) ListOrganizations(ctx context.Context, actor Actor, page store.Page) (organizations []idp.Organization, total int, err error) {
	if err := actor.operate(); err != nil {
		return nil, 0, err
	}
	if err := Invalid(checkPage(page)); err != nil {
		return nil, 0, err
	}
	err = s.view(ctx, func(ctx context.Context, tx *store.Tx) error {
		organizations, total, err = tx.Organizations.List(ctx, page)
		return err
	})
	return organizations, total, err
}

// OrganizationPatch is the body of PATCH /organizations/{organizationId}: nil members stay.
type OrganizationPatch struct {
	Name             *string
	Plan             *string
	MaxCredentialAge *int64 // seconds; 0: none
	IfMatch          string // the header as sent; empty without one
}

// apply sets the named members of o and returns every rule they break.
func (p *OrganizationPatch) apply(o *idp.Organization) []idp.Rule {
	var rules []idp.Rule
	if p.Name != nil {
		o.Name = *p.Name
		rules = append(rules, idp.CheckOrganizationName(o.Name)...)
	}
	if p.Plan != nil {
		o.Plan = idp.Plan(*p.Plan)
		rules = append(rules, idp.CheckPlan(o.Plan)...)
	}
	if p.MaxCredentialAge != nil {
		rules = append(rules, setCredentialAge(o, *p.MaxCredentialAge)...)
	}
	return rules
}

// setCredentialAge sets the member unless it breaks a rule.
func setCredentialAge(o *idp.Organization, seconds int64) []idp.Rule {
	if broken := idp.CheckCredentialAge(seconds); broken != nil {
		return broken
	}
	o.MaxCredentialAge = time.Duration(seconds) * time.Second
	return nil
}

// UpdateOrganization changes what the patch names. Only the operator's agents can.
func (s *Service) UpdateOrganization(ctx context.Context, actor Actor, id string, patch OrganizationPatch) (idp.Organization, error) {
	if err := actor.operate(); err != nil {
		return idp.Organization{}, err
	}
	if err := Invalid(patch.apply(&idp.Organization{})); err != nil {
		return idp.Organization{}, err
	}
	now := s.now()
	var updated idp.Organization
	err := actor.Commit(ctx, s.log, func(ctx context.Context, tx *store.Tx) ([]idp.Event, error) {
		before, err := actor.readOrganization(ctx, tx, id)
		if err != nil {
			return nil, err
		}
		if err := precondition(patch.IfMatch, before.Revision); err != nil {
			return nil, err
		}
		updated = before
		patch.apply(&updated)
		if updated == before {
			return nil, nil
		}
		updated.UpdatedAt = now
		if err := tx.Organizations.Update(ctx, updated); err != nil {
			return nil, err
		}
		updated.Revision++
		return []idp.Event{updatedOrganization(&actor, &before, &updated)}, nil
	})
	if err != nil {
		return idp.Organization{}, err
	}
	return updated, nil
}

func updatedOrganization(actor *Actor, before, next *idp.Organization) idp.Event {
	metadata := map[string]any{}
	var members []string
	if before.Name != next.Name {
		members = append(members, "name")
	}
	if before.Plan != next.Plan {
		members = append(members, "plan")
		metadata["planFrom"], metadata["planTo"] = string(before.Plan), string(next.Plan)
	}
	if before.MaxCredentialAge != next.MaxCredentialAge {
		members = append(members, "maxCredentialAge")
		metadata["maxCredentialAgeFrom"], metadata["maxCredentialAgeTo"] = seconds(before.MaxCredentialAge), seconds(next.MaxCredentialAge)
	}
	metadata["members"] = members
	return actor.Event(idp.ActionOrganizationUpdated, next.ID, metadata)
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }
