-- Functions that take a row of tenantd.tenants have their bodies as text.
--
-- Why: since its releases of November 2026 PostgreSQL refuses to add a column with a default to a
-- table whose row a function with a parsed body (RETURN ...) takes. Two earlier migrations make
-- them so before they add theirs; where those ran before, it is done here, so that later ones find
-- the same everywhere. Their operators are named with their schema, so that no search_path decides
-- which they are. Write no function of a row with a parsed body any more.
--
-- Locks: none.
-- Safe while the previous version runs: yes (the same bodies).

CREATE OR REPLACE FUNCTION tenantd.may_be_probed(t tenantd.tenants) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT (t.lease_holder IS NULL
            OR t.lease_expires_at OPERATOR(pg_catalog.<=) tenantd.clock() AND (t.unanswered IS NULL OR t.settles_at IS NOT NULL))
       AND t.parked_reason IS NULL
       AND (t.paused_at IS NULL OR t.paused_until OPERATOR(pg_catalog.<=) tenantd.clock())
       AND t.desired_state OPERATOR(pg_catalog.=) 'present'
       AND (t.phase OPERATOR(pg_catalog.<>) 'pending' OR t.not_before IS NULL OR t.not_before OPERATOR(pg_catalog.<=) tenantd.clock()) $$;
CREATE OR REPLACE FUNCTION tenantd.is_leased(t tenantd.tenants) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT t.lease_expires_at IS NOT NULL
           AND (t.lease_expires_at OPERATOR(pg_catalog.>) tenantd.clock() OR tenantd.is_lease_extended(t.tenant_id, t.lease_epoch)) $$;
