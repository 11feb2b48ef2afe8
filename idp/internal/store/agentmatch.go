package store

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sentryagent/agentidp/idp"
)

// LastText comes after every text that begins with a prefix before it: no
// printable text holds the last code point.
const LastText = string(utf8.MaxRune)

// AgentMatch is an agent whose email, id or owner has a prefix.
type AgentMatch struct {
	Source    int // which of the three
	ID        string
	CreatedAt time.Time
	Email     string
	Matches   bool // the rest of the filter
}

// Cut sorts matches and takes the page out of them: ids are in its order, and
// list is the page but for its agents.
func (o AgentOrder) Cut(matches []AgentMatch, page Page) (ids []string, list AgentList) {
	seen, bySource := make(map[string]struct{}), make(map[int]int)
	kept := matches[:0]
	for _, m := range matches {
		bySource[m.Source]++
		list.Incomplete = list.Incomplete || bySource[m.Source] > MaxPrefixMatches
		if _, twice := seen[m.ID]; !twice && m.Matches {
			seen[m.ID] = struct{}{}
			kept = append(kept, m)
		}
	}
	list.Total = len(kept)
	slices.SortFunc(kept, o.compare)
	if o.After != nil {
		after := AgentMatch{ID: o.After.ID, CreatedAt: o.After.CreatedAt, Email: o.After.Email}
		kept = slices.DeleteFunc(kept, func(m AgentMatch) bool { return o.compare(m, after) <= 0 })
	}
	from := min(page.Offset(), len(kept))
	for _, m := range kept[from:min(from+page.Limit, len(kept))] {
		ids = append(ids, m.ID)
	}
	list.More = from+page.Limit < len(kept)
	return ids, list
}

func (o AgentOrder) compare(a, b AgentMatch) int {
	switch o.Sort {
	case AgentsByEmail:
		return cmp.Or(strings.Compare(a.Email, b.Email), strings.Compare(a.ID, b.ID))
	case AgentsByEmailDown:
		return cmp.Or(strings.Compare(b.Email, a.Email), strings.Compare(b.ID, a.ID))
	case OldestAgents:
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), strings.Compare(b.ID, a.ID))
	default:
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), strings.Compare(a.ID, b.ID))
	}
}

// InOrder puts agents in the order of ids, which name each of them.
func InOrder(agents []idp.Agent, ids []string) []idp.Agent {
	place := make(map[string]int, len(ids))
	for i, id := range ids {
		place[id] = i
	}
	slices.SortFunc(agents, func(a, b idp.Agent) int { return cmp.Compare(place[a.ID], place[b.ID]) })
	return agents
}

// Start is where the lists of each order begin: before every agent, or after o.After.
func (o AgentOrder) Start() (key any, id string) {
	byEmail := o.Sort == AgentsByEmail || o.Sort == AgentsByEmailDown
	switch {
	case o.After != nil && byEmail:
		return o.After.Email, o.After.ID
	case o.After != nil:
		return o.After.CreatedAt.UnixMilli(), o.After.ID
	case o.Sort == AgentsByEmail:
		return "", ""
	case byEmail:
		return LastText, ""
	case o.Sort == OldestAgents:
		return int64(math.MinInt64), ""
	default:
		return int64(math.MaxInt64), ""
	}
}

// AgentTotals are numbers of agents that say in which way a page is found.
type AgentTotals struct {
	Matching int64 // the filter
	OfOwner  int64 // of its owner, in the organization
	Holding  int64 // its capability, in all organizations
}

// AgentWay is how the page of a list is found.
type AgentWay int

// The ways.
const (
	NoAgents           AgentWay = iota // none match
	MergeAgents                        // one index of each status, environment and type
	AgentsByOwner                      // all of the owner, sorted
	AgentsByCapability                 // all that hold the capability, sorted
	WalkAgents                         // in the order of an index, over what does not match
)

// mergedAgents is how far behind a page may begin for a merge to be the better
// way: it reads as many of each status, environment and type.
const mergedAgents = 1000

// Way reads little for every filter, unless many have the owner or the
// capability and those that match come late in the order.
func (n AgentTotals) Way(f AgentFilter, page Page) AgentWay {
	switch {
	case n.Matching == 0:
		return NoAgents
	case f.Owner == "" && f.Capability == "" && page.Offset() <= mergedAgents:
		return MergeAgents
	case f.Owner != "" && n.OfOwner <= MaxPrefixMatches:
		return AgentsByOwner
	case f.Capability != "" && n.Holding <= MaxPrefixMatches:
		return AgentsByCapability
	default:
		return WalkAgents
	}
}
