package postgres

import (
	"context"
	"time"

	"github.com/sentryagent/agentidp/idp/internal/store"
)

// The trigger wants each statement to continue the log, and the source may have
// pruned what lies between. In this transaction, which nobody sees before it is
// whole, the tree and the signed checkpoints are held against the events instead.
const (
	loadUnguarded = `ALTER TABLE events DISABLE TRIGGER events_continue`
	loadGuarded   = `ALTER TABLE events ENABLE TRIGGER events_continue`
)

// What the trigger would have kept.
const (
	loadSegments = `
INSERT INTO event_segments (segment, lowest, highest)
SELECT sequence >> 12, min(timestamp), max(timestamp) FROM events GROUP BY 1`
	loadTargets = `
INSERT INTO event_targets (target_agent_id, agent_id, kind, sequence, timestamp, retention)
SELECT event_target(body), agent_id, kind, sequence, timestamp, retention FROM events WHERE event_target(body) <> agent_id`
	loadEventHead = `UPDATE event_head SET next = $1 WHERE id = 1`
)

func (l *load) events(ctx context.Context) error {
	size, err := l.from.Tx().Tree.Size(ctx)
	if err != nil {
		return err
	}
	if _, err := l.exec(ctx, loadUnguarded); err != nil {
		return err
	}
	months := make(map[time.Time]struct{})
	out := l.copier("events", []string{"sequence", "timestamp", "kind", "verb", "retention", "event_id", "agent_id", "body"})
	err = l.from.Events(ctx, func(e store.EventRow, class store.Class) error {
		month := monthOf(e.Timestamp)
		if _, made := months[month]; !made {
			if err := (events{l.transaction}).makeMonth(ctx, month); err != nil {
				return err
			}
			months[month] = struct{}{}
		}
		k, err := l.kind(ctx, meaning{e.OrganizationID, e.Action, e.Outcome})
		if err != nil {
			return err
		}
		return out.add(ctx, e.Sequence, e.Timestamp.UnixMilli(), k.number, k.verb, string(class), e.ID, e.AgentID, e.Body)
	})
	if err == nil {
		err = out.flush(ctx)
	}
	if err != nil {
		return err
	}
	for _, derive := range []string{loadSegments, loadTargets} {
		if _, err := l.exec(ctx, derive); err != nil {
			return err
		}
	}
	if err := l.touch(ctx, loadEventHead, size); err != nil {
		return err
	}
	_, err = l.exec(ctx, loadGuarded)
	return err
}

const loadKind = `SELECT kind, verb FROM event_kind($1, $2, $3)`

// kind numbers a meaning.
func (l *load) kind(ctx context.Context, m meaning) (kind, error) {
	if k, known := l.kinds[m]; known {
		return k, nil
	}
	k, err := get(ctx, l.transaction, loadKind, func(r row) (k kind, err error) {
		err = r.Scan(&k.number, &k.verb)
		return k, err
	}, m.organizationID, string(m.action), string(m.outcome))
	if err == nil {
		l.kinds[m] = k
	}
	return k, err
}

// counts copies what was counted: it may speak of events that are pruned.
func (l *load) counts(ctx context.Context) error {
	out := l.copier("event_counts", []string{"step", "at", "organization_id", "verb", "count"})
	err := l.from.Counts(ctx, func(n store.Tally) error {
		verb, err := l.verb(ctx, meaning{"", n.Action, n.Outcome})
		if err != nil {
			return err
		}
		return out.add(ctx, n.Step, n.At, n.OrganizationID, verb, n.Count)
	})
	if err != nil {
		return err
	}
	return out.flush(ctx)
}

const loadVerb = `
WITH made AS (
    INSERT INTO event_verbs (action, outcome) SELECT $1, $2
    WHERE NOT EXISTS (SELECT FROM event_verbs WHERE action = $1 AND outcome = $2)
    RETURNING verb)
SELECT verb::bigint FROM made
UNION ALL
SELECT verb FROM event_verbs WHERE action = $1 AND outcome = $2`

func (l *load) verb(ctx context.Context, m meaning) (int16, error) {
	if verb, known := l.verbs[m]; known {
		return verb, nil
	}
	number, err := l.number(ctx, loadVerb, string(m.action), string(m.outcome))
	if err == nil {
		l.verbs[m] = int16(number)
	}
	return int16(number), err
}
