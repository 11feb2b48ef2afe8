-- What proves a commit whose answer was lost, and how many months the role that
-- serves can have made.

-- +goose Up

SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- The latest transaction of each process that writes, written in that very
-- transaction: what stands here was committed. A transaction id would not prove
-- it: one that a crash kept from the disk is given out again. Rows of processes
-- that are gone are removed after an hour.
CREATE TABLE writers (
    id     text   COLLATE "C" NOT NULL PRIMARY KEY, -- random, one per process and store
    number bigint NOT NULL,                         -- of its transactions, the latest
    at     bigint NOT NULL                          -- Unix milliseconds, the server's clock
) WITH (fillfactor = 20); -- rows are written in place

-- event_month as in 0002, with a bound: months within two years of the server's
-- clock are always made, others while there are fewer than 600 tables. Nobody
-- can fill the catalog with months, or use up those that are needed; and a
-- replica whose clock is wrong, or a log that is brought in, still has its 25 years.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION event_month(at bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
DECLARE
    month timestamptz := date_trunc('month', to_timestamp(at / 1000.0));
    class text;
    leaf  text;
BEGIN
    PERFORM pg_advisory_xact_lock(4703115946216386882); -- one maker at a time
    FOREACH class IN ARRAY ARRAY['free', 'custom'] LOOP
        leaf := format('events_%s_%s', class, to_char(month, 'YYYY_MM'));
        CONTINUE WHEN to_regclass(quote_ident(leaf)) IS NOT NULL;
        IF month NOT BETWEEN now() - interval '2 years' AND now() + interval '2 years'
            AND (SELECT count(*) FROM pg_inherits WHERE inhparent IN ('events_free'::regclass, 'events_custom'::regclass)) >= 600 THEN
            RAISE EXCEPTION 'no table for events of %: there are 600, and it is far from now', to_char(month, 'YYYY-MM') USING ERRCODE = 'program_limit_exceeded';
        END IF;
        EXECUTE format('CREATE TABLE %I (LIKE events INCLUDING ALL, UNIQUE (sequence), UNIQUE (event_id))', leaf);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', 'events_' || class, leaf,
            extract(epoch FROM month)::bigint * 1000, extract(epoch FROM month + interval '1 month')::bigint * 1000);
        EXECUTE format('CREATE TRIGGER partition_refuses BEFORE INSERT OR TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()', leaf);
        EXECUTE format('REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON %I FROM PUBLIC, CURRENT_USER', leaf);
    END LOOP;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'agentidp_service') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON writers TO agentidp_service;
    END IF;
END $$;
-- +goose StatementEnd
