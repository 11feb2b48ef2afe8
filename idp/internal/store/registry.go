package store

import (
	"context"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/shared/capability"
)

// Organizations keeps tenants.
type Organizations interface {
	Get(ctx context.Context, id string) (idp.Organization, error)
	// List returns a page and the total.
	List(ctx context.Context, page Page) ([]idp.Organization, int, error)
	// Insert answers idp.ErrConflict when the id is taken.
	Insert(ctx context.Context, o idp.Organization) error
	// Update writes Name, Plan, MaxCredentialAge, UpdatedAt where the stored Revision is o.Revision,
	// and raises it by one; idp.ErrConflict otherwise.
	Update(ctx context.Context, o idp.Organization) error
	// RaiseEpoch adds one to the revocation epoch and returns the new one.
	RaiseEpoch(ctx context.Context, id string) (int64, error)
	// RaiseEpochs adds by to the revocation epoch of every organization.
	RaiseEpochs(ctx context.Context, by int64) error
}

// AgentFilter narrows a list; zero members do not filter.
type AgentFilter struct {
	OrganizationID string
	Status         idp.Status // when empty, decommissioned agents are left out
	Owner          string
	Type           idp.AgentType
	Environment    idp.Environment
	Capability     capability.Capability // held literally

	// Prefix is what an agent's email, id or owner begins with, in lower case; the
	// owner's ASCII letters are compared in lower case. Of each of the three only
	// the first MaxPrefixMatches are looked at, in its own order.
	Prefix string
}

// MaxPrefixMatches is how many emails, ids and owners with a prefix are looked at.
const MaxPrefixMatches = 2000

// AgentSort is the order of a list of agents.
type AgentSort string

// The orders. Each has its opposite, which breaks ties the other way round.
const (
	NewestAgents      AgentSort = "-createdAt" // the default, ties by id upwards
	OldestAgents      AgentSort = "createdAt"
	AgentsByEmail     AgentSort = "email" // ties by id upwards
	AgentsByEmailDown AgentSort = "-email"
)

// AgentPosition is where a list goes on: after the agent with these members.
type AgentPosition struct {
	ID        string
	CreatedAt time.Time // when sorted by it
	Email     string    // when sorted by it
}

// AgentOrder says in which order agents are listed, and from where on. The zero
// value is a whole list, newest first. AnyOrganization lists in no other.
type AgentOrder struct {
	Sort  AgentSort      // empty: NewestAgents
	After *AgentPosition // nil: from the first
}

// AgentList is a page of agents.
type AgentList struct {
	Agents     []idp.Agent
	Total      int  // of the filter, wherever the page begins
	More       bool // agents come after these
	Incomplete bool // more agents have the prefix than are looked at
}

// Agents keeps registered identities.
type Agents interface {
	Get(ctx context.Context, organizationID, id string) (idp.Agent, error)
	// List returns a page of those that match and come after order.After.
	List(ctx context.Context, filter AgentFilter, order AgentOrder, page Page) (AgentList, error)
	// Insert answers idp.ErrConflict when a live agent of the organization has the email.
	Insert(ctx context.Context, a idp.Agent) error
	// Update writes every member but ID, OrganizationID, CreatedAt and LastAuthAt
	// (Epoch included) where the stored Revision is a.Revision, and raises it by
	// one. idp.ErrConflict for a lost race or a taken email.
	Update(ctx context.Context, a idp.Agent) error
	// CountLive counts active and suspended agents.
	CountLive(ctx context.Context, organizationID string) (int, error)
	// OtherAdministrators counts agents, but exceptID, for which idp.Agent.Administrator held when written.
	OtherAdministrators(ctx context.Context, organizationID, exceptID string) (int, error)
	// TokensUsed is the number of tokens admitted for the agent in the UTC month of at.
	TokensUsed(ctx context.Context, agentID string, at time.Time) (int64, error)
}

// Credentials keeps what agents authenticate with.
type Credentials interface {
	Get(ctx context.Context, agentID, id string) (idp.Credential, error)
	// List returns a page of the agent's credentials, revoked ones too, and the total.
	List(ctx context.Context, agentID string, page Page) ([]idp.Credential, int, error)
	// ClientID is the client id of the credential with the id, whoever's it is.
	ClientID(ctx context.Context, id string) (string, error)
	// Live lists the agent's credentials with status active, expired ones too.
	Live(ctx context.Context, agentID string) ([]idp.Credential, error)
	// Insert answers idp.ErrConflict when the client id is taken.
	Insert(ctx context.Context, c idp.Credential) error
	// Update writes Status, Secret, Previous, PreviousUntil, Epoch, SecretSetAt,
	// ExpiresAt, RevokedAt where the stored Version is c.Version, and raises it by one; idp.ErrConflict otherwise.
	Update(ctx context.Context, c idp.Credential) error
	// Gate finds by client id everything that authentication and authorization
	// ask for, in one read. idp.ErrNotFound when no credential has the client id.
	Gate(ctx context.Context, clientID string) (Gate, error)
	// Expiring lists up to limit credentials that are active, as their agents
	// are, end (idp.Credential.End) in [from, to) and were not warned for that
	// end, with the End each has; soonest first.
	Expiring(ctx context.Context, from, to time.Time, limit int) ([]Expiring, error)
	// CountExpiring counts what Expiring would list without its limit, warned of or not.
	CountExpiring(ctx context.Context, from, to time.Time) (int, error)
	// Warned notes that the credential's holder was warned of that end. It raises no version.
	Warned(ctx context.Context, id string, end time.Time) error
}

// Expiring is a credential that ends soon.
type Expiring struct {
	Credential idp.Credential
	End        time.Time
}

// Gate is what one read tells about a caller.
type Gate struct {
	Credential   idp.Credential
	Agent        idp.Agent
	Organization idp.Organization
}

// Rev is the caller's current epochs.
func (g *Gate) Rev() idp.Rev {
	return idp.Rev{Organization: g.Organization.Epoch, Agent: g.Agent.Epoch, Credential: g.Credential.Epoch}
}

// GateVersion changes with everything in a gate but LastAuthAt, LastUsedAt and WarnedFor.
type GateVersion struct {
	Rev          idp.Rev
	Organization int64 // its revision
	Agent        int64 // its revision
	Credential   int64 // its version
}

// Version is the gate's.
func (g *Gate) Version() GateVersion {
	return GateVersion{Rev: g.Rev(), Organization: g.Organization.Revision, Agent: g.Agent.Revision, Credential: g.Credential.Version}
}

// Admission asks, inside the transaction that records the event, whether a
// token may still be issued: nothing may have changed since the gate was read.
type Admission struct {
	ClientID     string
	AgentID      string
	Gate         GateVersion
	KeyID        string       // the key that signs the token
	At           time.Time    // for the quota month, LastAuthAt and LastUsedAt
	MonthlyLimit int          // 0: none
	Assertion    AssertionUse // what proved the client; the zero value: no assertion
}

// AssertionUse is a client assertion that an admission uses up.
type AssertionUse struct {
	JTI     string
	Expires time.Time // when it may be forgotten
}

// AdmissionResult is the verdict on one Admission.
type AdmissionResult string

// The verdicts.
const (
	Admitted      AdmissionResult = "admitted"
	GateChanged   AdmissionResult = "gate_changed"   // anything of the gate moved, or its time has come: read it again
	KeyChanged    AdmissionResult = "key_changed"    // the key is not active any more: read the keys again
	QuotaExceeded AdmissionResult = "quota_exceeded" // the month's tokens are used up
	Replayed      AdmissionResult = "replayed"       // the client used the assertion before
)

// Admissions is the write side of issuance, a batch at a time.
type Admissions interface {
	// Admit gives a verdict per admission, in order. An admitted one has counted
	// against the month and, when the last write is a minute old, moved
	// LastAuthAt of the agent and LastUsedAt of the credential, and its assertion,
	// if any, is in Assertions. A refused one changed nothing. Replayed comes after
	// every other verdict; of two admissions with one assertion at most one is
	// admitted, in a batch or in two transactions.
	Admit(ctx context.Context, batch []Admission) ([]AdmissionResult, error)
}

// IdempotencyKey identifies one POST of one caller.
type IdempotencyKey struct {
	AgentID string
	Path    string
	Key     string
}

// IdempotencyRecord is what a repeated POST is answered from.
type IdempotencyRecord struct {
	IdempotencyKey
	BodyHash   [32]byte
	Status     int
	ResourceID string
	CreatedAt  time.Time
}

// Idempotency remembers POSTs for 24 hours.
type Idempotency interface {
	Get(ctx context.Context, key IdempotencyKey) (IdempotencyRecord, error)
	// Insert answers idp.ErrConflict when the key is taken.
	Insert(ctx context.Context, r IdempotencyRecord) error
	// Delete forgets one record; none is no error.
	Delete(ctx context.Context, key IdempotencyKey) error
	// Prune removes up to PruneBatch records created before the time, oldest
	// first, and reports whether there may be more.
	Prune(ctx context.Context, before time.Time) (more bool, err error)
}

// Assertions remembers the client assertions that were used (RFC 7523 section 3, item 7).
type Assertions interface {
	// Use answers idp.ErrConflict when the client used the jti before and it was not pruned.
	Use(ctx context.Context, clientID, jti string, expires time.Time) error
	// Prune removes up to PruneBatch of those that expired before now, and reports whether there may be more.
	Prune(ctx context.Context, now time.Time) (more bool, err error)
}

// Settings keeps the few values an installation has once: its revocation feed
// epoch, that it was bootstrapped.
type Settings interface {
	Get(ctx context.Context, name string) (string, error)
	// PutIfAbsent stores the value unless there is one, and returns what is stored.
	PutIfAbsent(ctx context.Context, name, value string) (string, error)
	// Put stores the value in the place of what there is.
	Put(ctx context.Context, name, value string) error
}
