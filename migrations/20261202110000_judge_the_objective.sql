-- The one objective: a tenant is ready within objective.ready_within of being wanted.
--
-- Why not the histogram of the time to ready: it knows those who became ready. Whoever never
-- does is in no bucket, so that a fleet where nothing works looks like a quiet one.
-- Why a table of its own: who is awaited is few beside the fleet, and no column or index of
-- tenantd.tenants has to know. Statements add to it, and the job judge_objective takes each
-- row out once, over all replicas, when the time is over: met or missed by then.
-- Why not by the clock of a job: it would have to remember how far it came, and would count
-- twice or never where the setting changes or a transaction was open for long.
--
-- Locks: SHARE ROW EXCLUSIVE on tenantd.tenants for an instant, for its two triggers.
-- Safe while the previous version runs: yes. Rows wait to be judged until a daemon of this
-- version takes the job.

CREATE TABLE tenantd.awaited (
    tenant_id uuid PRIMARY KEY,
    since     timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
COMMENT ON TABLE tenantd.awaited IS 'Tenants that are not judged yet by the objective (objective.ready_within). Kept by triggers and the job judge_objective.';
COMMENT ON COLUMN tenantd.awaited.tenant_id IS 'Which tenant; no foreign key, because a row that is gone is not judged.';
COMMENT ON COLUMN tenantd.awaited.since IS 'Since when its owner waits for it to be ready: its insert or its not_before, or when it was last wanted anew.';
CREATE INDEX awaited_by_age ON tenantd.awaited (since);

-- Pipelines and daemons may write without any right to the table.
CREATE FUNCTION tenantd.await_inserted() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    INSERT INTO tenantd.awaited (tenant_id, since)
    SELECT c.tenant_id, greatest(c.created_at, c.not_before)
      FROM changed AS c
     WHERE c.desired_state = 'present' AND c.ready_at IS NULL
    ON CONFLICT (tenant_id) DO UPDATE SET since = excluded.since;
    RETURN NULL;
END
$$;

CREATE FUNCTION tenantd.await_anew() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    INSERT INTO tenantd.awaited (tenant_id, since)
    VALUES (NEW.tenant_id, greatest(tenantd.clock(), NEW.not_before))
    ON CONFLICT (tenant_id) DO UPDATE SET since = excluded.since;
    RETURN NULL;
END
$$;

CREATE TRIGGER await_inserted AFTER INSERT ON tenantd.tenants
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION tenantd.await_inserted();
-- A tenant that is wanted again, or at another time while it is not ready.
CREATE TRIGGER await_anew AFTER UPDATE OF not_before, desired_state ON tenantd.tenants
    FOR EACH ROW
    WHEN (NEW.desired_state = 'present'
          AND (OLD.desired_state <> 'present'
               OR NEW.ready_at IS NULL AND NEW.not_before IS DISTINCT FROM OLD.not_before))
    EXECUTE FUNCTION tenantd.await_anew();

INSERT INTO tenantd.schedules (job) VALUES ('judge_objective');
COMMENT ON COLUMN tenantd.schedules.job IS 'prune (history), plan_audits, roll_out (rotation by age, repairs), fold_counts, judge_objective.';
