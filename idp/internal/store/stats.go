package store

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/sentryagent/agentidp/idp"
)

// The steps in which events are counted as they are appended, and how long
// the counts of each are kept.
const (
	StepMinute = time.Minute
	StepHour   = time.Hour
	StepDay    = 24 * time.Hour // UTC

	MinutesKept = 48 * time.Hour
	HoursKept   = 400 * 24 * time.Hour
	DaysKept    = HoursKept
)

// Stats are numbers for dashboards. Counts are derived from the events: Append
// keeps them in its own transaction, under the organization and under
// AnyOrganization. They are no evidence, and are forgotten before the events.
type Stats interface {
	// Counts sums what happened in [q.From, q.To), by bucket, action and
	// outcome, in this order. Buckets in which nothing happened are left out.
	Counts(ctx context.Context, q CountQuery) ([]Count, error)
	// Present counts what an organization has now.
	Present(ctx context.Context, organizationID string, now time.Time) (Present, error)
	// Miscounted counts again, row by row, what Present and the totals of lists are
	// taken from, and says how many of those counts are wrong.
	Miscounted(ctx context.Context) (int64, error)
	// Sidecars is Present's ConnectedSidecars and RecentSidecars alone, at a cost
	// that does not grow with agents and credentials.
	Sidecars(ctx context.Context, organizationID string, now time.Time) (connected, recent int64, err error)
	// MostTokens lists up to limit agents of an organization, decommissioned ones
	// left out, that were admitted the most tokens in the UTC month of at, most
	// first. It looks at UsageLooked of them: where more are within a
	// thirty-second of one number, it may miss one by so much.
	MostTokens(ctx context.Context, organizationID string, at time.Time, limit int) ([]AgentUsage, error)
	// Prune removes up to PruneBatch counts of each step that are kept for long
	// enough, oldest first, and reports whether there may be more.
	Prune(ctx context.Context, now time.Time) (more bool, err error)
}

// Old is a step and the time before which its buckets are forgotten.
type Old struct {
	Step   time.Duration
	Before time.Time
}

// OldCounts is what Prune forgets.
func OldCounts(now time.Time) []Old {
	return []Old{{StepMinute, now.Add(-MinutesKept)}, {StepHour, now.Add(-HoursKept)}, {StepDay, now.Add(-DaysKept)}}
}

// CountQuery asks for counts of an organization; AnyOrganization: of all together.
type CountQuery struct {
	OrganizationID string
	Step           time.Duration // one that is kept
	From, To       time.Time     // multiples of Step since 1970
}

// Count is how often something happened in a bucket.
type Count struct {
	At      time.Time // when the bucket begins
	Action  idp.Action
	Outcome idp.Outcome
	Count   int64
}

// The spans in which Present looks. A sidecar's presence is written down about
// once a minute, so that a shorter span would miss some that are there.
const (
	ConnectedWithin = 5 * time.Minute
	ExpiringWithin  = 14 * 24 * time.Hour
)

// Present is what an organization has at a moment.
type Present struct {
	ActiveAgents, SuspendedAgents, DecommissionedAgents int64

	// Active and suspended agents by where they run.
	DevelopmentAgents, StagingAgents, ProductionAgents int64

	Credentials         int64 // active and not past their end (idp.Credential.End)
	ExpiringCredentials int64 // of active agents, ending within ExpiringWithin

	ConnectedSidecars int64 // seen within ConnectedWithin
	RecentSidecars    int64 // seen within an hour
}

// Tally is one count as it is kept. Times are Unix seconds, negative before 1970.
type Tally struct {
	Step           int64 // seconds
	At             int64 // when the bucket begins
	OrganizationID string
	Action         idp.Action
	Outcome        idp.Outcome
	Count          int64
}

// TallyKey is a minute, with its hour and day, whose counts a batch adds to.
type TallyKey struct {
	// When the buckets begin, as Tally.At.
	Minute, Hour, Day int64

	OrganizationID string // AnyOrganization: all together
	Action         idp.Action
	Outcome        idp.Outcome
}

// TallyUp sums a batch by minute, for each organization and for all together.
func TallyUp(rows []EventRow) map[TallyKey]int64 {
	sums := make(map[TallyKey]int64)
	for i := range rows {
		e := &rows[i]
		at := e.Timestamp.Unix()
		sums[TallyKey{floor(at, StepMinute), floor(at, StepHour), floor(at, StepDay), e.OrganizationID, e.Action, e.Outcome}] += Occurrences(e.Body)
	}
	all := make(map[TallyKey]int64, 2*len(sums))
	for k, n := range sums {
		all[k] += n
		k.OrganizationID = AnyOrganization
		all[k] += n
	}
	return all
}

// floor is the begin of the bucket, also before 1970.
func floor(seconds int64, step time.Duration) int64 {
	width := int64(step / time.Second)
	return seconds - ((seconds%width)+width)%width
}

// maxOccurrences bounds what one event can claim: sums must not overflow,
// whatever a sidecar reports.
const maxOccurrences = 1_000_000_000

var countMark = []byte(`"count":`)

// Occurrences is how often that which an event tells happened: the integer
// "count" of its metadata, where the event stands for several, else once. It
// comes from the signed bytes, so that anybody can hold the counts against the log.
func Occurrences(body []byte) int64 {
	if !bytes.Contains(body, countMark) {
		return 1
	}
	var event struct {
		Metadata map[string]json.RawMessage `json:"metadata"`
	}
	var n int64
	if json.Unmarshal(body, &event) != nil || json.Unmarshal(event.Metadata["count"], &n) != nil {
		return 1
	}
	return min(max(n, 1), maxOccurrences)
}
