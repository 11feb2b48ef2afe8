// Package monitoring_test holds rules, dashboards and runbooks against each
// other and against the list of metrics. What needs a Prometheus is in
// live_test.go, behind the build tag monitoring.
package monitoring_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

const (
	docs     = "../../docs"
	runbooks = docs + "/runbooks"
	prefix   = "AgentIdP" // of every alert: it shares its Prometheus with others
)

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(content)
}

func files(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.NotEmpty(t, found, pattern)
	return found
}

type rule struct {
	Alert, Record, Expr, For string
	Labels, Annotations      map[string]string
}

func rules(t *testing.T) (list []rule) {
	t.Helper()
	for _, path := range files(t, "rules/*.yml") {
		var file struct{ Groups []struct{ Rules []rule } }
		require.NoError(t, yaml.Unmarshal([]byte(read(t, path)), &file), path)
		for _, group := range file.Groups {
			list = append(list, group.Rules...)
		}
	}
	return list
}

// alerts are the severities of each.
func alerts(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for _, r := range rules(t) {
		if r.Alert != "" {
			found[r.Alert] = append(found[r.Alert], r.Labels["severity"])
		}
	}
	return found
}

func TestAlertsSayWhatIsNeeded(t *testing.T) {
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		require.True(t, strings.HasPrefix(r.Alert, prefix), r.Alert)
		require.Contains(t, []string{"critical", "warning"}, r.Labels["severity"], r.Alert)
		require.NotEmpty(t, r.Annotations["summary"], r.Alert)
		if !strings.Contains(r.Expr, "absent(") { // which has no figure
			require.Contains(t, r.Annotations["description"], "$value", r.Alert)
		}
		require.Equal(t, "docs/runbooks/"+r.Alert+".md", r.Annotations["runbook_url"])
	}
}

// promtool runs these; here is only that none is missing: each severity of each
// alert is expected once, and each alert is silent once.
func TestEveryAlertIsTested(t *testing.T) {
	expected, silent := map[string]bool{}, map[string]bool{}
	for _, path := range files(t, "tests/*.yml") {
		var file struct {
			Tests []struct {
				AlertRuleTest []struct {
					AlertName string `yaml:"alertname"`
					ExpAlerts []struct {
						ExpLabels map[string]string `yaml:"exp_labels"`
					} `yaml:"exp_alerts"`
				} `yaml:"alert_rule_test"`
			}
		}
		require.NoError(t, yaml.Unmarshal([]byte(read(t, path)), &file), path)
		for _, test := range file.Tests {
			for _, of := range test.AlertRuleTest {
				silent[of.AlertName] = silent[of.AlertName] || len(of.ExpAlerts) == 0
				for _, alert := range of.ExpAlerts {
					expected[of.AlertName+" "+alert.ExpLabels["severity"]] = true
				}
			}
		}
	}
	for alert, severities := range alerts(t) {
		require.True(t, silent[alert], "no test in which %s stays silent", alert)
		for _, severity := range severities {
			require.True(t, expected[alert+" "+severity], "no test in which %s fires as %s", alert, severity)
		}
	}
}

func TestEveryAlertHasItsPage(t *testing.T) {
	var pages []string
	for _, path := range files(t, runbooks+"/*.md") {
		if name := strings.TrimSuffix(filepath.Base(path), ".md"); strings.HasPrefix(name, prefix) {
			pages = append(pages, name)
			text := read(t, path)
			require.True(t, strings.HasPrefix(text, "# "+name+"\n"), path)
			for _, section := range []string{"\n## What it means\n", "\n## Check\n", "\n## Fix\n", "\n## Over when\n"} {
				require.Contains(t, text, section, path)
			}
		}
	}
	require.Equal(t, slices.Sorted(maps.Keys(alerts(t))), slices.Sorted(slices.Values(pages)))
	index := read(t, docs+"/monitoring.md")
	for _, page := range pages {
		require.Contains(t, index, "(runbooks/"+page+".md)")
	}
}

var (
	command = regexp.MustCompile("(?m)(?:^ {4,}|`)agentidp ([a-z-]+(?: [a-z]+)?)")
	asked   = regexp.MustCompile(`http://(?:IDP|SIDECAR):\d+(/[^ |\n]*)`)
)

// What a page tells to type exists: commands in the reference, addresses in the
// description of the API or among those of the admin addresses.
func TestPagesNameWhatExists(t *testing.T) {
	reference, api := read(t, docs+"/cli.md"), read(t, docs+"/openapi.yaml")
	for _, path := range files(t, runbooks+"/"+prefix+"*.md") {
		text := read(t, path)
		require.Regexp(t, "agentidp [a-z]|curl", text, path)
		for _, match := range command.FindAllStringSubmatch(text, -1) {
			require.Regexp(t, "(?m)^### agentidp "+match[1]+"( |$)", reference, path)
		}
		for _, match := range asked.FindAllStringSubmatch(text, -1) {
			admin := match[1] == "/ready" || match[1] == "/metrics" // the sidecar's
			require.True(t, admin || strings.Contains(api, "\n  "+match[1]+":\n"), "%s: %s", path, match[1])
		}
	}
}

// queries are the expressions of every panel, by dashboard and panel.
func queries(t *testing.T) (list []panelQuery) {
	t.Helper()
	for _, path := range files(t, "grafana/dashboards/*.json") {
		var d struct {
			UID    string
			Panels []struct {
				Title   string
				Targets []struct{ Expr, LegendFormat string }
				panelConfig
			}
		}
		require.NoError(t, json.Unmarshal([]byte(read(t, path)), &d), path)
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				list = append(list, panelQuery{d.UID, p.Title, target.Expr, target.LegendFormat, p.panelConfig})
			}
		}
	}
	return list
}

type panelQuery struct {
	Dashboard, Panel, Expr, Legend string
	panelConfig
}

type panelConfig struct {
	Type        string
	FieldConfig struct {
		Defaults struct {
			Unit       string
			Thresholds struct{ Steps []struct{ Value *float64 } }
		}
	}
}

var (
	name      = regexp.MustCompile(`\b(?:agentidp|sidecar)_[a-z0-9_]+`)
	recorded  = regexp.MustCompile(`\b(?:agentidp|sidecar):[a-zA-Z0-9_:]+`)
	histogram = regexp.MustCompile(`_(?:bucket|sum|count)$`)
)

// listed are the metrics of docs/operations.md; a name that ends in _ stands
// for several.
func listed(t *testing.T) func(metric string) bool {
	t.Helper()
	page := read(t, docs+"/operations.md")
	_, page, found := strings.Cut(page, "<!-- metrics -->")
	require.True(t, found)
	page, _, found = strings.Cut(page, "\n## Settings")
	require.True(t, found)
	known, beginnings := map[string]bool{}, []string{}
	for row := range strings.Lines(page) {
		if cell, isRow := strings.CutPrefix(row, "| "); isRow {
			cell, _, _ = strings.Cut(cell, " | ")
			for _, metric := range name.FindAllString(cell, -1) {
				known[metric] = true
				if strings.HasSuffix(metric, "_") {
					beginnings = append(beginnings, metric)
				}
			}
		}
	}
	require.Greater(t, len(known), 80, "the tables were not found")
	return func(metric string) bool {
		return known[metric] || known[histogram.ReplaceAllString(metric, "")] ||
			slices.ContainsFunc(beginnings, func(b string) bool { return strings.HasPrefix(metric, b) })
	}
}

func TestEveryMetricIsListed(t *testing.T) {
	isListed, isRecorded := listed(t), map[string]bool{}
	texts := map[string]string{"docs/monitoring.md": read(t, docs+"/monitoring.md")}
	for _, r := range rules(t) {
		texts["the rule "+r.Alert+r.Record] += r.Expr + "\n" + r.Annotations["description"] + "\n"
		isRecorded[r.Record] = true
	}
	for _, query := range queries(t) {
		texts[query.Dashboard+": "+query.Panel] += query.Expr + "\n"
	}
	for _, path := range files(t, runbooks+"/"+prefix+"*.md") {
		texts[filepath.Base(path)] = read(t, path)
	}
	for where, text := range texts {
		for _, metric := range name.FindAllString(text, -1) {
			require.True(t, isListed(metric), "%s: docs/operations.md does not list %s", where, metric)
		}
		for _, series := range recorded.FindAllString(text, -1) {
			require.True(t, isRecorded[series], "%s: no rule records %s", where, series)
		}
	}
	require.False(t, isListed("agentidp_made_up_total"))
}
