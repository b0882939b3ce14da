-- How many tenants there are is kept, and every standing question is served by an index of
-- what is rare: nobody walks over a fleet of millions because a gauge is due.
--
-- Why a column: who is neither at rest as ready nor removed for good is always few beside the
-- fleet, but no column said so that an index may name. is_under_way does. It changes when a
-- visit ends, which writes the index of the due anyway, and when a rotation or a removal
-- begins. A trigger keeps it, so that no writer can forget it.
-- Why deltas: a counter row would be locked by every insert until its transaction ends. A
-- delta is appended, one for each statement that inserts or deletes and one for each tenant
-- that comes to rest or sets out again, and folded on a schedule.
-- Why a pass: what asks every row one question after a change of the configuration does so in
-- slices, and remembers how far it came.
--
-- Locks: ACCESS EXCLUSIVE on tenantd.tenants while six small indexes are built (each reads the
-- table once) and the tenants under way are marked; no other row is written. SHARE on
-- tenantd.secrets while its index is built.
-- Safe while the previous version runs: yes. It counts and walks as before; the triggers keep
-- what it does not know.

ALTER TABLE tenantd.tenants ADD COLUMN is_under_way boolean NOT NULL DEFAULT false;
-- New rows alone: those that are there keep what was said first, and are not rewritten.
ALTER TABLE tenantd.tenants ALTER COLUMN is_under_way SET DEFAULT true;
COMMENT ON COLUMN tenantd.tenants.is_under_way IS 'Neither ready and desired present nor removed for good, or parked. Kept by a trigger.';

CREATE TABLE tenantd.counts (
    only_row  boolean PRIMARY KEY DEFAULT true,
    tenants   bigint NOT NULL,
    ready     bigint NOT NULL,
    under_way bigint NOT NULL,
    removed   bigint NOT NULL,
    CONSTRAINT counts_has_one_row CHECK (only_row)
);
COMMENT ON TABLE tenantd.counts IS 'How many tenants there were when the deltas were last folded. Read it through tenantd.totals.';
COMMENT ON COLUMN tenantd.counts.only_row IS 'Always true: keeps the table at one row.';
COMMENT ON COLUMN tenantd.counts.tenants IS 'All rows.';
COMMENT ON COLUMN tenantd.counts.ready IS 'Those that are at rest as ready.';
COMMENT ON COLUMN tenantd.counts.under_way IS 'Those that are under way.';
COMMENT ON COLUMN tenantd.counts.removed IS 'Those in the phase removed, whether or not they are looked at once more.';

-- No key: it is only appended to, added up and emptied.
CREATE TABLE tenantd.count_deltas (
    tenants   bigint NOT NULL,
    ready     bigint NOT NULL,
    under_way bigint NOT NULL,
    removed   bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
        autovacuum_vacuum_insert_threshold = -1);
COMMENT ON TABLE tenantd.count_deltas IS 'What changed since: appended by triggers of tenantd.tenants, folded into tenantd.counts by the job fold_counts.';
COMMENT ON COLUMN tenantd.count_deltas.tenants IS 'How many rows more.';
COMMENT ON COLUMN tenantd.count_deltas.ready IS 'How many more are at rest as ready.';
COMMENT ON COLUMN tenantd.count_deltas.under_way IS 'How many more are under way.';
COMMENT ON COLUMN tenantd.count_deltas.removed IS 'How many more are in the phase removed.';

CREATE VIEW tenantd.totals AS
SELECT c.tenants + d.tenants AS tenants,
       c.ready + d.ready AS ready,
       c.under_way + d.under_way AS under_way,
       c.removed + d.removed AS removed
  FROM tenantd.counts AS c
 CROSS JOIN (SELECT coalesce(sum(x.tenants), 0)::bigint AS tenants, coalesce(sum(x.ready), 0)::bigint AS ready,
                    coalesce(sum(x.under_way), 0)::bigint AS under_way, coalesce(sum(x.removed), 0)::bigint AS removed
               FROM tenantd.count_deltas AS x) AS d;
COMMENT ON VIEW tenantd.totals IS 'How many tenants there are, without counting them.';
COMMENT ON COLUMN tenantd.totals.tenants IS 'All rows.';
COMMENT ON COLUMN tenantd.totals.ready IS 'At rest as ready: nothing is done but audits.';
COMMENT ON COLUMN tenantd.totals.under_way IS 'Neither ready and desired present nor removed for good, or parked.';
COMMENT ON COLUMN tenantd.totals.removed IS 'In the phase removed, whether or not they are looked at once more.';

-- The deltas, by whoever writes a tenant. Pipelines may do so without any right to the counts.

CREATE FUNCTION tenantd.count_class() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    INSERT INTO tenantd.count_deltas (tenants, ready, under_way, removed)
    VALUES (0,
            (NOT NEW.is_under_way AND NEW.phase = 'ready')::integer - (NOT OLD.is_under_way AND OLD.phase = 'ready')::integer,
            NEW.is_under_way::integer - OLD.is_under_way::integer,
            (NEW.phase = 'removed')::integer - (OLD.phase = 'removed')::integer);
    RETURN NULL;
END
$$;

CREATE FUNCTION tenantd.count_rows() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    sign CONSTANT integer := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
BEGIN
    INSERT INTO tenantd.count_deltas (tenants, ready, under_way, removed)
    SELECT sign * count(*),
           sign * count(*) FILTER (WHERE NOT c.is_under_way AND c.phase = 'ready'),
           sign * count(*) FILTER (WHERE c.is_under_way),
           sign * count(*) FILTER (WHERE c.phase = 'removed')
      FROM changed AS c
    HAVING count(*) > 0;
    RETURN NULL;
END
$$;

CREATE FUNCTION tenantd.count_none() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    INSERT INTO tenantd.count_deltas (tenants, ready, under_way, removed)
    SELECT -t.tenants, -t.ready, -t.under_way, -t.removed FROM tenantd.totals AS t;
    RETURN NULL;
END
$$;

CREATE FUNCTION tenantd.turn_under_way() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    NEW.is_under_way := NOT NEW.is_under_way;
    RETURN NEW;
END
$$;

-- Last of its kind, so that it sees what the others made of the row.
CREATE TRIGGER turn_under_way_of_insert BEFORE INSERT ON tenantd.tenants
    FOR EACH ROW
    WHEN (NEW.is_under_way IS DISTINCT FROM
          (NEW.parked_reason IS NOT NULL
           OR (NEW.phase <> 'ready' OR NEW.desired_state <> 'present') AND (NEW.phase <> 'removed' OR NEW.recheck_at IS NOT NULL)))
    EXECUTE FUNCTION tenantd.turn_under_way();
CREATE TRIGGER turn_under_way_of_update BEFORE UPDATE ON tenantd.tenants
    FOR EACH ROW
    WHEN (NEW.is_under_way IS DISTINCT FROM
          (NEW.parked_reason IS NOT NULL
           OR (NEW.phase <> 'ready' OR NEW.desired_state <> 'present') AND (NEW.phase <> 'removed' OR NEW.recheck_at IS NOT NULL)))
    EXECUTE FUNCTION tenantd.turn_under_way();
CREATE TRIGGER count_class AFTER UPDATE ON tenantd.tenants
    FOR EACH ROW
    WHEN (NEW.is_under_way <> OLD.is_under_way OR (NEW.phase = 'removed') <> (OLD.phase = 'removed'))
    EXECUTE FUNCTION tenantd.count_class();
CREATE TRIGGER count_inserted AFTER INSERT ON tenantd.tenants
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION tenantd.count_rows();
CREATE TRIGGER count_deleted AFTER DELETE ON tenantd.tenants
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION tenantd.count_rows();
CREATE TRIGGER count_truncated AFTER TRUNCATE ON tenantd.tenants
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.count_none();

CREATE FUNCTION tenantd.recount() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    LOCK TABLE tenantd.tenants IN SHARE ROW EXCLUSIVE MODE;
    UPDATE tenantd.tenants AS t SET is_under_way = NOT t.is_under_way
     WHERE t.is_under_way IS DISTINCT FROM
           (t.parked_reason IS NOT NULL
            OR (t.phase <> 'ready' OR t.desired_state <> 'present') AND (t.phase <> 'removed' OR t.recheck_at IS NOT NULL));
    DELETE FROM tenantd.count_deltas;
    INSERT INTO tenantd.counts AS c (tenants, ready, under_way, removed)
    SELECT count(*), count(*) FILTER (WHERE NOT t.is_under_way AND t.phase = 'ready'),
           count(*) FILTER (WHERE t.is_under_way), count(*) FILTER (WHERE t.phase = 'removed')
      FROM tenantd.tenants AS t
    ON CONFLICT (only_row) DO UPDATE
       SET tenants = excluded.tenants, ready = excluded.ready, under_way = excluded.under_way, removed = excluded.removed;
END
$$;
COMMENT ON FUNCTION tenantd.recount() IS 'Counts everything anew, for whoever has loaded rows past the triggers. Writers wait meanwhile.';

SELECT tenantd.recount();

CREATE TRIGGER refuse_to_empty BEFORE DELETE OR TRUNCATE ON tenantd.counts
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.refuse_to_empty();
CREATE TRIGGER refuse_to_empty BEFORE TRUNCATE ON tenantd.count_deltas
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.refuse_to_empty();

INSERT INTO tenantd.schedules (job) VALUES ('fold_counts');
COMMENT ON COLUMN tenantd.schedules.job IS 'prune (history), plan_audits, roll_out (rotation by age, repairs), fold_counts.';

-- The fleet that removals are a tenth of, without counting it.
CREATE OR REPLACE FUNCTION tenantd.default_removals() RETURNS bigint
    LANGUAGE sql STABLE
    RETURN greatest(5, ceil(((SELECT c.tenants - c.removed FROM tenantd.counts AS c)
                             + (SELECT coalesce(sum(d.tenants - d.removed), 0) FROM tenantd.count_deltas AS d)
                             + (SELECT count(DISTINCT g.tenant_id) FROM tenantd.changes AS g
                                 WHERE g.kind = 'removal' AND g.started_at > tenantd.clock() - interval '1 hour'
                                   AND NOT EXISTS (SELECT FROM tenantd.tenants AS t
                                                    WHERE t.tenant_id = g.tenant_id AND t.phase <> 'removed'))) / 10.0)::bigint);

-- Random ids: the first so many of this index are a fair sample.
CREATE INDEX tenants_under_way ON tenantd.tenants (tenant_id) WHERE is_under_way;
CREATE INDEX tenants_parked ON tenantd.tenants (external_id) INCLUDE (parked_reason) WHERE parked_reason IS NOT NULL;
CREATE INDEX tenants_absent ON tenantd.tenants (external_id) WHERE desired_state = 'absent';
CREATE INDEX tenants_drifted ON tenantd.tenants (drifted_at) WHERE drift <> '{}';
CREATE INDEX tenants_unplanned ON tenantd.tenants (tenant_id) WHERE audit_at IS NULL AND ready_at IS NOT NULL;

-- A secret's time to be renewed is its age against a share of rotation.every that is its
-- tenant's own (tenantd.spread). An index cannot know the setting, but it can hold the
-- secrets by that share, each by age: 256 looks instead of a walk over all that are nearly old.
CREATE FUNCTION tenantd.slot_of(tenant_id uuid) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((hashtextextended(tenant_id::text, 0) & 1048575) >> 12)::integer;
COMMENT ON FUNCTION tenantd.slot_of(uuid) IS 'Which of 256 slots the tenant''s share of tenantd.spread falls into: 0 for the earliest.';
CREATE INDEX secrets_by_age ON tenantd.secrets (tenantd.slot_of(tenant_id), proven_at) WHERE standing = 'current';

CREATE FUNCTION tenantd.stopped_regions() RETURNS text[]
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    RETURN ARRAY(SELECT r.region FROM (SELECT '' AS region UNION ALL SELECT b.region FROM tenantd.regions AS b) AS r
                  WHERE tenantd.is_region_stopped(r.region));
COMMENT ON FUNCTION tenantd.stopped_regions() IS 'Those of which tenantd.is_region_stopped is true, asked once instead of for every row.';

CREATE TABLE tenantd.passes (
    pass         text PRIMARY KEY,
    asked        text NOT NULL,
    since        timestamptz NOT NULL,
    resume_after uuid,
    ended_at     timestamptz
);
COMMENT ON TABLE tenantd.passes IS 'Walks over all tenants in slices, after a change of the configuration.';
COMMENT ON COLUMN tenantd.passes.pass IS 'sort_regions, or plan_audits.';
COMMENT ON COLUMN tenantd.passes.asked IS 'The settings by which every row is or was asked.';
COMMENT ON COLUMN tenantd.passes.since IS 'When rows were first asked by these settings.';
COMMENT ON COLUMN tenantd.passes.resume_after IS 'The last tenant that was asked; null at the beginning.';
COMMENT ON COLUMN tenantd.passes.ended_at IS 'When the last of them was asked; null while the pass goes on.';
