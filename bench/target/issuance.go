package target

import "github.com/sentryagent/agentidp/bench/result"

const (
	millisecond = 1e-3 // of µs
	mebibyte    = 1.0 / (1 << 20)
)

// issuance is P1 to P3.
func issuance(f *file) []result.Target {
	var targets []result.Target
	add := func(more []result.Target) { targets = append(targets, more...) }
	for _, at := range []string{"8", "64"} {
		row := "issuance/idp/connections=" + at
		add(f.ratio(row, "sign/own", result.PerSecond, "connections").judge("P1", "issuance/sign limit at "+at+" connections", "", atLeast, 0.80))
		add(f.ratio("issuance/idp-stub/connections="+at, "sign/own", result.PerSecond, "connections").judge("P1", "issuance without audit/sign limit at "+at+" connections", "", atLeast, 0.90))
	}
	node := f.ratio("issuance/idp/connections=64", "issuance/oidc-provider/connections=64", result.PerSecond)
	if f.Settings.Signer == "batch" {
		add(node.judge("P2b", "issuance/oidc-provider", "", atLeast, 4))
	} else {
		add(openly(node.judge("P2", "issuance/oidc-provider", "", atLeast, 1.8), f.Settings.Signer))
	}
	add(f.metric("issuance/idp/connections=8", result.P99, millisecond).judge("P3", "issuance p99 at 8 connections", "ms", atMost, 100))
	if f.Settings.Signer != "crypto/rsa" {
		add(f.metric("issuance/idp/connections=64", result.P99, millisecond).judge("P3", "issuance p99 at 64 connections", "ms", atMost, 100))
	}
	add(f.queueing("issuance/idp/connections=64", 64).judge("P3", "issuance p99/(64/throughput)", "", atMost, 1.4))
	if quiet, flooded := f.neighbours(); flooded != "" {
		add(f.ratio(quiet, flooded, result.PerSecond, "cold_clients").judge("P3", "a client's tokens alone/beside first bcrypt logins", "", atMost, 2))
	}
	return targets
}

// openly says of a build with Go's signatures that the target is not its own.
func openly(targets []result.Target, signer string) []result.Target {
	for i := range targets {
		if t := &targets[i]; signer == "crypto/rsa" && t.Verdict == result.Missed {
			t.Why = "signing with crypto/rsa; the target is the libcrypto build's"
		}
	}
	return targets
}

// queueing is p99 beside what waiting in turn takes at that throughput.
func (f *file) queueing(key string, connections float64) figure {
	row, g := f.find(key)
	for _, sample := range row.Rounds {
		p99, has := sample[result.P99]
		rate, also := sample[result.PerSecond]
		if has && also {
			g.rounds = append(g.rounds, p99/1e6*rate/connections)
		}
	}
	return g
}

// neighbours are the rows of the client that others' bcrypt must not slow.
func (f *file) neighbours() (quiet, flooded string) {
	for _, row := range f.Rows {
		switch {
		case row.Scenario != "issuance-bcrypt" || row.Subject != "neighbour":
		case row.Params["cold_clients"] == 0:
			quiet = row.Key()
		default:
			flooded = row.Key()
		}
	}
	return quiet, flooded
}
