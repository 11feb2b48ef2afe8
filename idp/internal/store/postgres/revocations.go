package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

type revocations struct{ *transaction }

func scanRevocation(r row) (v idp.Revocation, err error) {
	err = r.Scan(&v.Seq, &v.Type, &v.ID, &v.Epoch, moment{&v.Expires}, &v.Reason, moment{&v.At})
	return v, err
}

const revocationNext = `UPDATE revocation_head SET last = last + 1 WHERE id = 1 RETURNING last`

const revocationInsert = `
INSERT INTO revocations (seq, type, id, epoch, expires_at, reason, at)
VALUES ($1, $2, $3, $4, $5, $6, $7)`

func (t revocations) Append(ctx context.Context, r idp.Revocation) (int64, error) {
	seq, err := t.change(ctx, revocationNext)
	if err != nil {
		return 0, err
	}
	_, err = t.exec(ctx, revocationInsert, seq, r.Type, r.ID, r.Epoch, optional(r.Expires), r.Reason, r.At.UnixMilli())
	if err != nil {
		return 0, err
	}
	t.announce = true
	return seq, nil
}

const revocationNextOrganizations = `
UPDATE revocation_head SET last = last + (SELECT count(*) FROM organizations) WHERE id = 1 RETURNING last`

const revocationInsertOrganizations = `
INSERT INTO revocations (seq, type, id, epoch, reason, at)
SELECT $1 - count(*) OVER () + row_number() OVER (ORDER BY id), 'organization', id, epoch, $2, $3
FROM organizations`

func (t revocations) AppendOrganizations(ctx context.Context, reason string, at time.Time) (int64, error) {
	last, err := t.change(ctx, revocationNextOrganizations)
	if err != nil {
		return 0, err
	}
	t.announce = true
	var appended int64
	err = t.whole(func() error {
		appended, err = t.exec(ctx, revocationInsertOrganizations, last, reason, at.UnixMilli())
		return err
	})
	return appended, err
}

const revocationSince = `
SELECT seq, type, id, epoch, expires_at, reason, at
FROM revocations
WHERE seq > $1
ORDER BY seq
LIMIT $2`

func (t revocations) Since(ctx context.Context, after int64, limit int) ([]idp.Revocation, error) {
	return list(ctx, t.transaction, revocationSince, scanRevocation, after, limit)
}

const revocationBounds = `SELECT last, pruned FROM revocation_head WHERE id = 1`

func (t revocations) Bounds(ctx context.Context) (last, pruned int64, err error) {
	bounds, err := get(ctx, t.transaction, revocationBounds, scanBounds)
	return bounds[0], bounds[1], err
}

func scanBounds(r row) (bounds [2]int64, err error) {
	err = r.Scan(&bounds[0], &bounds[1])
	return bounds, err
}

const revocationNames = `
SELECT EXISTS (SELECT 1 FROM revocations WHERE type = 'jti' AND id = $1)
    OR EXISTS (SELECT 1 FROM revocations WHERE type = 'kid' AND id = $2)`

func (t revocations) RevokedToken(ctx context.Context, jti, kid string) (bool, error) {
	return t.truth(ctx, revocationNames, jti, kid)
}

const revocationCount = `
SELECT count(*)
FROM unnest($1::text[]) AS asked (jti)
WHERE EXISTS (SELECT FROM revocations WHERE type = 'jti' AND id = asked.jti)`

func (t revocations) CountRevoked(ctx context.Context, jtis []string) (int, error) {
	n, err := t.number(ctx, revocationCount, jtis)
	return int(n), err
}

const revocationPruneTokens = `
DELETE FROM revocations
WHERE seq = ANY (ARRAY(
    SELECT seq FROM revocations
    WHERE type = 'jti' AND expires_at < $1
    ORDER BY expires_at LIMIT $2))
RETURNING seq`

const revocationPruneEpochs = `
DELETE FROM revocations
WHERE seq = ANY (ARRAY(
    SELECT seq FROM revocations
    WHERE type IN ('organization', 'agent', 'credential') AND at < $1
    ORDER BY at LIMIT $2))
RETURNING seq`

const revocationPruned = `UPDATE revocation_head SET pruned = greatest(pruned, $1) WHERE id = 1`

// Prune tells with every batch how far it went: a reader of the feed from
// before that must see at once that it has missed something.
func (t revocations) Prune(ctx context.Context, now, epochsBefore time.Time) (more bool, err error) {
	if err := t.writable(); err != nil {
		return false, err
	}
	gone, err := list(ctx, t.transaction, revocationPruneTokens, scanNumber, now.UnixMilli(), store.PruneBatch)
	if err != nil {
		return false, err
	}
	if room := store.PruneBatch - len(gone); room > 0 {
		epochs, err := list(ctx, t.transaction, revocationPruneEpochs, scanNumber, epochsBefore.UnixMilli(), room)
		if err != nil {
			return false, err
		}
		gone = append(gone, epochs...)
	}
	if len(gone) == 0 {
		return false, nil
	}
	_, err = t.exec(ctx, revocationPruned, slices.Max(gone))
	return len(gone) == store.PruneBatch, err
}
