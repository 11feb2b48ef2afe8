package scale

import (
	"fmt"
	"math"

	"github.com/sentryagent/agentidp/bench/lab"
	"github.com/sentryagent/agentidp/bench/result"
)

// Goal is the installation that is asked for.
type Goal struct {
	Agents, Sidecars, Decisions float64 // agents; sidecars; decisions a second
	Regions                     float64
	TokenLife                   float64 // seconds, of each agent's token
	Linger                      float64 // seconds that a sidecar gathers decisions before it ships
	Polls                       float64 // long polls that a replica holds
	Busy                        float64 // how much of a core is planned with, 0 to 1
	Recent                      float64 // days for which events are kept as rows
	SignMS                      float64 // of a signature, on one core
	Requests                    float64 // of an agent at one sidecar, a second
	Remembered                  float64 // seconds for which a sidecar remembers a token
}

// Asked is what docs/scale.md plans for.
func Asked() Goal {
	return Goal{
		Agents: 1e8, Sidecars: 1e5, Decisions: 1e6, Regions: 3, TokenLife: 3600, Linger: 0.2, Polls: 4096, Busy: 0.5, Recent: 1, SignMS: 1.86,
		Requests: 0.01, Remembered: 60,
	}
}

// Cost is what was measured, one of each.
type Cost struct {
	EachCPU, IdleCPU, HeldBytes, PageBytes, EntryBytes float64 // of a subscriber, of an entry
	NamedCPU                                           float64 // of one whose presence is written down
	LogRate                                            float64 // events a second of one log with all cores of the machine
	EventCPU, SmallCPU                                 float64 // µs of an event in a large batch and in one of SmallBatch
	SmallBatch                                         float64
	AppendRate                                         float64 // single events a second of one log
	EventBytes, WALBytes, TileBytes                    float64
	AgentBytes                                         float64
}

// Need is a line of the plan: a figure, and the sum it comes from.
type Need struct {
	Name, Unit, How string
	Value           float64
}

// Batch is how many decisions come together in one of a sidecar's batches.
func (g Goal) Batch() float64 { return math.Max(1, g.Decisions/g.Sidecars*g.Linger) }

// EventAt is what an event costs in batches of that size: a part of its own, and
// its share of the batch. Two sizes were measured; between and beyond them it is
// the line through both.
func (c Cost) EventAt(batch float64) float64 {
	if c.SmallBatch <= 0 || c.SmallBatch >= bulk {
		return c.EventCPU
	}
	share := (c.SmallCPU - c.EventCPU) / (1/c.SmallBatch - 1.0/bulk) // of a batch
	return math.Max(c.EventCPU, c.EventCPU+share*(1/batch-1.0/bulk))
}

// HitRate is how many requests of an agent find its token remembered: it comes
// at random, so many times a second, and is forgotten that long after it was verified.
func HitRate(perSecond, remembered float64) float64 {
	expected := perSecond * remembered
	return expected / (1 + expected)
}

// Plan multiplies what was measured up to the goal.
func Plan(g Goal, c Cost) []Need {
	each := g.Sidecars / g.Regions
	replicas := math.Ceil(each / g.Polls)
	tokens := g.Agents / g.TokenLife
	ingest := func(batch float64) float64 { return math.Ceil(g.Decisions * c.EventAt(batch) / 1e6 / g.Busy) }
	return []Need{
		{"feed: replicas of a region", "", fmt.Sprintf("%.0f sidecars / %.0f polls", each, g.Polls), replicas},
		{"feed: processor time of a revocation, one region", "core s", fmt.Sprintf("%.0f × %.0f µs", each, c.EachCPU), each * c.EachCPU / 1e6},
		{"feed: last sidecar, a core for each replica", "s", fmt.Sprintf("%.0f × %.0f µs", each/replicas, c.EachCPU), each / replicas * c.EachCPU / 1e6},
		{"feed: the same with every presence written", "core s", fmt.Sprintf("%.0f × %.0f µs", each, c.NamedCPU), each * c.NamedCPU / 1e6},
		{"feed: presence of idle sidecars, all regions", "transactions/s", fmt.Sprintf("%.0f / 60 s", g.Sidecars), g.Sidecars / 60},
		{"feed: idle, one region", "cores", fmt.Sprintf("%.0f × %.0f µs/s", each, c.IdleCPU), each * c.IdleCPU / 1e6},
		{"feed: memory, one region", "GiB", fmt.Sprintf("%.0f × %.1f KiB", each, c.HeldBytes/1024), each * c.HeldBytes / (1 << 30)},
		{"feed: sent for a revocation, all regions", "MB", fmt.Sprintf("%.0f × %.0f bytes", g.Sidecars, c.PageBytes), g.Sidecars * c.PageBytes / 1e6},
		{"feed: entries in a sidecar's largest snapshot", "", fmt.Sprintf("64 MiB / %.0f bytes", c.EntryBytes), 64 << 20 / c.EntryBytes},
		{"ingest: decisions of a batch, as sidecars are set", "", fmt.Sprintf("%.0f/s × %.1f s", g.Decisions/g.Sidecars, g.Linger), g.Batch()},
		{"ingest: cores, as sidecars are set", "", fmt.Sprintf("%.0f/s × %.0f µs / %.1f", g.Decisions, c.EventAt(g.Batch()), g.Busy), ingest(g.Batch())},
		{"ingest: cores, in batches of 1000", "", fmt.Sprintf("%.0f/s × %.0f µs / %.1f", g.Decisions, c.EventCPU, g.Busy), ingest(bulk)},
		{"ingest: logs, each like the measured one", "", fmt.Sprintf("%.0f/s / (%.0f/s × %.1f)", g.Decisions, c.LogRate, g.Busy), math.Ceil(g.Decisions / (c.LogRate * g.Busy))},
		{"ingest: rows kept as such", "TB", fmt.Sprintf("%.0f/s × %.0f bytes × %.0f days", g.Decisions, c.EventBytes, g.Recent), g.Decisions * c.EventBytes * 86400 * g.Recent / 1e12},
		{"ingest: write-ahead logs", "MB/s", fmt.Sprintf("%.0f/s × %.0f bytes", g.Decisions, c.WALBytes), g.Decisions * c.WALBytes / 1e6},
		{"ingest: bundles in object storage, a day", "TB", fmt.Sprintf("%.0f/s × %.0f bytes", g.Decisions, c.TileBytes), g.Decisions * c.TileBytes * 86400 / 1e12},
		{"ingest: bundles written", "/s", fmt.Sprintf("%.0f/s / %d", g.Decisions, bundle), g.Decisions / bundle},
		{"agents: rows and indexes", "GB", fmt.Sprintf("%.0f × %.0f bytes", g.Agents, c.AgentBytes), g.Agents * c.AgentBytes / 1e9},
		{"agents: tokens", "/s", fmt.Sprintf("%.0f / %.0f s", g.Agents, g.TokenLife), tokens},
		{"agents: cores that sign", "", fmt.Sprintf("%.0f/s × %.2f ms / %.1f", tokens, g.SignMS, g.Busy), math.Ceil(tokens * g.SignMS / 1e3 / g.Busy)},
		{"agents: logs for their tokens", "", fmt.Sprintf("%.0f/s / (%.0f/s × %.1f)", tokens, c.AppendRate, g.Busy), math.Ceil(tokens / (c.AppendRate * g.Busy))},
		{"agents: requests that find their token remembered", "%", fmt.Sprintf("%.2f/s for %.0f s", g.Requests, g.Remembered), 100 * HitRate(g.Requests, g.Remembered)},
	}
}

// CostOf takes the medians of rows: of the largest feeds and directory that were
// measured, and of ingest on the store.
func CostOf(rows []result.Row, store string) (c Cost, err error) {
	served, size := latest(rows, "scale-feed", "nameless", "connections"), 0.0
	if served == nil {
		served = latest(rows, "scale-feed", "", "subscribers")
	}
	feed := latest(rows, "scale-feed", "", "subscribers")
	large := find(rows, store, 1, bulk)
	if served == nil || feed == nil || large == nil {
		return c, fmt.Errorf("the run has no feed, or no ingest on %s into one log in batches of %d", store, bulk)
	}
	c.EachCPU, c.IdleCPU, c.HeldBytes, c.PageBytes = median(served, EachCPU), median(served, IdleCPU), median(served, HeldBytes), median(served, PageBytes)
	c.EntryBytes = median(feed, EntryBytes)
	if named := latest(rows, "scale-feed", "named", "connections"); named != nil {
		c.NamedCPU = median(named, EachCPU)
	}
	c.LogRate, c.EventCPU = median(large, result.PerSecond), median(large, result.CPU)
	c.EventBytes, c.WALBytes, c.TileBytes = median(large, DiskBytes), median(large, WALBytes), median(large, TileBytes)
	for i := range rows {
		row := &rows[i]
		if row.Scenario == "scale-ingest" && row.Subject == store && row.Params["logs"] == 1 && (size == 0 || row.Params["batch"] < size) {
			size = row.Params["batch"]
			c.SmallBatch, c.SmallCPU = size, median(row, result.CPU)
		}
	}
	if single := latest(rows, "scale-append", store, "callers"); single != nil {
		c.AppendRate = median(single, result.PerSecond)
	}
	if agents := latest(rows, "scale-agents", store, "agents"); agents != nil {
		c.AgentBytes = median(agents, DiskBytes)
	}
	return c, nil
}

// Store is the one to plan with: PostgreSQL where it was measured.
func Store(rows []result.Row) string {
	if find(rows, lab.PostgreSQL, 1, bulk) != nil {
		return lab.PostgreSQL
	}
	return lab.SQLite
}

// latest is the row of the greatest parameter; any subject when that is "".
func latest(rows []result.Row, scenario, subject, param string) (found *result.Row) {
	for i := range rows {
		row := &rows[i]
		if row.Scenario != scenario || subject != "" && row.Subject != subject || row.Params[param] == 0 {
			continue
		}
		if found == nil || row.Params[param] > found.Params[param] {
			found = row
		}
	}
	return found
}

func find(rows []result.Row, store string, logs, batch float64) *result.Row {
	for i := range rows {
		row := &rows[i]
		if row.Scenario == "scale-ingest" && row.Subject == store && row.Params["logs"] == logs && row.Params["batch"] == batch {
			return row
		}
	}
	return nil
}

func median(row *result.Row, m result.Metric) float64 {
	v, _ := row.Median(m)
	return v
}
