-- What the role that serves may do, if there is one beside the owner; see the
-- roles in 0002. The audit tables were granted there, without UPDATE and DELETE.

-- +goose Up
-- +goose StatementBegin
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'agentidp_service') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON organizations, agents, agent_capabilities, credentials, token_usage, idempotency,
            revocations, assertions, keys, sidecars, settings TO agentidp_service;
        GRANT SELECT, UPDATE ON revocation_head, changes TO agentidp_service;
        GRANT SELECT ON goose_db_version TO agentidp_service;
    END IF;
END $$;
-- +goose StatementEnd
