-- Numbers for dashboards: how often each action happened in every minute,
-- hour and day, by organization, and under '' for all together, so that a list of
-- thousands of tenants is not summed for one page. An append adds to them in its
-- own transaction. They are derived from events and are no evidence: nothing
-- refuses their change.

-- +goose Up
CREATE TABLE event_counts (
    step            integer  NOT NULL, -- seconds: 60, 3600 or 86400
    at              bigint   NOT NULL, -- when the bucket begins, in Unix seconds
    organization_id text     COLLATE "C" NOT NULL,
    verb            smallint NOT NULL, -- of event_verbs
    count           bigint   NOT NULL,
    -- Time first: a batch writes the newest pages only.
    PRIMARY KEY (step, at, organization_id, verb)
) WITH (fillfactor = 60); -- the newest buckets are counted up in place

-- What an organization can log in with, counted without touching the rows.
CREATE INDEX credentials_active ON credentials (organization_id, expires_at, method, secret_set_at, agent_id) WHERE status = 'active';

-- +goose StatementBegin
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'agentidp_service') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON event_counts TO agentidp_service;
    END IF;
END $$;
-- +goose StatementEnd
