package postgres

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// A database that is restored under a running program gives the numbers of kinds
// out again. Nothing that is remembered may put an event into another
// organization's log.
func TestKindsChangedBehindOurBack(t *testing.T) {
	of := func(sequence int64, organization string, action idp.Action) store.EventRow {
		e := sample(sequence)
		e.OrganizationID, e.Action = organization, action
		return e
	}
	for name, tamper := range map[string]string{
		"another's":     "UPDATE event_kinds SET organization_id = CASE organization_id WHEN 'acme' THEN 'other' ELSE 'acme' END",
		"of no one now": "DELETE FROM event_kinds",
		"of two verbs":  "UPDATE event_verbs SET action = CASE action WHEN 'agent.created' THEN 'token.issued' ELSE 'agent.created' END",
		"of none":       "DELETE FROM event_kinds; DELETE FROM event_verbs",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := fresh(t)
			s := openURL(t, address)
			for at := int64(0); at < 6; at += 2 { // often enough for anything to be remembered
				appendEvents(t, s, of(at, "acme", idp.ActionAgentCreated), of(at+1, "other", idp.ActionTokenIssued))
			}
			require.NoError(t, execute(t.Context(), address,
				"BEGIN; SET LOCAL session_replication_role = replica; ALTER TABLE event_verbs DROP CONSTRAINT event_verbs_action_outcome_key; ALTER TABLE event_kinds DROP CONSTRAINT event_kinds_organization_id_verb_key; "+tamper+"; COMMIT"))
			after := []store.EventRow{of(6, "acme", idp.ActionAgentCreated), of(7, "other", idp.ActionTokenIssued), of(8, "third", idp.ActionAgentCreated)}
			appendEvents(t, s, after...)
			for i, organization := range []string{"acme", "other", "third"} {
				rows := oldest(t, s, organization)
				require.NotEmpty(t, rows)
				require.Equal(t, after[i], rows[len(rows)-1])
			}
		})
	}
}
