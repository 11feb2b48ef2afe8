package postgres

import (
	"context"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// meaning is what the schema calls a kind.
type meaning struct {
	organizationID string
	action         idp.Action
	outcome        idp.Outcome
}

// kind is what the columns say instead of a meaning.
type kind struct {
	number int32
	verb   int16
}

// meanings are those of a batch, column by column, each once. The insert looks
// up what the store calls them: a number that was remembered could be another
// organization's, in a database that was restored meanwhile.
type meanings struct {
	organizations, actions, outcomes []string
	places                           map[meaning]int32 // from 1
}

func meaningsOf(rows []store.EventRow) meanings {
	m := meanings{places: make(map[meaning]int32)}
	for i := range rows {
		e := &rows[i]
		one := meaning{e.OrganizationID, e.Action, e.Outcome}
		if _, seen := m.places[one]; seen {
			continue
		}
		m.organizations, m.actions, m.outcomes = append(m.organizations, e.OrganizationID), append(m.actions, string(e.Action)), append(m.outcomes, string(e.Outcome))
		m.places[one] = int32(len(m.organizations))
	}
	return m
}

const eventKinds = `
SELECT numbered.kind
FROM unnest($1::text[], $2::text[], $3::text[]) AS m (organization_id, action, outcome)
CROSS JOIN LATERAL event_kind(m.organization_id, m.action, m.outcome) AS numbered`

// enumerate numbers those that have no number yet.
func (t events) enumerate(ctx context.Context, m *meanings) error {
	_, err := list(ctx, t.transaction, eventKinds, scanNumber, m.organizations, m.actions, m.outcomes)
	return err
}
