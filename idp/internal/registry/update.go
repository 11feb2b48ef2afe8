package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// AgentPatch is the body of PATCH /agents/{agentId}: nil members stay as they are.
type AgentPatch struct {
	Email        *string
	Type         *string
	Version      *string
	Capabilities *[]string
	Owner        *string
	Environment  *string
	Status       *string         // active or suspended
	Metadata     json.RawMessage // nil: untouched; null: cleared; else replaces the whole
	JWKS         json.RawMessage // likewise
	JWKSURI      *string         // nil: untouched; empty: cleared
	Reason       string          // why the status changes, for the audit log; may be empty
	IfMatch      string          // the header as sent; empty without one
}

func (p *AgentPatch) checkReason() []idp.Rule {
	if p.Reason != "" && p.Status == nil {
		return []idp.Rule{{Field: "reason", Text: "goes with status"}}
	}
	return idp.CheckReason(p.Reason)
}

// members lists the JSON names of what the patch names.
func (p *AgentPatch) members() []string {
	var names []string
	name := func(given bool, member string) {
		if given {
			names = append(names, member)
		}
	}
	name(p.Email != nil, "email")
	name(p.Type != nil, "agentType")
	name(p.Version != nil, "version")
	name(p.Capabilities != nil, "capabilities")
	name(p.Owner != nil, "owner")
	name(p.Environment != nil, "deploymentEnv")
	name(p.Status != nil, "status")
	name(p.Metadata != nil, "metadata")
	name(p.JWKS != nil, "jwks")
	name(p.JWKSURI != nil, "jwksUri")
	return names
}

// apply sets the named members of a and returns every rule they break.
func (p *AgentPatch) apply(a *idp.Agent, allowHTTP bool) []idp.Rule {
	var all, rules []idp.Rule
	if p.Email != nil {
		a.Email, rules = idp.NormalizeEmail(*p.Email)
		all = append(all, rules...)
	}
	if p.Type != nil {
		a.Type = idp.AgentType(*p.Type)
		all = append(all, idp.CheckAgentType(a.Type)...)
	}
	if p.Version != nil {
		a.Version = *p.Version
		all = append(all, idp.CheckVersion(a.Version)...)
	}
	if p.Capabilities != nil {
		a.Capabilities, rules = idp.ParseCapabilities(*p.Capabilities)
		all = append(all, rules...)
	}
	if p.Owner != nil {
		a.Owner = *p.Owner
		all = append(all, idp.CheckOwner(a.Owner)...)
	}
	if p.Environment != nil {
		a.Environment = idp.Environment(*p.Environment)
		all = append(all, idp.CheckEnvironment(a.Environment)...)
	}
	if p.Status != nil {
		a.Status = idp.Status(*p.Status)
		all = append(all, idp.CheckSwitch(a.Status)...)
	}
	if p.Metadata != nil {
		a.Metadata, rules = idp.CompactMetadata(p.Metadata)
		all = append(all, rules...)
	}
	return append(all, p.applyKeys(a, allowHTTP)...)
}

// UpdateAgent changes what the patch names. A patch that changes nothing
// leaves revision and log alone.
func (s *Service) UpdateAgent(ctx context.Context, actor Actor, id string, patch AgentPatch) (idp.Agent, error) {
	if err := actor.mayTouch(patch.members()...); err != nil {
		return idp.Agent{}, err
	}
	if err := Invalid(patch.apply(&idp.Agent{}, s.allowHTTP), patch.checkReason()); err != nil {
		return idp.Agent{}, err
	}
	now := s.now()
	var updated idp.Agent
	err := actor.Commit(ctx, s.log, func(ctx context.Context, tx *store.Tx) ([]idp.Event, error) {
		before, err := actor.Agent(ctx, tx, id)
		if err != nil {
			return nil, err
		}
		next := before
		if err := Invalid(patch.apply(&next, s.allowHTTP)); err != nil {
			return nil, err // the keys it names do not go with those the agent has
		}
		updated = next
		if err := admitUpdate(ctx, tx, &actor, &before, &next, patch.IfMatch); err != nil {
			return nil, err
		}
		events := changes(&actor, &before, &next, patch.Reason)
		if events == nil {
			return nil, nil
		}
		err = saveAgent(ctx, tx, &before, &next, now)
		updated = next
		return events, err
	})
	if err != nil {
		return idp.Agent{}, err
	}
	return updated, nil
}

// admitUpdate asks everything that may stand against turning before into next.
func admitUpdate(ctx context.Context, tx *store.Tx, actor *Actor, before, next *idp.Agent, ifMatch string) error {
	if err := precondition(ifMatch, before.Revision); err != nil {
		return err
	}
	if !before.Status.CanBecome(next.Status) {
		return apierr.New(apierr.InvalidState, "the agent is decommissioned").WithReason("agent_decommissioned")
	}
	if err := actor.mayChange(before, next); err != nil {
		return err
	}
	return keepAdministrator(ctx, tx, before, next)
}

// saveAgent writes next over before and cuts the tokens that the change costs.
func saveAgent(ctx context.Context, tx *store.Tx, before, next *idp.Agent, now time.Time) error {
	if before.CutsTokens(next) {
		reason := reasonCapability
		switch {
		case next.Status == idp.Decommissioned:
			reason = reasonDecommissioned
		case next.Status == idp.Suspended && before.Status != idp.Suspended:
			reason = reasonSuspended
		}
		if _, err := CutAgent(ctx, tx, next, reason, now); err != nil {
			return err
		}
	}
	if keyMembers(before, next) != nil {
		if err := rekey(ctx, tx, next.ID); err != nil {
			return err
		}
	}
	next.UpdatedAt = now
	err := tx.Agents.Update(ctx, *next)
	if before.Email != next.Email {
		err = emailTaken(err)
	}
	next.Revision++
	return err
}

// changes describes the difference as events: one for the members, one for the status; nil without any.
func changes(actor *Actor, before, next *idp.Agent, reason string) []idp.Event {
	metadata := map[string]any{"targetAgentId": next.ID}
	var members []string
	differs := func(different bool, member string) {
		if different {
			members = append(members, member)
		}
	}
	differs(before.Email != next.Email, "email")
	differs(before.Type != next.Type, "agentType")
	differs(before.Version != next.Version, "version")
	if !slices.Equal(before.Capabilities, next.Capabilities) {
		members = append(members, "capabilities")
		metadata["capabilitiesAdded"] = without(next.Capabilities, before.Capabilities).Strings()
		metadata["capabilitiesRemoved"] = without(before.Capabilities, next.Capabilities).Strings()
	}
	differs(before.Owner != next.Owner, "owner")
	differs(before.Environment != next.Environment, "deploymentEnv")
	differs(!bytes.Equal(before.Metadata, next.Metadata), "metadata")
	members = append(members, keyMembers(before, next)...)

	var events []idp.Event
	if members != nil {
		metadata["members"] = members
		events = append(events, actor.Event(idp.ActionAgentUpdated, next.OrganizationID, metadata))
	}
	if before.Status != next.Status {
		events = append(events, switched(actor, before, next, reason))
	}
	return events
}

func switched(actor *Actor, before, next *idp.Agent, reason string) idp.Event {
	action := map[idp.Status]idp.Action{
		idp.Active: idp.ActionAgentReactivated, idp.Suspended: idp.ActionAgentSuspended,
		idp.Decommissioned: idp.ActionAgentDecommissioned,
	}[next.Status]
	return actor.Event(action, next.OrganizationID, Because(reason, map[string]any{
		"targetAgentId": next.ID, "from": string(before.Status), "to": string(next.Status),
	}))
}

// Decommission says how to end an agent.
type Decommission struct {
	Reason  string // for the audit log; may be empty
	IfMatch string // the header as sent; empty without one
}

// DecommissionAgent ends an agent for good, with all its credentials and live
// tokens. Doing it again is no error.
func (s *Service) DecommissionAgent(ctx context.Context, actor Actor, id string, in Decommission) error {
	if err := actor.mayTouch("status"); err != nil {
		return err
	}
	if err := Invalid(idp.CheckReason(in.Reason)); err != nil {
		return err
	}
	now := s.now()
	var ended []idp.Credential
	err := actor.Commit(ctx, s.log, func(ctx context.Context, tx *store.Tx) (_ []idp.Event, err error) {
		before, err := actor.Agent(ctx, tx, id)
		if err != nil {
			return nil, err
		}
		if before.Status == idp.Decommissioned {
			return nil, nil
		}
		next := before
		next.Status = idp.Decommissioned
		if err := admitUpdate(ctx, tx, &actor, &before, &next, in.IfMatch); err != nil {
			return nil, err
		}
		if err := saveAgent(ctx, tx, &before, &next, now); err != nil {
			return nil, err
		}
		if ended, err = tx.Credentials.Live(ctx, id); err != nil {
			return nil, err
		}
		revoked, err := revokeAll(ctx, tx, &actor, ended, now)
		return append([]idp.Event{switched(&actor, &before, &next, in.Reason)}, revoked...), err
	})
	if err != nil {
		return err
	}
	for _, credential := range ended {
		s.forget(ctx, credential)
	}
	return nil
}

func (s *Service) forget(ctx context.Context, credential idp.Credential) {
	if s.drop != nil && credential.ID != "" {
		s.drop(ctx, credential)
	}
}

// revokeAll ends every credential of a decommissioned agent.
func revokeAll(ctx context.Context, tx *store.Tx, actor *Actor, live []idp.Credential, now time.Time) ([]idp.Event, error) {
	var events []idp.Event
	for _, c := range live {
		if err := revokeCredential(ctx, tx, &c, true, reasonDecommissioned, now); err != nil {
			return nil, err
		}
		events = append(events, revokedCredential(actor, &c, CredentialRevocation{Tokens: true}))
	}
	return events, nil
}
