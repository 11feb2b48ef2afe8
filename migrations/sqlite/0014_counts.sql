-- How many agents and credentials there are, so that no list and no overview
-- counts them one by one. Triggers keep the numbers with the rows, in the same
-- transaction. They are derived, and Stats.Miscounted counts them again.

-- +goose Up

-- Agents by everything that a list filters by. '' as organization stands for all
-- together, as owner for anybody's, as capability for whatever they hold.
CREATE TABLE agent_counts (
    organization_id TEXT    NOT NULL,
    owner           TEXT    NOT NULL,
    capability      TEXT    NOT NULL,
    status          TEXT    NOT NULL,
    environment     TEXT    NOT NULL,
    agent_type      TEXT    NOT NULL,
    count           INTEGER NOT NULL, -- never 0
    PRIMARY KEY (organization_id, owner, capability, status, environment, agent_type)
) STRICT, WITHOUT ROWID;

-- Active credentials by when they end. A span is 2^26 milliseconds, 18.6 hours:
-- whole spans are summed, and in the one that a moment falls into the credentials
-- are looked at. NULL as end is the last span. '' as organization stands for all.
CREATE TABLE credential_ends (
    organization_id TEXT    NOT NULL,
    expires_span    INTEGER NOT NULL, -- expires_at >> 26
    agent_active    INTEGER NOT NULL CHECK (agent_active IN (0, 1)),
    count           INTEGER NOT NULL, -- never 0
    PRIMARY KEY (organization_id, expires_span, agent_active)
) STRICT, WITHOUT ROWID;

-- Those with a secret, by its age too, for organizations in which secrets age.
CREATE TABLE credential_ages (
    organization_id TEXT    NOT NULL,
    set_span        INTEGER NOT NULL, -- secret_set_at >> 26
    expires_span    INTEGER NOT NULL,
    agent_active    INTEGER NOT NULL CHECK (agent_active IN (0, 1)),
    count           INTEGER NOT NULL, -- never 0
    PRIMARY KEY (organization_id, set_span, expires_span, agent_active)
) STRICT, WITHOUT ROWID;

INSERT INTO agent_counts (organization_id, owner, capability, status, environment, agent_type, count)
WITH each (organization_id, owner, capability, status, environment, agent_type, n) AS MATERIALIZED (
    SELECT organization_id, owner, '', status, environment, agent_type, count(*) FROM agents GROUP BY 1, 2, 3, 4, 5, 6
    UNION ALL
    SELECT a.organization_id, a.owner, h.capability, a.status, a.environment, a.agent_type, count(*)
    FROM agent_capabilities AS h JOIN agents AS a ON a.id = h.agent_id
    GROUP BY 1, 2, 3, 4, 5, 6
)
SELECT organization_id, owner, capability, status, environment, agent_type, n FROM each WHERE owner <> ''
UNION ALL
SELECT organization_id, '', capability, status, environment, agent_type, sum(n) FROM each GROUP BY 1, 2, 3, 4, 5, 6
UNION ALL
SELECT '', '', capability, status, environment, agent_type, sum(n) FROM each GROUP BY 1, 2, 3, 4, 5, 6;

INSERT INTO credential_ends (organization_id, expires_span, agent_active, count)
WITH live (organization_id, expires_span, agent_active) AS (
    SELECT c.organization_id, coalesce(c.expires_at, 9223372036854775807) >> 26, a.status = 'active'
    FROM credentials AS c JOIN agents AS a ON a.id = c.agent_id WHERE c.status = 'active'
)
SELECT organization_id, expires_span, agent_active, count(*) FROM live GROUP BY 1, 2, 3
UNION ALL
SELECT '', expires_span, agent_active, count(*) FROM live GROUP BY 2, 3;

INSERT INTO credential_ages (organization_id, set_span, expires_span, agent_active, count)
SELECT c.organization_id, c.secret_set_at >> 26, coalesce(c.expires_at, 9223372036854775807) >> 26, a.status = 'active', count(*)
FROM credentials AS c JOIN agents AS a ON a.id = c.agent_id
WHERE c.status = 'active' AND c.method = 'client_secret'
GROUP BY 1, 2, 3, 4;

-- What is inserted here is added to the counts: n is 1 or -1.
CREATE VIEW agent_moves AS SELECT organization_id, owner, capability, status, environment, agent_type, count AS n FROM agent_counts;

-- +goose StatementBegin
CREATE TRIGGER agent_moves_count INSTEAD OF INSERT ON agent_moves
BEGIN
    INSERT INTO agent_counts (organization_id, owner, capability, status, environment, agent_type, count)
    SELECT k.organization_id, k.owner, NEW.capability, NEW.status, NEW.environment, NEW.agent_type, NEW.n
    FROM (
        SELECT '' AS organization_id, '' AS owner
        UNION ALL SELECT NEW.organization_id, ''
        UNION ALL SELECT NEW.organization_id, NEW.owner WHERE NEW.owner <> '') AS k
    WHERE true
    ON CONFLICT DO UPDATE SET count = count + excluded.count;
    DELETE FROM agent_counts
    WHERE NEW.n < 0 AND (organization_id, owner) IN (VALUES ('', ''), (NEW.organization_id, ''), (NEW.organization_id, NEW.owner))
        AND capability = NEW.capability AND status = NEW.status AND environment = NEW.environment AND agent_type = NEW.agent_type AND count = 0;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER agents_count_insert AFTER INSERT ON agents
BEGIN
    INSERT INTO agent_moves (organization_id, owner, capability, status, environment, agent_type, n)
    VALUES (NEW.organization_id, NEW.owner, '', NEW.status, NEW.environment, NEW.agent_type, 1);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER agents_count_delete AFTER DELETE ON agents
BEGIN
    INSERT INTO agent_moves (organization_id, owner, capability, status, environment, agent_type, n)
    VALUES (OLD.organization_id, OLD.owner, '', OLD.status, OLD.environment, OLD.agent_type, -1);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER agents_count_update AFTER UPDATE OF organization_id, owner, status, environment, agent_type ON agents
WHEN (OLD.organization_id, OLD.owner, OLD.status, OLD.environment, OLD.agent_type) IS NOT (NEW.organization_id, NEW.owner, NEW.status, NEW.environment, NEW.agent_type)
BEGIN
    INSERT INTO agent_moves (organization_id, owner, capability, status, environment, agent_type, n)
    SELECT OLD.organization_id, OLD.owner, h.capability, OLD.status, OLD.environment, OLD.agent_type, -1
    FROM (SELECT '' AS capability UNION ALL SELECT capability FROM agent_capabilities WHERE agent_id = OLD.id) AS h;
    INSERT INTO agent_moves (organization_id, owner, capability, status, environment, agent_type, n)
    SELECT NEW.organization_id, NEW.owner, h.capability, NEW.status, NEW.environment, NEW.agent_type, 1
    FROM (SELECT '' AS capability UNION ALL SELECT capability FROM agent_capabilities WHERE agent_id = NEW.id) AS h;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER agent_capabilities_count_insert AFTER INSERT ON agent_capabilities
BEGIN
    INSERT INTO agent_moves (organization_id, owner, capability, status, environment, agent_type, n)
    SELECT organization_id, owner, NEW.capability, status, environment, agent_type, 1 FROM agents WHERE id = NEW.agent_id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER agent_capabilities_count_delete AFTER DELETE ON agent_capabilities
BEGIN
    INSERT INTO agent_moves (organization_id, owner, capability, status, environment, agent_type, n)
    SELECT organization_id, owner, OLD.capability, status, environment, agent_type, -1 FROM agents WHERE id = OLD.agent_id;
END;
-- +goose StatementEnd

-- The same for credentials; what is not active does not count.
CREATE VIEW credential_moves AS
SELECT organization_id, '' AS status, '' AS method, expires_span AS secret_set_at, expires_span AS expires_at, agent_active, count AS n FROM credential_ends;

-- +goose StatementBegin
CREATE TRIGGER credential_moves_count INSTEAD OF INSERT ON credential_moves
WHEN NEW.status = 'active'
BEGIN
    INSERT INTO credential_ends (organization_id, expires_span, agent_active, count)
    VALUES ('', coalesce(NEW.expires_at, 9223372036854775807) >> 26, NEW.agent_active, NEW.n),
        (NEW.organization_id, coalesce(NEW.expires_at, 9223372036854775807) >> 26, NEW.agent_active, NEW.n)
    ON CONFLICT DO UPDATE SET count = count + excluded.count;
    DELETE FROM credential_ends
    WHERE NEW.n < 0 AND organization_id IN ('', NEW.organization_id)
        AND expires_span = coalesce(NEW.expires_at, 9223372036854775807) >> 26 AND agent_active = NEW.agent_active AND count = 0;
    INSERT INTO credential_ages (organization_id, set_span, expires_span, agent_active, count)
    SELECT NEW.organization_id, NEW.secret_set_at >> 26, coalesce(NEW.expires_at, 9223372036854775807) >> 26, NEW.agent_active, NEW.n
    WHERE NEW.method = 'client_secret'
    ON CONFLICT DO UPDATE SET count = count + excluded.count;
    DELETE FROM credential_ages
    WHERE NEW.n < 0 AND organization_id = NEW.organization_id AND set_span = NEW.secret_set_at >> 26
        AND expires_span = coalesce(NEW.expires_at, 9223372036854775807) >> 26 AND agent_active = NEW.agent_active AND count = 0;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER credentials_count_insert AFTER INSERT ON credentials
BEGIN
    INSERT INTO credential_moves (organization_id, status, method, secret_set_at, expires_at, agent_active, n)
    SELECT NEW.organization_id, NEW.status, NEW.method, NEW.secret_set_at, NEW.expires_at, a.status = 'active', 1 FROM agents AS a WHERE a.id = NEW.agent_id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER credentials_count_delete AFTER DELETE ON credentials
BEGIN
    INSERT INTO credential_moves (organization_id, status, method, secret_set_at, expires_at, agent_active, n)
    SELECT OLD.organization_id, OLD.status, OLD.method, OLD.secret_set_at, OLD.expires_at, a.status = 'active', -1 FROM agents AS a WHERE a.id = OLD.agent_id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER credentials_count_update AFTER UPDATE OF organization_id, agent_id, status, method, secret_set_at, expires_at ON credentials
WHEN (OLD.organization_id, OLD.agent_id, OLD.status, OLD.method, OLD.secret_set_at, OLD.expires_at)
    IS NOT (NEW.organization_id, NEW.agent_id, NEW.status, NEW.method, NEW.secret_set_at, NEW.expires_at)
BEGIN
    INSERT INTO credential_moves (organization_id, status, method, secret_set_at, expires_at, agent_active, n)
    SELECT OLD.organization_id, OLD.status, OLD.method, OLD.secret_set_at, OLD.expires_at, a.status = 'active', -1 FROM agents AS a WHERE a.id = OLD.agent_id;
    INSERT INTO credential_moves (organization_id, status, method, secret_set_at, expires_at, agent_active, n)
    SELECT NEW.organization_id, NEW.status, NEW.method, NEW.secret_set_at, NEW.expires_at, a.status = 'active', 1 FROM agents AS a WHERE a.id = NEW.agent_id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER agents_move_credentials AFTER UPDATE OF status ON agents
WHEN (OLD.status = 'active') <> (NEW.status = 'active')
BEGIN
    INSERT INTO credential_moves (organization_id, status, method, secret_set_at, expires_at, agent_active, n)
    SELECT organization_id, status, method, secret_set_at, expires_at, OLD.status = 'active', -1 FROM credentials WHERE agent_id = OLD.id;
    INSERT INTO credential_moves (organization_id, status, method, secret_set_at, expires_at, agent_active, n)
    SELECT organization_id, status, method, secret_set_at, expires_at, NEW.status = 'active', 1 FROM credentials WHERE agent_id = NEW.id;
END;
-- +goose StatementEnd

-- For each status, environment and type that there are, a page comes in order: a
-- list merges them, and reads none that its filter does not mean.
CREATE INDEX agents_by_state ON agents (organization_id, status, environment, agent_type, created_at DESC, id);
CREATE INDEX agents_by_state_email ON agents (organization_id, status, environment, agent_type, email, id);
