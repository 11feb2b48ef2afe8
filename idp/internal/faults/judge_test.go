package faults

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// judge holds what clients were told against what is there.
func judge(view *snapshot, deeds []deed) (f figures) {
	for place := range view.events {
		if view.events[place].Sequence != int64(place) {
			f.forks++
		}
	}
	told := index(view)
	for i := range deeds {
		d := &deeds[i]
		switch d.told {
		case unknown: // either is right; discord finds halves
		case yes:
			f.acked++
			if what := told.missing(view, d); what != "" {
				f.lost = append(f.lost, fmt.Sprintf("%s %s (%d): %s", d.kind, d.id, d.status, what))
			}
		case no:
			if what := told.present(view, d); what != "" {
				f.phantom = append(f.phantom, fmt.Sprintf("%s %s (%d %s): %s", d.kind, d.id, d.status, d.reply, what))
			}
		}
	}
	f.phantom = append(f.phantom, told.repeated()...)
	f.phantom = append(f.phantom, twins(view, deeds)...)
	f.unaudited = told.discord(view)
	return f
}

// chronicle is the audit log, indexed.
type chronicle struct {
	byRequest map[string]map[string]int // request, action: events
	byTarget  map[string]map[string]int // agent, credential or jti, action: events
	issued    map[string]int            // agent: token.issued
	status    map[string]string         // agent: what its events say
}

func index(view *snapshot) *chronicle {
	c := &chronicle{map[string]map[string]int{}, map[string]map[string]int{}, map[string]int{}, map[string]string{}}
	count := func(in map[string]map[string]int, key, action string) {
		if in[key] == nil {
			in[key] = map[string]int{}
		}
		in[key][action]++
	}
	after := map[string]string{
		"agent.created": "active", "agent.suspended": "suspended", "agent.reactivated": "active", "agent.decommissioned": "decommissioned",
	}
	for i := range view.events {
		e := &view.events[i]
		if e.Outcome != "success" {
			continue
		}
		count(c.byRequest, e.RequestID, e.Action)
		if status := after[e.Action]; status != "" {
			count(c.byTarget, e.Metadata.TargetAgentID, e.Action)
			c.status[e.Metadata.TargetAgentID] = status
		}
		switch e.Action {
		case "token.issued":
			c.issued[e.AgentID]++
			count(c.byTarget, e.Metadata.JTI, e.Action)
		case "token.revoked":
			count(c.byTarget, e.Metadata.JTI, e.Action)
		case "revocation.created":
			if e.Metadata.Type == "jti" {
				count(c.byTarget, e.Metadata.ID, "token.revoked")
			}
		case "credential.created", "credential.rotated", "credential.revoked":
			count(c.byTarget, e.Metadata.CredentialID, e.Action)
		}
	}
	return c
}

// missing says what a deed that was acknowledged lacks.
func (c *chronicle) missing(view *snapshot, d *deed) string {
	action := actions[d.kind]
	target := map[kind]string{
		create: d.agentID, credential: d.credentialID, issue: d.jti, rotate: d.credentialID,
		revoke: d.jti, withdraw: d.credentialID, suspend: d.agentID, remove: d.agentID,
	}[d.kind]
	// The events of a repeated request are of the first one; a token may be revoked
	// and an agent deleted twice.
	own := !d.replayed && d.kind != revoke && d.kind != remove && d.kind != withdraw && d.kind != suspend
	switch {
	case target == "":
		return "the answer does not name it"
	case c.byTarget[target][action] == 0:
		return "no event " + action + " of " + target
	case own && c.byRequest[d.id][action] != 1:
		return fmt.Sprintf("%d events %s of the request", c.byRequest[d.id][action], action)
	}
	agent, hasAgent := view.agents[d.agentID]
	held, hasCredential := view.credentials[d.credentialID]
	switch d.kind {
	case create:
		if !hasAgent || agent.email != d.email {
			return "no such agent"
		}
	case credential, rotate:
		if !hasCredential {
			return "no such credential"
		}
	case revoke:
		if view.revoked[d.jti] == 0 {
			return "the token is not revoked"
		}
	case withdraw:
		if !hasCredential || held.status != "revoked" {
			return "the credential is not revoked"
		}
	case suspend:
		if agent.status == "active" {
			return "the agent is active"
		}
	case remove:
		if agent.status != "decommissioned" {
			return "the agent is " + agent.status
		}
	case issue: // its event is all there is
	}
	return ""
}

// present says what there is of a deed that was refused.
func (c *chronicle) present(view *snapshot, d *deed) string {
	if c.byRequest[d.id][actions[d.kind]] > 0 {
		return "there is an event " + actions[d.kind]
	}
	return ""
}

// repeated finds requests that had their effect twice.
func (c *chronicle) repeated() (found []string) {
	for request, events := range c.byRequest {
		for _, action := range []string{"agent.created", "credential.created", "credential.rotated", "token.issued", "token.revoked", "agent.suspended", "agent.decommissioned"} {
			if request != "" && events[action] > 1 {
				found = append(found, fmt.Sprintf("%s: %d events %s", request, events[action], action))
			}
		}
	}
	return found
}

// twins finds Idempotency-Keys that made more than one thing. An agent's email
// is its own, and every key here is of one email.
func twins(view *snapshot, deeds []deed) (found []string) {
	byEmail := map[string]int{}
	for _, agent := range view.agents {
		byEmail[agent.email]++
	}
	made := map[string]map[string]bool{} // key: agents or credentials that answers named
	for i := range deeds {
		d := &deeds[i]
		if d.kind == create && byEmail[d.email] > 1 {
			found = append(found, fmt.Sprintf("%d agents %s", byEmail[d.email], d.email))
		}
		if d.key == "" || d.told != yes {
			continue
		}
		if made[d.key] == nil {
			made[d.key] = map[string]bool{}
		}
		made[d.key][d.agentID+" "+d.credentialID] = true
		if len(made[d.key]) > 1 {
			found = append(found, "Idempotency-Key "+d.key+" made two")
		}
	}
	for key, resources := range view.keys {
		if len(resources) > 1 {
			found = append(found, "Idempotency-Key "+key+" is there twice")
		}
	}
	return found
}

// discord finds effects without their events and events without their effects.
func (c *chronicle) discord(view *snapshot) (found []string) {
	report := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	for id, agent := range view.agents {
		if agent.email == "admin@localhost" {
			continue
		}
		if n := c.byTarget[id]["agent.created"]; n != 1 {
			report("agent %s: %d events agent.created", id, n)
		}
		if agent.status != c.status[id] {
			report("agent %s is %s, its events say %s", id, agent.status, c.status[id])
		}
		if cuts := c.byTarget[id]["agent.suspended"] + c.byTarget[id]["agent.decommissioned"]; agent.epoch != cuts {
			report("agent %s: epoch %d, %d events that raise it", id, agent.epoch, cuts)
		}
		if view.usage[id] != c.issued[id] {
			report("agent %s: %d tokens counted, %d issued", id, view.usage[id], c.issued[id])
		}
	}
	for id, held := range view.credentials {
		if view.agents[held.agentID].email == "admin@localhost" {
			continue
		}
		events := c.byTarget[id]
		if events["credential.created"] != 1 {
			report("credential %s: %d events credential.created", id, events["credential.created"])
		}
		if revoked := events["credential.revoked"] > 0; revoked != (held.status == "revoked") {
			report("credential %s is %s, its events say revoked: %t", id, held.status, revoked)
		}
		if want := 1 + events["credential.rotated"] + events["credential.revoked"]; held.version != want {
			report("credential %s: version %d, its events say %d", id, held.version, want)
		}
	}
	for jti, n := range view.revoked {
		if n != 1 || c.byTarget[jti]["token.revoked"] != 1 {
			report("token %s: %d entries, %d events token.revoked", jti, n, c.byTarget[jti]["token.revoked"])
		}
	}
	for target, events := range c.byTarget {
		if _, isAgent := view.agents[target]; events["agent.created"] > 0 && !isAgent {
			report("event agent.created without agent %s", target)
		}
		if _, isCredential := view.credentials[target]; events["credential.created"] > 0 && !isCredential {
			report("event credential.created without credential %s", target)
		}
		if events["token.revoked"] > 0 && view.revoked[target] == 0 {
			report("event token.revoked without entry %s", target)
		}
		if events["token.issued"] > 1 {
			report("token %s issued %d times", target, events["token.issued"])
		}
	}
	return found
}

// The judge must see every kind of offence; a store that is right has none.
func TestJudge(t *testing.T) {
	sound := func() (*snapshot, []deed) {
		made, minted := event{Action: "agent.created", Outcome: "success", RequestID: "r1"}, event{Action: "token.issued", Outcome: "success", RequestID: "r2", AgentID: "a", Sequence: 1}
		made.Metadata.TargetAgentID, minted.Metadata.JTI = "a", "j"
		return &snapshot{
			agents: map[string]agentRow{"a": {email: "a@example.com", status: "active"}}, usage: map[string]int{"a": 1}, revoked: map[string]int{},
			credentials: map[string]credentialRow{}, keys: map[string][]string{}, events: []event{made, minted},
		}, []deed{{id: "r1", kind: create, told: yes, agentID: "a", email: "a@example.com"}, {id: "r2", kind: issue, told: yes, agentID: "a", jti: "j"}}
	}
	for name, c := range map[string]struct {
		spoil                    func(view *snapshot, deeds []deed)
		lost, phantom, unaudited int
	}{
		"sound":              {func(*snapshot, []deed) {}, 0, 0, 0},
		"row gone":           {func(v *snapshot, _ []deed) { delete(v.agents, "a") }, 1, 0, 1},
		"event gone":         {func(v *snapshot, _ []deed) { v.events = v.events[1:] }, 1, 0, 2},
		"token's event gone": {func(v *snapshot, _ []deed) { v.events = v.events[:1] }, 1, 0, 1},
		"not counted":        {func(v *snapshot, _ []deed) { v.usage["a"] = 0 }, 0, 0, 1},
		"refused, done":      {func(_ *snapshot, d []deed) { d[1].told = no }, 0, 1, 0},
		"unknown is no lie":  {func(_ *snapshot, d []deed) { d[1].told = unknown }, 0, 0, 0},
		"status unexplained": {func(v *snapshot, _ []deed) { v.agents["a"] = agentRow{email: "a@example.com", status: "suspended"} }, 0, 0, 1},
		"twice":              {func(v *snapshot, _ []deed) { v.events = append(v.events, v.events[1]); v.usage["a"] = 2 }, 1, 1, 1},
		"second agent":       {func(v *snapshot, _ []deed) { v.agents["b"] = agentRow{email: "a@example.com", status: "active"} }, 0, 1, 2},
		"entry unaudited":    {func(v *snapshot, _ []deed) { v.revoked["x"] = 1 }, 0, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			view, deeds := sound()
			c.spoil(view, deeds)
			f := judge(view, deeds)
			require.Equal(t, []int{c.lost, c.phantom, c.unaudited}, []int{len(f.lost), len(f.phantom), len(f.unaudited)}, "%+v", f)
		})
	}
}

func TestForksAreCounted(t *testing.T) {
	for name, c := range map[string]struct {
		sequences []int64
		forks     int
	}{
		"none": {[]int64{0, 1, 2}, 0}, "twice": {[]int64{0, 1, 1, 2}, 2}, "gap": {[]int64{0, 2}, 1}, "cut": {[]int64{1}, 1},
	} {
		view := &snapshot{}
		for _, sequence := range c.sequences {
			view.events = append(view.events, event{Sequence: sequence})
		}
		require.Equal(t, c.forks, judge(view, nil).forks, name)
	}
}
