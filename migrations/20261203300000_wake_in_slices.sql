-- A rejoin is an epoch of the installation: it counts at once, and rows are woken in slices.
--
-- Why: a rejoin wrote every row in the transaction that recognised the database. With a million
-- rows that took minutes under one lock, longer than any statement of the daemon may take, while
-- nobody worked. Now the transaction writes one number. Every fence holds the row's number against
-- it: a row with a lower one cannot be claimed, and nobody who had leased it before can commit.
-- The pass distrust takes the rows up slice by slice, in short transactions, and goes on where it
-- was; each row is worked on as soon as its slice is through. A row that was never claimed needs no
-- slice: its first claim has it looked at.
--
-- Locks: ACCESS EXCLUSIVE on tenantd.tenants, tenantd.installation and tenantd.passes for an instant;
-- nothing is rewritten.
-- Safe while the previous version runs: yes. That version knows nothing of the number, so while a
-- pass distrust goes on it is told that the database is not recognised yet, and waits.

ALTER TABLE tenantd.installation ADD COLUMN rejoin_epoch integer NOT NULL DEFAULT 0;
-- Whoever is inserted since the rejoin needs no slice: look_back says before each INSERT which it is.
-- Restated: since its releases of November 2026 PostgreSQL refuses what follows while a function
-- whose body is parsed takes the row. As text the body is the same, its operators named with their schema, so that
-- no search_path decides which they are.
CREATE OR REPLACE FUNCTION tenantd.is_leased(t tenantd.tenants) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT t.lease_expires_at IS NOT NULL
           AND (t.lease_expires_at OPERATOR(pg_catalog.>) tenantd.clock() OR tenantd.is_lease_extended(t.tenant_id, t.lease_epoch)) $$;

ALTER TABLE tenantd.tenants ADD COLUMN rejoin_epoch integer NOT NULL
    DEFAULT coalesce(nullif(current_setting('tenantd.rejoin_epoch', true), '')::integer, 0);
ALTER TABLE tenantd.passes ADD COLUMN is_once_more boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN tenantd.installation.rejoin_epoch IS 'Counts the times that the database was taken for a restored one. A row with a lower one is not believed.';
COMMENT ON COLUMN tenantd.tenants.rejoin_epoch IS 'The rejoin since which the row is looked at before it is acted on. Below that of the installation nobody works on it, unless nobody ever has.';
COMMENT ON COLUMN tenantd.passes.is_once_more IS 'Whether somebody had locked one of those that were asked, so that the pass begins anew at its end.';
COMMENT ON COLUMN tenantd.passes.pass IS 'sort_regions, plan_audits, or distrust (after a rejoin).';
COMMENT ON COLUMN tenantd.passes.asked IS 'The settings by which every row is or was asked; for distrust, the rejoin.';

INSERT INTO tenantd.schedules (job) VALUES ('distrust');
COMMENT ON COLUMN tenantd.schedules.job IS 'prune (history), plan_audits, roll_out (rotation by age, repairs), fold_counts, judge_objective, distrust (the rows, after a rejoin).';

CREATE FUNCTION tenantd.epoch_of(at timestamptz) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (extract(epoch FROM at - '2026-01-01 00:00:00+00'::timestamptz) * 1000000)::bigint;
COMMENT ON FUNCTION tenantd.epoch_of(timestamptz) IS 'The fencing epoch of a claim that must not be one that the database forgot: microseconds since 2026.';

CREATE FUNCTION tenantd.assert_place() RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    here  record;
    known record;
BEGIN
    SELECT * INTO here FROM tenantd.place();
    IF here.timeline IS NULL THEN
        RAISE EXCEPTION 'the database is a standby, which takes no writes' USING ERRCODE = 'read_only_sql_transaction';
    END IF;
    SELECT i.system_identifier, i.database_id, i.timeline INTO known FROM tenantd.installation AS i;
    -- A database that was renamed is the same one: only its oid counts.
    IF (known.system_identifier, split_part(known.database_id, '/', -1), known.timeline)
       IS DISTINCT FROM (here.system_identifier, split_part(here.database_id, '/', -1), here.timeline) THEN
        RAISE EXCEPTION 'this database is not in the place where it was last recognised'
            USING ERRCODE = 'TD001', HINT = 'The daemon looks into it by itself; tenantd rejoin --status tells what came of it.';
    END IF;
    RETURN true;
END
$$;
COMMENT ON FUNCTION tenantd.assert_place() IS 'True on the database that was recognised; raises TD001 anywhere else.';

-- Read by the version before alone, which fences by rows and not by the installation.
CREATE OR REPLACE FUNCTION tenantd.assert_recognised() RETURNS boolean
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    PERFORM tenantd.assert_place();
    IF EXISTS (SELECT FROM tenantd.passes WHERE pass = 'distrust' AND ended_at IS NULL) THEN
        RAISE EXCEPTION 'not every row of this database has been told of the rejoin yet'
            USING ERRCODE = 'TD001', HINT = 'A daemon of the newer version does so; tenantd rejoin --status tells how far it is.';
    END IF;
    RETURN true;
END
$$;
COMMENT ON FUNCTION tenantd.assert_recognised() IS 'True where every row counts since the last rejoin, on the database that was recognised; raises TD001 anywhere else.';

CREATE OR REPLACE FUNCTION tenantd.look_back() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    PERFORM set_config('tenantd.has_former', (EXISTS (SELECT FROM tenantd.former_tenants))::text, true),
            set_config('tenantd.has_absent', (EXISTS (SELECT FROM tenantd.tenants WHERE desired_state = 'absent'))::text, true),
            set_config('tenantd.rejoin_epoch', (SELECT i.rejoin_epoch FROM tenantd.installation AS i)::text, true);
    RETURN NULL;
END
$$;
