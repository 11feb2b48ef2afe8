-- When a key that is published is to sign.

-- +goose Up
ALTER TABLE keys ADD COLUMN activate_at INTEGER;
