package auditlog

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// The tiles of C2SP tlog-tiles: 256 hashes, or events, each.
const (
	tileHeight   = 8
	tileWidth    = 1 << tileHeight
	maxTileLevel = 63
)

// Tile names consecutive hashes of a level of the tree, or events (level 0).
type Tile struct {
	Level  int
	Number int64 // from 0
	Width  int   // 1..256; less than 256: a partial tile at the right edge of some tree
}

// Full reports a tile that no growth of the log changes.
func (t Tile) Full() bool { return t.Width == tileWidth }

const (
	ruleTileLevel = "must be a decimal number from 0 to 63"
	ruleTilePath  = "must be the tile's number such as 007 or x001/x234/067, with .p/1 to .p/255 behind it for a partial tile"
)

// ParseTile reads what stands behind tile/ in the path of C2SP tlog-tiles: the
// level, and <N>[.p/<W>]. A tile has one spelling.
func ParseTile(level, path string) (Tile, error) {
	tile, err := tlog.ParseTilePath("tile/8/0/" + path)
	if err != nil {
		return Tile{}, apierr.Invalid(apierr.Field{Field: "tile", Rule: ruleTilePath})
	}
	number, ok := parseLevel(level)
	if !ok {
		return Tile{}, apierr.Invalid(apierr.Field{Field: "level", Rule: ruleTileLevel})
	}
	return Tile{Level: number, Number: tile.N, Width: tile.W}, nil
}

func parseLevel(text string) (int, bool) {
	if len(text) < 1 || len(text) > 2 || strings.Trim(text, "0123456789") != "" || len(text) > 1 && text[0] == '0' {
		return 0, false
	}
	level := 0
	for _, digit := range text {
		level = 10*level + int(digit-'0')
	}
	return level, level <= maxTileLevel
}

// within refuses a tile that a tree of size leaves does not have.
func (t Tile) within(size int64) error {
	hashes := int64(0) // of the tile's level
	if t.Level < 64/tileHeight {
		hashes = size >> (tileHeight * t.Level)
	}
	full, rest := hashes/tileWidth, hashes%tileWidth
	if t.Number < full || t.Number == full && int64(t.Width) <= rest {
		return nil
	}
	return apierr.New(apierr.NotFound, "the latest checkpoint, of %d events, does not cover the tile", size).
		WithReason("not_covered").WithDetail("reason", "not_covered").WithDetail("treeSize", size)
}

// Tile returns the hashes of a tile, 32 bytes each, if the latest signed
// checkpoint covers it.
func (l *Log) Tile(ctx context.Context, t Tile) (hashes []byte, err error) {
	err = l.covered(ctx, t, func(ctx context.Context, tx *store.Tx) (err error) {
		hashes, err = tlog.ReadTileData(tlog.Tile{H: tileHeight, L: t.Level, N: t.Number, W: t.Width}, stored{ctx, tx.Tree})
		if errors.Is(err, idp.ErrNotFound) {
			return damaged(err)
		}
		return err
	})
	return hashes, err
}

// Entries returns the events that the hashes of a tile of level 0 stand for:
// each as the length of its leaf, 16 bits big-endian, and the leaf.
func (l *Log) Entries(ctx context.Context, t Tile) (bundle []byte, err error) {
	t.Level = 0
	err = l.covered(ctx, t, func(ctx context.Context, tx *store.Tx) error {
		first := t.Number * tileWidth
		rows, err := tx.Events.Range(ctx, store.AnyOrganization, first, t.Width)
		if err != nil {
			return err
		}
		bundle = nil
		for i, row := range rows {
			if row.Sequence != first+int64(i) {
				return pruned()
			}
			if len(row.Body) > maxEncoded {
				return damaged(errEncode)
			}
			bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(row.Body)))
			bundle = append(bundle, row.Body...)
		}
		if len(rows) < t.Width {
			return pruned()
		}
		return nil
	})
	return bundle, err
}

// covered reads in one snapshot with the checkpoint that the tile is held against.
func (l *Log) covered(ctx context.Context, t Tile, read func(context.Context, *store.Tx) error) error {
	err := l.db.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		latest, err := latestCheckpoint(ctx, tx)
		if err != nil {
			return err
		}
		if err := t.within(latest.Size); err != nil {
			return err
		}
		return read(ctx, tx)
	})
	if err != nil {
		return readError(err)
	}
	return nil
}

func latestCheckpoint(ctx context.Context, tx *store.Tx) (store.Checkpoint, error) {
	latest, err := tx.Tree.LatestCheckpoint(ctx)
	if errors.Is(err, idp.ErrNotFound) {
		return latest, apierr.New(apierr.NotFound, "no checkpoint is signed yet").WithReason("not_found")
	}
	return latest, err
}

// pruned answers for events that retention has dropped. Their hashes stay.
func pruned() error {
	return apierr.New(apierr.NotFound, "retention has dropped events of the bundle").WithReason("pruned").WithDetail("reason", "pruned")
}

// damaged is for a log that does not hold what was signed.
func damaged(cause error) error {
	return apierr.New(apierr.Internal, "the audit log is damaged").WithReason("audit_damaged").WithCause(cause)
}
