-- Whose the time was that passed from a row's insert to its first ready.
--
-- Why: "why was it slow?" has an answer only if somebody measured it. How long a row rested, and
-- what for, is known from commit to commit; how long Qlik took, from act to act; the core adds
-- both up, and the rest of ready_at - created_at is our own.
--
-- Locks: ACCESS EXCLUSIVE on tenantd.tenants for an instant; nothing is rewritten.
-- Safe while the previous version runs: yes. What that version works on is not measured, and
-- counts as ours.

-- Restated: since its releases of November 2026 PostgreSQL refuses what follows while a function
-- whose body is parsed takes the row. As text the body is the same, its operators named with their schema, so that
-- no search_path decides which they are.
CREATE OR REPLACE FUNCTION tenantd.may_be_probed(t tenantd.tenants) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT (t.lease_holder IS NULL
            OR t.lease_expires_at OPERATOR(pg_catalog.<=) tenantd.clock() AND (t.unanswered IS NULL OR t.settles_at IS NOT NULL))
       AND t.parked_reason IS NULL
       AND (t.paused_at IS NULL OR t.paused_until OPERATOR(pg_catalog.<=) tenantd.clock())
       AND t.desired_state OPERATOR(pg_catalog.=) 'present'
       AND (t.phase OPERATOR(pg_catalog.<>) 'pending' OR t.not_before IS NULL OR t.not_before OPERATOR(pg_catalog.<=) tenantd.clock()) $$;

ALTER TABLE tenantd.tenants
    ADD COLUMN spent bigint[] NOT NULL DEFAULT '{0,0,0,0,0}',
    ADD COLUMN rested_at timestamptz,
    ADD COLUMN rests_for text;
-- Rows that are there keep NULL: nobody knows since when they rest.
ALTER TABLE tenantd.tenants ALTER COLUMN rested_at SET DEFAULT tenantd.clock();
COMMENT ON COLUMN tenantd.tenants.spent IS 'Microseconds from the insert to the first ready that went to queue, limit, remote, backoff and human; what is left of ready_at - created_at is our own.';
COMMENT ON COLUMN tenantd.tenants.rested_at IS 'Since when nobody works on it; NULL while somebody does.';
COMMENT ON COLUMN tenantd.tenants.rests_for IS 'Whose the time is until it is due: queue, limit, remote, backoff or human; NULL for its not_before. From then on it is the queue''s.';
