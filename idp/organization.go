package idp

import "time"

// Plan names the limits that an organization lives under.
type Plan string

// The plans. On PlanCustom the free limits do not apply and authenticated calls count per agent.
const (
	PlanFree   Plan = "free"
	PlanCustom Plan = "custom"
)

// Plans lists every plan.
var Plans = []Plan{PlanFree, PlanCustom}

// CheckPlan demands one of Plans.
func CheckPlan(p Plan) []Rule { return oneOf("plan", p, Plans) }

// Organization is a tenant: it owns agents, their credentials and their audit events.
type Organization struct {
	ID   string // lower-case slug, immutable: [a-z0-9][a-z0-9-]{0,62}
	Name string
	Plan Plan
	// MaxCredentialAge is how long a secret is good after it was made or rotated, in whole seconds; 0: for ever.
	MaxCredentialAge time.Duration
	CreatedAt        time.Time
	UpdatedAt        time.Time
	Epoch            int64
	Revision         int64
}

// The bounds of MaxCredentialAge.
const (
	MinCredentialAge = 24 * time.Hour
	MaxCredentialAge = 10 * 365 * 24 * time.Hour
)

// CheckCredentialAge demands 0, or MinCredentialAge to MaxCredentialAge, in seconds.
func CheckCredentialAge(seconds int64) []Rule {
	if seconds != 0 && (seconds < int64(MinCredentialAge/time.Second) || seconds > int64(MaxCredentialAge/time.Second)) {
		return broken("maxCredentialAge", "must be 0, or 86400 to 315360000")
	}
	return nil
}

// Limits are the free plan's; 0 means none.
type Limits struct {
	Agents            int // active and suspended agents per organization
	TokensPerMonth    int // tokens per agent and UTC calendar month
	RequestsPerMinute int // requests per client address over /api/v1
	Credentials       int // live credentials per agent, on every plan
}

// On is what is left of the free limits on a plan.
func (l Limits) On(p Plan) Limits {
	if p == PlanFree {
		return l
	}
	return Limits{Credentials: l.Credentials}
}

// FreeLimits are the defaults.
var FreeLimits = Limits{Agents: 100, TokensPerMonth: 10_000, RequestsPerMinute: 100, Credentials: 20}
