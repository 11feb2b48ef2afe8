package auditlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// plans hold the class that each event is kept as against what the log itself
// tells of its organization's plan. The class is not in an event's bytes: who
// changes it has the log prune what should be kept.
type plans struct {
	organizations store.Organizations
	changes       map[string][]planChange // by organization, oldest first
	exists        map[string]bool         // organizations the log tells nothing of
}

// tellsPlan reports whether the entry may tell a plan. Such a one is the first of
// its change: all of them are kept as the class of the plan it tells.
func tellsPlan(e entry) bool { return slices.Contains(planActions, e.row.Action) }

type planChange struct {
	sequence int64
	class    store.Class
	founding bool
}

// What tells plans; the operator's organization begins on plan free.
var planActions = []idp.Action{idp.ActionAdministratorBootstrap, idp.ActionOrganizationCreated, idp.ActionOrganizationUpdated}

func (v *verification) loadPlans(ctx context.Context) error {
	v.plans = plans{organizations: v.tx.Organizations, changes: map[string][]planChange{}, exists: map[string]bool{}}
	for _, action := range planActions {
		rows, err := v.byAction(ctx, action)
		if err != nil {
			return err
		}
		for i := range rows {
			if c, tells := readPlan(&rows[i]); tells {
				v.plans.changes[rows[i].OrganizationID] = append(v.plans.changes[rows[i].OrganizationID], c)
			}
		}
	}
	for _, changes := range v.plans.changes {
		slices.SortFunc(changes, func(x, y planChange) int { return int(x.sequence - y.sequence) })
	}
	return nil
}

// readPlan reads what plan the event's organization has from it on.
func readPlan(row *store.EventRow) (c planChange, tells bool) {
	var e struct {
		Metadata struct{ Plan, PlanTo idp.Plan } `json:"metadata"`
	}
	if json.Unmarshal(row.Body, &e) != nil || row.Outcome != idp.Success {
		return c, false // bytes that are no JSON are found when the event is read
	}
	c = planChange{sequence: row.Sequence, founding: row.Action != idp.ActionOrganizationUpdated}
	plan := e.Metadata.PlanTo
	if row.Action == idp.ActionAdministratorBootstrap {
		plan = idp.PlanFree
	} else if c.founding {
		plan = e.Metadata.Plan
	}
	c.class = classOf(plan)
	return c, plan != ""
}

func classOf(plan idp.Plan) store.Class {
	if plan == idp.PlanFree {
		return store.ClassFree
	}
	return store.ClassCustom
}

// fit reports whether the event is kept as what it should be.
func (p *plans) fit(ctx context.Context, row *store.EventRow, class store.Class) (bool, error) {
	founding := row.Action == idp.ActionAuditPruned || slices.Contains(planActions, row.Action)
	if founding || class == store.ClassRecord {
		return founding && class == store.ClassRecord, nil
	}
	changes := p.changes[row.OrganizationID]
	if len(changes) == 0 {
		known, err := p.known(ctx, row.OrganizationID)
		return known || class == store.ClassCustom, err
	}
	next := len(changes)
	for next > 0 && changes[next-1].sequence > row.Sequence {
		next--
	}
	switch {
	case next > 0:
		return changes[next-1].class == class, nil
	case changes[0].founding:
		return class == store.ClassCustom, nil // nobody's yet
	default:
		return true, nil // an organization that was brought in
	}
}

// known reports whether the organization exists: one that was brought in without
// its founding.
func (p *plans) known(ctx context.Context, id string) (bool, error) {
	if known, asked := p.exists[id]; asked {
		return known, nil
	}
	_, err := p.organizations.Get(ctx, id)
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return false, fmt.Errorf("organization: %w", err)
	}
	p.exists[id] = err == nil
	return err == nil, nil
}
