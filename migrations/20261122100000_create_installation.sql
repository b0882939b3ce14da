-- The installation's identity and the one clock of the schema.
--
-- Why: every client made at Qlik bears the installation's id, so that what bears
-- no mark of ours is never touched. Leases and due times come from one function,
-- so that replicas with skewed clocks cannot break a lease.
--
-- Locks: none on existing tables.
-- Safe while the previous version runs: yes (creates only).

CREATE TABLE tenantd.installation (
    only_row        boolean     PRIMARY KEY DEFAULT true,
    installation_id uuid        NOT NULL DEFAULT gen_random_uuid(),
    created_at      timestamptz NOT NULL DEFAULT statement_timestamp(),

    CONSTRAINT installation_has_one_row CHECK (only_row)
);

COMMENT ON TABLE  tenantd.installation IS 'Who we are to Qlik: one row, made once.';
COMMENT ON COLUMN tenantd.installation.only_row IS 'Always true: keeps the table at one row.';
COMMENT ON COLUMN tenantd.installation.installation_id IS 'Part of the mark in the description of every client we make.';
COMMENT ON COLUMN tenantd.installation.created_at IS 'When the schema was made.';

INSERT INTO tenantd.installation DEFAULT VALUES;

-- STABLE, and one expression, so that the planner inlines it and indexes serve it.
-- RETURN binds names when the function is made: no caller's search_path changes
-- what it means. So it is with every SQL function of this schema.
CREATE FUNCTION tenantd.clock() RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN statement_timestamp();

COMMENT ON FUNCTION tenantd.clock() IS 'The instant of every lease and due time. Tests replace it by one they can set.';
