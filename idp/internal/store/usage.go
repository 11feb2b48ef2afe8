package store

import (
	"math/bits"

	"github.com/sentryagent/agentidp/idp"
)

// AgentUsage is what an agent has used of its plan in a month.
type AgentUsage struct {
	AgentID string
	Email   string
	Status  idp.Status
	Tokens  int64
}

// UsageLooked is how many agents Stats.MostTokens looks at.
const UsageLooked = 100

// UsageRank orders numbers of tokens, not negative ones, coarsely: it is the
// number itself below 64, and from there has 32 steps between a number and its double.
func UsageRank(tokens int64) int64 {
	halvings := max(0, bits.Len64(uint64(tokens))-6)
	return int64(halvings)*32 + tokens>>halvings
}
