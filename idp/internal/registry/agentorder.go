package registry

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// AgentSorts are the orders a list of agents can have, the default first.
// LastAuthAt is none of them: an index of what every agent's token moves would
// cost issuance more than the order is worth.
var AgentSorts = []string{string(store.NewestAgents), string(store.OldestAgents), string(store.AgentsByEmail), string(store.AgentsByEmailDown)}

// agentPlace is what a cursor holds: the order, and the last agent of a page.
type agentPlace struct {
	Sort  store.AgentSort `json:"s"`
	ID    string          `json:"i"`
	At    int64           `json:"t,omitempty"` // Unix milliseconds
	Email string          `json:"e,omitempty"`
}

func agentCursor(sort store.AgentSort, last idp.Agent) string {
	place := agentPlace{Sort: sort, ID: last.ID}
	if sort == store.AgentsByEmail || sort == store.AgentsByEmailDown {
		place.Email = last.Email
	} else {
		place.At = last.CreatedAt.UnixMilli()
	}
	raw, _ := json.Marshal(place) //nolint:errchkjson // strings and a number
	return base64.RawURLEncoding.EncodeToString(raw)
}

// order is what Sort and Cursor ask for: a cursor goes on in its own order.
func (q *AgentQuery) order() (store.AgentOrder, error) {
	order := store.AgentOrder{Sort: store.AgentSort(q.Sort)}
	if q.Cursor == "" {
		if order.Sort == "" {
			order.Sort = store.NewestAgents
		}
		return order, Invalid(idp.CheckOneOf("sort", string(order.Sort), AgentSorts))
	}
	var place agentPlace
	raw, err := base64.RawURLEncoding.Strict().DecodeString(q.Cursor)
	if err == nil {
		err = json.Unmarshal(raw, &place)
	}
	if err != nil || idp.CheckOneOf("sort", string(place.Sort), AgentSorts) != nil || strings.ContainsRune(place.ID+place.Email, 0) {
		return order, invalidCursor("must be a nextCursor as an earlier page gave it")
	}
	if order.Sort != "" && order.Sort != place.Sort {
		return order, invalidCursor("belongs to a list with another sort")
	}
	if q.Page.Number != 1 {
		return order, invalidCursor("must not be combined with page")
	}
	after := store.AgentPosition{ID: place.ID, CreatedAt: time.UnixMilli(place.At).UTC(), Email: place.Email}
	return store.AgentOrder{Sort: place.Sort, After: &after}, nil
}

func invalidCursor(rule string) error {
	return apierr.Invalid(apierr.Field{Field: "cursor", Rule: rule})
}

// lowerASCII is how owners and emails are compared. Other letters stay as they
// are, because not all stores agree on them.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
