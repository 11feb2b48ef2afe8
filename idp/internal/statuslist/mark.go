package statuslist

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

// issue is what the audit log says of a token that was issued. One of a release
// before status lists names no index and is in no list.
type issue struct {
	Metadata struct {
		JTI      string  `json:"jti"`
		KID      string  `json:"kid"`
		ClientID string  `json:"clientId"`
		Expires  int64   `json:"exp"`
		Rev      []int64 `json:"rev"` // as the claim
		Index    *int64  `json:"statusIndex"`
	} `json:"metadata"`
}

// below reports a token minted under a lower epoch than the one of a kind: 0
// organization, 1 agent, 2 credential.
func (i *issue) below(epoch int64, kind int) bool {
	return len(i.Metadata.Rev) != 3 || i.Metadata.Rev[kind] < epoch
}

// mark kills the tokens that entries of the feed name. Whatever was issued
// before an entry was committed is in the log by the time the entry can be read:
// admission looks at epochs and keys in the transaction that writes the event.
func (l *Lists) mark(ctx context.Context, now time.Time, entries []idp.Revocation) error {
	var tokens []revoked
	var others []idp.Revocation
	for _, entry := range latest(entries) {
		if _, done := l.marked[entry.Seq]; done || !l.concerns(&entry, now) {
			continue
		}
		if entry.Type != idp.RevokeJTI {
			others = append(others, entry)
		} else if at, known := issuedAt(entry.ID); known {
			tokens = append(tokens, revoked{jti: entry.ID, at: at})
		}
	}
	if err := l.markTokens(ctx, tokens); err != nil {
		return err
	}
	slices.SortStableFunc(others, func(a, b idp.Revocation) int { return breadth(&a) - breadth(&b) })
	for _, entry := range others {
		if err := l.markEntry(ctx, &entry, now); err != nil {
			return fmt.Errorf("%s entry %d: %w", entry.Type, entry.Seq, err)
		}
		l.marked[entry.Seq] = struct{}{}
	}
	return nil
}

// breadth puts entries about few tokens before those about many, for which an
// hour of the log is read.
func breadth(entry *idp.Revocation) int {
	switch entry.Type {
	case idp.RevokeOrganization:
		return 1
	case idp.RevokeKID:
		return 2
	default:
		return 0
	}
}

// latest leaves out epochs that a later entry exceeds.
func latest(entries []idp.Revocation) []idp.Revocation {
	type subject struct {
		of idp.RevocationType
		id string
	}
	seen := map[subject]bool{}
	kept := make([]idp.Revocation, 0, len(entries))
	for _, entry := range slices.Backward(entries) {
		if s := (subject{entry.Type, entry.ID}); !seen[s] {
			seen[s] = true
			kept = append(kept, entry)
		}
	}
	slices.Reverse(kept)
	return kept
}

// concerns reports an entry that a live token may be under.
func (l *Lists) concerns(entry *idp.Revocation, now time.Time) bool {
	if entry.Type == idp.RevokeJTI {
		return now.Before(entry.Expires.Add(skew))
	}
	return now.Before(entry.At.Add(l.window))
}

// markEntry reads what was issued to whom an entry is about.
func (l *Lists) markEntry(ctx context.Context, entry *idp.Revocation, now time.Time) error {
	filter := store.EventFilter{From: now.Add(-l.window)}
	var dies func(*issue) bool
	switch entry.Type {
	case idp.RevokeOrganization:
		filter.OrganizationID = entry.ID
		dies = func(i *issue) bool { return i.below(entry.Epoch, 0) }
	case idp.RevokeAgent:
		filter.AgentID = entry.ID
		dies = func(i *issue) bool { return i.below(entry.Epoch, 1) }
	case idp.RevokeCredential:
		agentID, err := l.holder(ctx, entry.ID)
		if err != nil {
			return err
		}
		filter.AgentID = agentID
		dies = func(i *issue) bool { return i.Metadata.ClientID == entry.ID && i.below(entry.Epoch, 2) }
	case idp.RevokeKID:
		dies = func(i *issue) bool { return i.Metadata.KID == entry.ID }
	default:
		return fmt.Errorf("unknown type %q", entry.Type) // nothing is served that leaves it out
	}
	return l.scan(ctx, filter, func(i *issue) bool {
		if dies(i) {
			l.kill(i)
		}
		return true
	})
}

// holder is the agent of a credential; nobody, that is anybody, when it is gone.
func (l *Lists) holder(ctx context.Context, clientID string) (agentID string, err error) {
	err = l.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		gate, err := tx.Credentials.Gate(ctx, clientID)
		agentID = gate.Agent.ID
		if errors.Is(err, idp.ErrNotFound) {
			return nil
		}
		return err
	})
	return agentID, err
}

// revoked is a token revoked by its jti, and when it was issued.
type revoked struct {
	jti string
	at  time.Time
}

// The event of a token is stamped right after the jti is made, by the same clock.
const (
	stampedBefore = time.Second // a clock set back in between
	stampedAfter  = 10 * time.Second
)

// markTokens looks for tokens around the time they were issued, near ones together.
func (l *Lists) markTokens(ctx context.Context, tokens []revoked) error {
	slices.SortFunc(tokens, func(a, b revoked) int { return a.at.Compare(b.at) })
	for len(tokens) > 0 {
		filter := store.EventFilter{From: tokens[0].at.Add(-stampedBefore)}
		wanted := map[string]bool{}
		for len(tokens) > 0 && (filter.To.IsZero() || tokens[0].at.Add(-stampedBefore).Before(filter.To)) {
			filter.To = tokens[0].at.Add(stampedAfter)
			wanted[tokens[0].jti] = true
			tokens = tokens[1:]
		}
		err := l.scan(ctx, filter, func(i *issue) bool {
			if wanted[i.Metadata.JTI] {
				l.kill(i)
				delete(wanted, i.Metadata.JTI)
			}
			return len(wanted) > 0
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *Lists) kill(i *issue) {
	if i.Metadata.Index != nil {
		l.dead.kill(*i.Metadata.Index, i.Metadata.Expires)
	}
}

// scan visits the tokens issued under a filter, the newest first, until visit says no.
func (l *Lists) scan(ctx context.Context, filter store.EventFilter, visit func(*issue) bool) error {
	filter.Action, filter.Outcome, filter.Limit = idp.ActionTokenIssued, idp.Success, pageSize
	for {
		var rows []store.EventRow
		err := l.DB.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
			rows, err = tx.Events.List(ctx, filter)
			return err
		})
		if err != nil {
			return fmt.Errorf("read the tokens issued: %w", err)
		}
		for i := range rows {
			var issued issue
			if err := json.Unmarshal(rows[i].Body, &issued); err != nil {
				return fmt.Errorf("event %d: %w", rows[i].Sequence, err)
			}
			if !visit(&issued) {
				return nil
			}
		}
		if len(rows) < pageSize || rows[len(rows)-1].Sequence == 0 {
			return nil
		}
		filter.Before = rows[len(rows)-1].Sequence
	}
}
