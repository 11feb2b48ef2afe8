-- How many agents and credentials there are, so that no list and no overview
-- counts them one by one. Triggers keep the numbers with the rows, in the same
-- transaction, whichever version writes. They are derived, and Stats.Miscounted
-- counts them again.

-- +goose Up

SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- No writer stands between: the rows that are counted here are all that there
-- are before the triggers.
SELECT pg_advisory_xact_lock(4703115946216386881);

LOCK TABLE agents, agent_capabilities, credentials IN SHARE ROW EXCLUSIVE MODE;

-- Agents by everything that a list filters by. '' as organization stands for all
-- together, as owner for anybody's, as capability for whatever they hold.
CREATE TABLE agent_counts (
    organization_id text   COLLATE "C" NOT NULL,
    owner           text   COLLATE "C" NOT NULL,
    capability      text   COLLATE "C" NOT NULL,
    status          text   COLLATE "C" NOT NULL,
    environment     text   COLLATE "C" NOT NULL,
    agent_type      text   COLLATE "C" NOT NULL,
    count           bigint NOT NULL, -- never 0
    PRIMARY KEY (organization_id, owner, capability, status, environment, agent_type)
) WITH (fillfactor = 70); -- counted up and down in place

-- Active credentials by when they end. A span is 2^26 milliseconds, 18.6 hours:
-- whole spans are summed, and in the one that a moment falls into the credentials
-- are looked at. NULL as end is the last span. '' as organization stands for all.
CREATE TABLE credential_ends (
    organization_id text    COLLATE "C" NOT NULL,
    expires_span    bigint  NOT NULL, -- expires_at >> 26
    agent_active    boolean NOT NULL,
    count           bigint  NOT NULL, -- never 0
    PRIMARY KEY (organization_id, expires_span, agent_active)
) WITH (fillfactor = 70);

-- Those with a secret, by its age too, for organizations in which secrets age.
CREATE TABLE credential_ages (
    organization_id text    COLLATE "C" NOT NULL,
    set_span        bigint  NOT NULL, -- secret_set_at >> 26
    expires_span    bigint  NOT NULL,
    agent_active    boolean NOT NULL,
    count           bigint  NOT NULL, -- never 0
    PRIMARY KEY (organization_id, set_span, expires_span, agent_active)
) WITH (fillfactor = 70);

INSERT INTO agent_counts (organization_id, owner, capability, status, environment, agent_type, count)
WITH each (organization_id, owner, capability, status, environment, agent_type, n) AS MATERIALIZED (
    SELECT organization_id, owner, '' COLLATE "C", status, environment, agent_type, count(*) FROM agents GROUP BY 1, 2, 3, 4, 5, 6
    UNION ALL
    SELECT a.organization_id, a.owner, h.capability, a.status, a.environment, a.agent_type, count(*)
    FROM agent_capabilities AS h JOIN agents AS a ON a.id = h.agent_id
    GROUP BY 1, 2, 3, 4, 5, 6
)
SELECT k.organization_id, k.owner, e.capability, e.status, e.environment, e.agent_type, sum(e.n)
FROM each AS e
CROSS JOIN LATERAL (VALUES ('', '', true), (e.organization_id, '', true), (e.organization_id, e.owner, e.owner <> '')) AS k (organization_id, owner, counts)
WHERE k.counts
GROUP BY 1, 2, 3, 4, 5, 6;

INSERT INTO credential_ends (organization_id, expires_span, agent_active, count)
SELECT k.organization_id, coalesce(c.expires_at, 9223372036854775807) >> 26, a.status = 'active', count(*)
FROM credentials AS c
JOIN agents AS a ON a.id = c.agent_id
CROSS JOIN LATERAL (VALUES (''), (c.organization_id)) AS k (organization_id)
WHERE c.status = 'active'
GROUP BY 1, 2, 3;

INSERT INTO credential_ages (organization_id, set_span, expires_span, agent_active, count)
SELECT c.organization_id, c.secret_set_at >> 26, coalesce(c.expires_at, 9223372036854775807) >> 26, a.status = 'active', count(*)
FROM credentials AS c
JOIN agents AS a ON a.id = c.agent_id
WHERE c.status = 'active' AND c.method = 'client_secret'
GROUP BY 1, 2, 3, 4;

-- Rows come by the batch (COPY), so inserts are counted by the statement: a count
-- that is written again and again in a transaction grows slower each time.
-- +goose StatementBegin
CREATE FUNCTION agents_added() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO agent_counts AS n (organization_id, owner, capability, status, environment, agent_type, count)
    SELECT k.organization_id, k.owner, '', a.status, a.environment, a.agent_type, count(*)
    FROM added AS a
    CROSS JOIN LATERAL (VALUES ('', '', true), (a.organization_id, '', true), (a.organization_id, a.owner, a.owner <> '')) AS k (organization_id, owner, counts)
    WHERE k.counts
    GROUP BY 1, 2, 3, 4, 5, 6
    ON CONFLICT (organization_id, owner, capability, status, environment, agent_type) DO UPDATE SET count = n.count + excluded.count;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION agent_capabilities_added() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO agent_counts AS n (organization_id, owner, capability, status, environment, agent_type, count)
    SELECT k.organization_id, k.owner, h.capability, a.status, a.environment, a.agent_type, count(*)
    FROM added AS h
    JOIN agents AS a ON a.id = h.agent_id
    CROSS JOIN LATERAL (VALUES ('', '', true), (a.organization_id, '', true), (a.organization_id, a.owner, a.owner <> '')) AS k (organization_id, owner, counts)
    WHERE k.counts
    GROUP BY 1, 2, 3, 4, 5, 6
    ON CONFLICT (organization_id, owner, capability, status, environment, agent_type) DO UPDATE SET count = n.count + excluded.count;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION credentials_added() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO credential_ends AS n (organization_id, expires_span, agent_active, count)
    SELECT k.organization_id, coalesce(c.expires_at, 9223372036854775807) >> 26, a.status = 'active', count(*)
    FROM added AS c
    JOIN agents AS a ON a.id = c.agent_id
    CROSS JOIN LATERAL (VALUES (''), (c.organization_id)) AS k (organization_id)
    WHERE c.status = 'active'
    GROUP BY 1, 2, 3
    ON CONFLICT (organization_id, expires_span, agent_active) DO UPDATE SET count = n.count + excluded.count;
    INSERT INTO credential_ages AS n (organization_id, set_span, expires_span, agent_active, count)
    SELECT c.organization_id, c.secret_set_at >> 26, coalesce(c.expires_at, 9223372036854775807) >> 26, a.status = 'active', count(*)
    FROM added AS c
    JOIN agents AS a ON a.id = c.agent_id
    WHERE c.status = 'active' AND c.method = 'client_secret'
    GROUP BY 1, 2, 3, 4
    ON CONFLICT (organization_id, set_span, expires_span, agent_active) DO UPDATE SET count = n.count + excluded.count;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- agent_move adds n, 1 or -1, to the counts of an agent for each of the capabilities.
-- +goose StatementBegin
CREATE FUNCTION agent_move(a agents, held text[], n bigint) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO agent_counts AS c (organization_id, owner, capability, status, environment, agent_type, count)
    SELECT k.organization_id, k.owner, h.capability, a.status, a.environment, a.agent_type, n
    FROM unnest(held) AS h (capability)
    CROSS JOIN (VALUES ('', '', true), (a.organization_id, '', true), (a.organization_id, a.owner, a.owner <> '')) AS k (organization_id, owner, counts)
    WHERE k.counts
    ON CONFLICT (organization_id, owner, capability, status, environment, agent_type) DO UPDATE SET count = c.count + excluded.count;
    IF n < 0 THEN
        DELETE FROM agent_counts AS c
        USING (VALUES ('', ''), (a.organization_id, ''), (a.organization_id, a.owner)) AS k (organization_id, owner)
        WHERE c.organization_id = k.organization_id AND c.owner = k.owner AND c.capability = ANY (held)
            AND c.status = a.status AND c.environment = a.environment AND c.agent_type = a.agent_type AND c.count = 0;
    END IF;
END $$;
-- +goose StatementEnd

-- credential_move does so for a credential, if it is active.
-- +goose StatementBegin
CREATE FUNCTION credential_move(c credentials, active boolean, n bigint) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    ends bigint := coalesce(c.expires_at, 9223372036854775807) >> 26;
BEGIN
    IF c.status <> 'active' OR active IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO credential_ends AS e (organization_id, expires_span, agent_active, count)
    VALUES ('', ends, active, n), (c.organization_id, ends, active, n)
    ON CONFLICT (organization_id, expires_span, agent_active) DO UPDATE SET count = e.count + excluded.count;
    IF c.method = 'client_secret' THEN
        INSERT INTO credential_ages AS e (organization_id, set_span, expires_span, agent_active, count)
        VALUES (c.organization_id, c.secret_set_at >> 26, ends, active, n)
        ON CONFLICT (organization_id, set_span, expires_span, agent_active) DO UPDATE SET count = e.count + excluded.count;
    END IF;
    IF n < 0 THEN
        DELETE FROM credential_ends AS e
        WHERE e.organization_id IN ('', c.organization_id) AND e.expires_span = ends AND e.agent_active = active AND e.count = 0;
        DELETE FROM credential_ages AS e
        WHERE e.organization_id = c.organization_id AND e.set_span = c.secret_set_at >> 26 AND e.expires_span = ends
            AND e.agent_active = active AND e.count = 0;
    END IF;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION agents_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    held text[] := ARRAY(SELECT '' COLLATE "C" UNION ALL SELECT capability FROM agent_capabilities WHERE agent_id = OLD.id);
BEGIN
    PERFORM agent_move(OLD, held, -1);
    IF TG_OP = 'DELETE' THEN
        RETURN NULL;
    END IF;
    PERFORM agent_move(NEW, held, 1);
    IF (OLD.status = 'active') <> (NEW.status = 'active') THEN
        -- right as long as no one statement changes agents and credentials together
        PERFORM credential_move(c, OLD.status = 'active', -1), credential_move(c, NEW.status = 'active', 1) FROM credentials AS c WHERE c.agent_id = NEW.id;
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION agent_capabilities_dropped() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM agent_move(a, ARRAY[OLD.capability], -1) FROM agents AS a WHERE a.id = OLD.agent_id;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION credentials_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM credential_move(OLD, (SELECT a.status = 'active' FROM agents AS a WHERE a.id = OLD.agent_id), -1);
    IF TG_OP = 'UPDATE' THEN
        PERFORM credential_move(NEW, (SELECT a.status = 'active' FROM agents AS a WHERE a.id = NEW.agent_id), 1);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd

CREATE TRIGGER agents_added AFTER INSERT ON agents
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION agents_added();

CREATE TRIGGER agents_changed AFTER UPDATE OF organization_id, owner, status, environment, agent_type ON agents
FOR EACH ROW WHEN ((OLD.organization_id, OLD.owner, OLD.status, OLD.environment, OLD.agent_type)
    IS DISTINCT FROM (NEW.organization_id, NEW.owner, NEW.status, NEW.environment, NEW.agent_type))
EXECUTE FUNCTION agents_changed();

CREATE TRIGGER agents_dropped AFTER DELETE ON agents FOR EACH ROW EXECUTE FUNCTION agents_changed();

CREATE TRIGGER agent_capabilities_added AFTER INSERT ON agent_capabilities
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION agent_capabilities_added();

CREATE TRIGGER agent_capabilities_dropped AFTER DELETE ON agent_capabilities FOR EACH ROW EXECUTE FUNCTION agent_capabilities_dropped();

CREATE TRIGGER credentials_added AFTER INSERT ON credentials
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION credentials_added();

-- Not what authentication and warnings write: last_used_at, warned_for.
CREATE TRIGGER credentials_changed AFTER UPDATE OF organization_id, agent_id, status, method, secret_set_at, expires_at ON credentials
FOR EACH ROW WHEN ((OLD.organization_id, OLD.agent_id, OLD.status, OLD.method, OLD.secret_set_at, OLD.expires_at)
    IS DISTINCT FROM (NEW.organization_id, NEW.agent_id, NEW.status, NEW.method, NEW.secret_set_at, NEW.expires_at))
EXECUTE FUNCTION credentials_changed();

CREATE TRIGGER credentials_dropped AFTER DELETE ON credentials FOR EACH ROW EXECUTE FUNCTION credentials_changed();

-- For each status, environment and type that there are, a page comes in order: a
-- list merges them, and reads none that its filter does not mean.
CREATE INDEX agents_by_state ON agents (organization_id, status, environment, agent_type, created_at DESC, id);
CREATE INDEX agents_by_state_email ON agents (organization_id, status, environment, agent_type, email, id);

-- Who may execute a trigger's function may put it on a table of their own, and
-- have casts of their own types run as the owner.
REVOKE EXECUTE ON FUNCTION agents_added(), agents_changed(), agent_capabilities_added(), agent_capabilities_dropped(), credentials_added(), credentials_changed(),
    agent_move(agents, text[], bigint), credential_move(credentials, boolean, bigint) FROM PUBLIC;

-- +goose StatementBegin
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'agentidp_service') THEN
        GRANT SELECT ON agent_counts, credential_ends, credential_ages TO agentidp_service;
    END IF;
END $$;
-- +goose StatementEnd
