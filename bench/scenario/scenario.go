// Package scenario measures the product, one kind of work a file, beside what
// it is held against. Subjects of one scenario are measured in turn within each
// round, so that the i-th rounds of two rows may be divided by each other.
package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/sentryagent/agentidp/bench/lab"
	"github.com/sentryagent/agentidp/bench/result"
)

// Run is what the scenarios of one run share. It is not safe for concurrent use.
type Run struct {
	*lab.Lab
	Rounds int
	Slice  time.Duration // of one measurement
	Quick  bool          // fewer parameters and smaller sets
	// Say tells whoever waits what was measured.
	Say func(row result.Row, round int)
	// Note tells of what goes on besides.
	Note func(format string, args ...any)
	// Profile is a file for a CPU profile of the sidecar at each number of
	// connections; "": none.
	Profile string
}

// Scenario makes rows.
type Scenario struct {
	Name    string
	About   string
	Measure func(context.Context, *Run) ([]result.Row, error)
}

// All scenarios, in the order in which a run takes them: those of the IdP
// first, for the sidecar's need the cores the other way round.
var All = []Scenario{
	{"startup", "each program's start, on nothing and on the data it left", startup},
	{"issuance", "tokens at 1, 8 and 64 connections beside the signing limit and oidc-provider", issuance},
	{"issuance-rate", "latency of tokens at fixed rates", issuanceRate},
	{"issuance-clients", "tokens for many clients", issuanceClients},
	{"issuance-bcrypt", "first tokens of clients whose secrets are bcrypt, and what others notice", issuanceBcrypt},
	{"api", "introspection, key set, lists, registration", api},
	{"audit", "durable events, decisions in bulk, raw writes to the same kind of store", audit},
	{"audit-list", "queries of the audit log", auditList},
	{"reach", "a suspension on its way to many feeds", reach},
	{"memory", "what the programs take after the load", memory},
	{"overload", "tokens when five times as many are asked for, and beside floods of what is refused", overload},
	{"sidecar", "warm tokens beside a bare proxy, the API itself and HAProxy", sidecarWarm},
	{"sidecar-pair", "what the sidecar adds to a bare proxy's latency, requests in turn", sidecarPair},
	{"sidecar-rate", "latency through the sidecar at fixed rates", sidecarRate},
	{"sidecar-cold", "each token new", sidecarCold},
	{"sidecar-denied", "tokens that may not", sidecarDenied},
	{"sidecar-opa", "a policy whose decisions cannot be remembered", sidecarOPA},
	{"sidecar-flood", "a client of the sidecar beside floods of forged tokens", sidecarFlood},
	{"verify", "RS256 verifications on one core", verify},
	{"revocation", "a revoked token's last use", revocation},
	{"idle", "connections that keep still", idle},
}

// Find is nil for a name that there is not.
func Find(name string) *Scenario {
	for i := range All {
		if All[i].Name == name {
			return &All[i]
		}
	}
	return nil
}

// invalid is an error that spoils a row and not the run: what was measured is
// not what should have been.
type invalid struct{ why string }

func (i invalid) Error() string { return "invalid: " + i.why }

func invalidf(format string, args ...any) error { return invalid{fmt.Sprintf(format, args...)} }

func connectionsOf(n int) map[string]float64 { return map[string]float64{"connections": float64(n)} }
