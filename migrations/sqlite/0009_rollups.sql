-- Numbers for dashboards: how often each action happened in every minute,
-- hour and day, by organization, and under '' for all together, so that a list of
-- thousands of tenants is not summed for one page. An append adds to them in its
-- own transaction. They are derived from events and are no evidence: nothing
-- refuses their change.

-- +goose Up
CREATE TABLE event_counts (
    step            INTEGER NOT NULL, -- seconds: 60, 3600 or 86400
    at              INTEGER NOT NULL, -- when the bucket begins, in Unix seconds
    organization_id TEXT    NOT NULL,
    action          TEXT    NOT NULL,
    outcome         TEXT    NOT NULL,
    count           INTEGER NOT NULL,
    -- Time first: a batch writes the newest pages only.
    PRIMARY KEY (step, at, organization_id, action, outcome)
) STRICT, WITHOUT ROWID;

-- What an organization can log in with, counted without touching the rows.
CREATE INDEX credentials_active ON credentials (organization_id, expires_at, method, secret_set_at, agent_id) WHERE status = 'active';
