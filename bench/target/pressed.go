package target

import "github.com/sentryagent/agentidp/bench/result"

// pressed is what holds when there is too much to do, or too much of what is refused.
func pressed(f *file) []result.Target {
	var targets []result.Target
	add := func(more []result.Target) { targets = append(targets, more...) }
	const once, often = "overload/idp/offered=1", "overload/idp/offered=5"
	add(f.ratio(often, once, result.PerSecond, "offered").judge("O", "tokens at five times the capacity/at the capacity", "", atLeast, 0.9))
	add(f.metric(often, result.P99, millisecond).judge("O", "p99 of those served meanwhile", "ms", atMost, 2000))
	for _, row := range f.Rows {
		if row.Subject == "alone" || row.Scenario != "flood" && row.Scenario != "sidecar-flood" {
			continue
		}
		alone := row
		alone.Subject = "alone"
		server := "IdP"
		if row.Scenario == "sidecar-flood" {
			server = "sidecar"
		}
		add(f.ratio(alone.Key(), row.Key(), result.PerSecond).judge("O", server+", a client alone/beside "+row.Subject, "", atMost, 2))
	}
	return targets
}
