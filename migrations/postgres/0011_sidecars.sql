-- What a sidecar is called, and since when it has acknowledged its cursor.

-- +goose Up
ALTER TABLE sidecars ADD COLUMN name text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE sidecars ADD COLUMN feed_cursor_at bigint;
