package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sentryagent/agentidp/bench/result"
)

// area is a chapter of the page: the scenarios whose names begin so.
type area struct {
	id, title, intro string
	what             string // in a chart's title
	prefixes         []string
	alike            bool // all scenarios send the same request, so their rates may stand in one chart
}

// areas in the page's order; the last takes what no other has.
var areas = []area{
	{"issuance", "Tokens and API", "What the IdP answers; every token's audit event is durable before the token leaves.", "tokens and API", []string{"issu", "token", "introspect", "jwks", "regist", "agent", "api", "idp", "overload", "flood"}, false},
	{"sidecar", "The sidecar", "One hop more before an API, beside the same hop without any check and beside proxies that check less.", "sidecar", []string{"sidecar", "proxy", "hop", "sidecar", "bare", "direct", "upstream", "haproxy", "nginx"}, true},
	{"audit", "Audit", "Appending to the log, taking in decisions, asking it.", "audit log", []string{"audit", "list", "append", "audit log", "ingest", "decision", "event", "proof", "query", "store"}, false},
	{"revocation", "Revocation", "From the 200 of a suspension to its effect.", "revocation", []string{"revo", "feed", "reach"}, false},
	{"soak", "Soak", "A share of the capacity, held while keys, secrets, tokens, routes and policies change. Flat is what it should be.", "soak", []string{"soak"}, false},
	{"growth", "Growth", "What becomes of a latency when there is more of everything.", "growth", []string{"growth", "grow"}, false},
	{"footprint", "Start and memory", "What it takes to be there at all.", "start and memory", []string{"start", "memory", "idle", "footprint", "rss", "cache"}, false},
	{"limits", "Limits of this machine", "Baselines of the same run: no ratio is taken against a figure from elsewhere.", "limits", []string{"limit", "sign", "verify", "baseline", "copy", "rsa"}, false},
	{"other", "Other", "", "other", nil, false},
}

// of are the area's rows, in the file's order.
func (a area) of(rows []result.Row) []result.Row {
	var mine []result.Row
	for _, r := range rows {
		if areaOf(r.Scenario).id == a.id {
			mine = append(mine, r)
		}
	}
	return mine
}

// about is what a chart of these rows is about.
func (a area) about(rows []result.Row) string {
	groups := byScenario(rows)
	if len(groups) == 1 {
		return humane(rows[0].Scenario)
	}
	return a.what
}

// once leaves out what was measured again beside another scenario of the same
// request: the bare proxy is one line in a chart, not four.
func once(rows []result.Row) []result.Row {
	type what struct {
		subject string
		open    bool
	}
	of := func(r result.Row) what {
		_, open := r.Params["rate"]
		return what{r.Subject, open}
	}
	count := map[what]map[string]int{}
	for _, r := range rows {
		if count[of(r)] == nil {
			count[of(r)] = map[string]int{}
		}
		count[of(r)][r.Scenario]++
	}
	return slices.DeleteFunc(slices.Clone(rows), func(r result.Row) bool {
		if ours(r) {
			return false
		}
		for scenario, n := range count[of(r)] {
			mine := count[of(r)][r.Scenario]
			if n > mine || n == mine && scenario > r.Scenario { // warm, of warm and cold
				return true
			}
		}
		return false
	})
}

func areaOf(scenario string) area {
	for _, a := range areas {
		if slices.ContainsFunc(a.prefixes, func(p string) bool { return strings.HasPrefix(scenario, p) }) {
			return a
		}
	}
	return areas[len(areas)-1]
}

// colours are names of theme.css: one subject has one in every chart. They are
// those of Okabe and Ito, which people who see few colours can tell apart.
var colours = map[string]string{
	"idp": "ours", "agentidp": "ours", "sidecar": "ours", "other-sidecar": "purple",
	"haproxy": "vermilion", "nginx": "green", "oidc-provider": "purple", "hydra": "orange", "dex": "yellow",
	"bare": "ink2", "direct": "ink3", "upstream": "ink3", "sign": "ink2", "verify": "ink3", "copy": "ink2", "limit": "ink2", "go": "ink2",
}

var spare = []string{"vermilion", "green", "purple", "orange", "yellow", "ink2", "ink3"}

// colour of a subject that nobody foresaw is ours where the scenario is ours:
// it is a part of it, such as one query of the audit log. Elsewhere it depends
// on the name only, so that it is the same in two reports. A variant,
// haproxy-jwt, has its family's.
func colour(r result.Row) string {
	for name := r.Subject; name != ""; {
		if c, ok := colours[name]; ok {
			return c
		}
		name = name[:max(0, strings.LastIndexAny(name, "-_ /"))]
	}
	if areaOf(r.Scenario).prefixes != nil {
		return "ours"
	}
	sum := 0
	for _, b := range []byte(r.Subject) {
		sum += int(b)
	}
	return spare[sum%len(spare)]
}

func ours(r result.Row) bool { return colour(r) == "ours" }

var subjects = map[string]string{
	"idp": "AgentIdP", "sidecar": "sidecar", "haproxy": "HAProxy", "nginx": "nginx", "bare": "bare proxy",
	"direct": "no proxy", "haproxy-jwt": "HAProxy jwt_verify", "oidc-provider": "oidc-provider", "hydra": "Hydra", "dex": "Dex", "other-sidecar": "other sidecar",
}

func subjectName(subject string) string {
	if name, ok := subjects[subject]; ok {
		return name
	}
	for _, base := range slices.Sorted(maps.Keys(subjects)) {
		if rest, ok := strings.CutPrefix(subject, base+"-"); ok {
			return subjects[base] + " " + humane(rest)
		}
	}
	return humane(subject)
}

// known subjects have a name that says enough.
func known(subject string) bool {
	_, is := subjects[subject]
	return is || subjectName(subject) != humane(subject)
}

func humane(name string) string { return strings.NewReplacer("-", " ", "_", " ").Replace(name) }

// label names the rows of a series so that no two in the chart are called the
// same and none says more than it must.
func label(r result.Row, except string, among []result.Row) string {
	parts := []string{subjectName(r.Subject)}
	elsewhere := slices.ContainsFunc(among, func(other result.Row) bool { return other.Subject == r.Subject && other.Scenario != r.Scenario })
	switch own := r.Subject == "idp" || r.Subject == "sidecar"; {
	case elsewhere && own:
		parts[0] = humane(r.Scenario)
		if areaOf(r.Scenario).id == "footprint" {
			parts = append(parts, subjectName(r.Subject))
		}
	case !known(r.Subject) && len(byScenario(among)) > 1:
		parts[0] = humane(r.Scenario + " " + r.Subject)
	case elsewhere:
		parts = append(parts, humane(r.Scenario))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Params)) {
		if name != except && differs(name, r, among) {
			parts = append(parts, param(name, r.Params[name]))
		}
	}
	return strings.Join(parts, ", ")
}

// differs tells whether rows alike in all but this parameter stand in the chart.
func differs(name string, r result.Row, among []result.Row) bool {
	return slices.ContainsFunc(among, func(other result.Row) bool {
		return other.Scenario == r.Scenario && other.Subject == r.Subject && other.Params[name] != r.Params[name]
	})
}

func param(name string, v float64) string {
	if v == 1 {
		return "1 " + strings.TrimSuffix(name, "s")
	}
	return fmt.Sprintf("%s %s", short(v), humane(name))
}

// identity is the row's key without one parameter: the series it belongs to.
func identity(r result.Row, without ...string) string {
	rest := result.Row{Scenario: r.Scenario, Subject: r.Subject, Params: maps.Clone(r.Params)}
	for _, name := range without {
		delete(rest.Params, name)
	}
	return rest.Key()
}
