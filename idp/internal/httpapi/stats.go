package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

const maxBuckets = 1500

// statsStep is a length of buckets that can be asked for.
type statsStep struct {
	name  string
	step  time.Duration
	usual time.Duration // looked back when nothing says from where
	kept  time.Duration
}

// The default comes first.
var statsSteps = []statsStep{
	{"1h", store.StepHour, 24 * time.Hour, store.HoursKept},
	{"1m", store.StepMinute, time.Hour, store.MinutesKept},
	{"1d", store.StepDay, 30 * store.StepDay, store.DaysKept},
}

// statsWindow is what a caller asks for, in whole steps.
type statsWindow struct {
	statsStep
	from, to     time.Time
	organization string // named; "": none
}

// parseStatsQuery moves the ends outward to whole steps: a bucket that is asked
// for in part is shown whole.
func parseStatsQuery(raw string, now time.Time) (statsWindow, error) {
	q := parseQuery(raw)
	names := make([]string, len(statsSteps))
	for i, s := range statsSteps {
		names[i] = s.name
	}
	named := q.oneOf("step", names...)
	at := max(0, slices.IndexFunc(statsSteps, func(s statsStep) bool { return s.name == named }))
	w := statsWindow{statsStep: statsSteps[at], from: q.instant("from"), to: q.instant("to"), organization: q.text("organizationId")}
	if err := q.done(); err != nil {
		return w, err
	}
	if w.to.IsZero() {
		w.to = now.Add(1) // the bucket that holds now is shown, also when it has just begun
	}
	w.to = ceiling(w.to, w.step)
	if w.from.IsZero() {
		w.from = w.to.Add(-w.usual)
	}
	if w.from = w.from.Truncate(w.step); w.from.Before(time.Unix(0, 0)) {
		w.from = time.Unix(0, 0).UTC() // by default, before a very early to
	}
	switch {
	case !w.from.Before(w.to):
		q.breaks("to", "must be after from")
	case w.to.Sub(w.from) > maxBuckets*w.step:
		q.breaks("from", fmt.Sprintf("must be at most %d steps before to", maxBuckets))
	}
	return w, q.done()
}

// ceiling is the first whole step that is not before t. Steps divide a day, so
// that those since year 1, which Truncate knows, are those since 1970.
func ceiling(t time.Time, step time.Duration) time.Time {
	if down := t.Truncate(step); down.Before(t) {
		return down.Add(step)
	}
	return t
}

type countView struct {
	Action  string `json:"action"`
	Outcome string `json:"outcome"`
	Count   int64  `json:"count"`
}

type bucketView struct {
	At     string      `json:"at"`
	Counts []countView `json:"counts"`
}

type statsView struct {
	From           string        `json:"from"`
	To             string        `json:"to"`
	Step           string        `json:"step"`
	KeptFrom       string        `json:"keptFrom"`
	OrganizationID string        `json:"organizationId,omitempty"`
	Buckets        []bucketView  `json:"buckets"`
	Totals         []countView   `json:"totals"`
	TopDenied      topDeniedView `json:"topDenied"`
	Now            presentView   `json:"now"`
}

type presentView struct {
	At     string `json:"at"`
	Agents struct {
		Active         int64 `json:"active"`
		Suspended      int64 `json:"suspended"`
		Decommissioned int64 `json:"decommissioned"`
		Environments   struct {
			Development int64 `json:"development"`
			Staging     int64 `json:"staging"`
			Production  int64 `json:"production"`
		} `json:"environments"`
	} `json:"agents"`
	Credentials struct {
		Active   int64 `json:"active"`
		Expiring int64 `json:"expiring"`
	} `json:"credentials"`
	TokensThisMonth int64 `json:"tokensThisMonth"`
	Sidecars        struct {
		Connected int64 `json:"connected"`
		LastHour  int64 `json:"lastHour"`
	} `json:"sidecars"`
}

func (a *API) getStats(ctx context.Context, c *call) error {
	now := idp.Time(a.Now())
	w, err := parseStatsQuery(c.rawQuery(), now)
	if err != nil {
		return err
	}
	organization, err := c.counted(w.organization)
	if err != nil {
		return err
	}
	var counts, month []store.Count
	var denials []store.EventRow
	var present store.Present
	err = a.DB.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if w.organization != "" {
			if _, err := tx.Organizations.Get(ctx, w.organization); errors.Is(err, idp.ErrNotFound) {
				return noOrganization("organization_not_found")
			} else if err != nil {
				return err
			}
		}
		if counts, err = tx.Stats.Counts(ctx, store.CountQuery{OrganizationID: organization, Step: w.step, From: w.from, To: w.to}); err != nil {
			return err
		}
		first := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
		if month, err = tx.Stats.Counts(ctx, store.CountQuery{OrganizationID: organization, Step: store.StepDay, From: first, To: ceiling(now.Add(1), store.StepDay)}); err != nil {
			return err
		}
		if denials, err = latestDenials(ctx, tx, organization, w.from, w.to); err != nil {
			return err
		}
		present, err = tx.Stats.Present(ctx, organization, now)
		return err
	})
	if err != nil {
		return registry.StoreError(err)
	}
	view := statsView{
		From: stamp(w.from), To: stamp(w.to), Step: w.name, KeptFrom: stamp(ceiling(now.Add(-w.kept), w.step)), OrganizationID: organization,
		Buckets: viewBuckets(w, counts), Totals: viewTotals(counts), Now: viewPresent(present),
	}
	if view.TopDenied, err = viewTopDenied(w, denials); err != nil {
		return err
	}
	view.Now.At = stamp(now)
	for _, n := range month {
		if n.Action == idp.ActionTokenIssued && n.Outcome == idp.Success {
			view.Now.TokensThisMonth += n.Count
		}
	}
	return c.answer(http.StatusOK, view)
}

// counted is the organization whose numbers the caller sees: the one that is
// named, else its own, and for the operator all together.
func (c *call) counted(named string) (string, error) {
	if named == "" {
		return c.visibleLog(), nil
	}
	return c.named(named)
}

// named is the organization that a query names, if it exists for the caller;
// naming none means the caller's own.
func (c *call) named(organizationID string) (string, error) {
	actor, err := c.actor()
	switch {
	case err != nil:
		return "", err
	case organizationID == "":
		return c.organizationID, nil
	case !actor.Sees(organizationID):
		return "", noOrganization(reasonOtherOrganization)
	}
	return organizationID, nil
}

func noOrganization(reason string) error {
	return apierr.New(apierr.NotFound, "no such organization").WithReason(reason)
}

// viewBuckets has every bucket of the window, in order, as the counts are.
func viewBuckets(w statsWindow, counts []store.Count) []bucketView {
	buckets := make([]bucketView, 0, int(w.to.Sub(w.from)/w.step))
	for at := w.from; at.Before(w.to); at = at.Add(w.step) {
		b := bucketView{At: stamp(at), Counts: []countView{}}
		for len(counts) > 0 && counts[0].At.Equal(at) {
			b.Counts = append(b.Counts, countView{string(counts[0].Action), string(counts[0].Outcome), counts[0].Count})
			counts = counts[1:]
		}
		buckets = append(buckets, b)
	}
	return buckets
}

func viewTotals(counts []store.Count) []countView {
	sums := map[countView]int64{}
	for _, n := range counts {
		sums[countView{Action: string(n.Action), Outcome: string(n.Outcome)}] += n.Count
	}
	totals := make([]countView, 0, len(sums))
	for v, n := range sums {
		v.Count = n
		totals = append(totals, v)
	}
	slices.SortFunc(totals, func(a, b countView) int {
		return cmp.Or(cmp.Compare(a.Action, b.Action), cmp.Compare(a.Outcome, b.Outcome))
	})
	return totals
}

func viewPresent(p store.Present) (v presentView) {
	v.Agents.Active, v.Agents.Suspended, v.Agents.Decommissioned = p.ActiveAgents, p.SuspendedAgents, p.DecommissionedAgents
	v.Agents.Environments.Development, v.Agents.Environments.Staging, v.Agents.Environments.Production = p.DevelopmentAgents, p.StagingAgents, p.ProductionAgents
	v.Credentials.Active, v.Credentials.Expiring = p.Credentials, p.ExpiringCredentials
	v.Sidecars.Connected, v.Sidecars.LastHour = p.ConnectedSidecars, p.RecentSidecars
	return v
}
