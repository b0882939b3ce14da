-- What one mistake costs a fleet: rollouts of one tenant are judged together, a small fleet
-- too has a budget of removals, and no statement forgets living clients. What is removed
-- and was looked at a last time may go, so that its host is free for another key.
--
-- Why a column: an operator who resumes a rollout has answered what failed before; the log
-- of changes stays as it is. Why a function: the limit that is shown is the one that admits.
-- Why triggers of their own, beside accept_insert and accept_update: each says one thing.
--
-- Locks: ACCESS EXCLUSIVE on tenantd.rollouts, tenantd.status and tenantd.tenants for a
-- moment, SHARE ROW EXCLUSIVE on the others that get a trigger; no row is rewritten.
-- Safe while the previous version runs: yes; it knows neither the column nor the function,
-- deletes no row of tenantd.tenants and truncates nothing.

ALTER TABLE tenantd.rollouts ADD COLUMN judged_from timestamptz;

COMMENT ON COLUMN tenantd.rollouts.judged_from IS 'Changes that began earlier are not judged any more: since then an operator resumed it.';
COMMENT ON COLUMN tenantd.changes.outcome IS 'done, failed, or skipped (the tenant could not be asked, or failed for a reason of its own).';

-- Budgets. ----------------------------------------------------------------------------

-- What was removed in this hour still counts, or the limit would follow what it lets through.
CREATE FUNCTION tenantd.default_removals() RETURNS bigint
    LANGUAGE sql STABLE
    RETURN (SELECT greatest(5, ceil(count(*) / 10.0)::bigint)
              FROM (SELECT t.tenant_id FROM tenantd.tenants AS t WHERE t.phase <> 'removed'
                    UNION
                    SELECT c.tenant_id FROM tenantd.changes AS c
                     WHERE c.kind = 'removal' AND c.started_at > tenantd.clock() - interval '1 hour') AS fleet);

COMMENT ON FUNCTION tenantd.default_removals() IS 'How many removals an hour may have where nobody said: 5, or a tenth of the fleet, whichever is more.';

CREATE OR REPLACE VIEW tenantd.status AS
SELECT t.tenant_id,
       t.external_id::text,
       t.host::text,
       t.phase,
       r.is_ready AS ready,
       t.parked_reason IS NOT NULL AS parked,
       CASE WHEN t.parked_reason IS NOT NULL THEN t.parked_reason
            WHEN t.phase = 'removed'         THEN 'Removed'
            WHEN r.is_ready                  THEN NULL
            WHEN r.awaits_budget AND h.is_held_back THEN 'ChangesHeld'
            WHEN r.awaits_budget AND h.is_held THEN 'DeletionsHeld'
            -- What is paused is not let through, whatever the budget has left.
            WHEN r.is_paused                 THEN 'Paused'
            WHEN r.awaits_budget AND b.opened_at IS NOT NULL THEN 'BreakerOpen'
            WHEN r.awaits_budget             THEN 'AwaitingBudget'
            WHEN r.is_early                  THEN 'NotBefore'
            WHEN r.is_held                   THEN 'Working'
            WHEN b.opened_at IS NOT NULL     THEN 'BreakerOpen'
            ELSE coalesce(t.wait_reason, 'Queued')
       END AS reason,
       CASE WHEN t.parked_reason IS NOT NULL THEN t.message
            WHEN t.phase = 'removed' AND t.recheck_at IS NOT NULL
            THEN coalesce(t.message, 'nothing of ours is known at Qlik: it is looked at once more, and until then the row is kept')
            WHEN t.phase = 'removed'         THEN coalesce(t.message, 'nothing of ours is left at Qlik: the row may be deleted, or set desired_state to present for a new life')
            WHEN r.is_ready                  THEN NULL
            WHEN r.awaits_budget AND h.is_held_back THEN 'this may be a copy of the real database: nothing is changed at Qlik until an operator has said that it is the real one, with `tenantd rejoin --confirm`'
            WHEN r.awaits_budget AND h.is_held THEN 'nothing is deleted at Qlik until an operator has read `tenantd rejoin --status` and agreed with `tenantd rejoin --agree`'
            WHEN o.is_paused                 THEN 'paused by an operator: ' || t.pause_reason || '; `tenantd tenant resume` ends it'
            WHEN r.is_paused                 THEN 'the region is paused by an operator: ' || p.reason || '; `tenantd fleet resume` ends it'
            WHEN r.awaits_budget AND b.opened_at IS NOT NULL THEN 'the credential of region ' || t.region || ' is refused: correct it and restart; `tenantd doctor` tests it'
            WHEN r.awaits_budget             THEN format('the removal waits for its place in [budget] removals_per_hour: %s let through in the last hour, %s waiting; `tenantd fleet status` shows the limit', h.admitted, h.waiting)
            WHEN r.is_early                  THEN 'nothing is sent before the row''s not_before'
            WHEN r.is_held                   THEN 'a daemon is working on it'
            WHEN b.opened_at IS NOT NULL     THEN 'the credential of region ' || t.region || ' is refused: correct it and restart; `tenantd doctor` tests it'
            ELSE coalesce(t.message, 'waits for a daemon')
       END AS message,
       CASE WHEN t.parked_reason IS NOT NULL OR t.phase = 'removed' OR r.is_ready
                 OR r.awaits_budget AND (h.is_held OR NOT r.is_paused AND b.opened_at IS NULL)
            THEN t.reason_since
            WHEN o.is_paused             THEN t.paused_at
            WHEN r.is_paused             THEN p.paused_at
            WHEN r.is_early              THEN t.reason_since
            WHEN r.is_held               THEN t.leased_at
            WHEN b.opened_at IS NOT NULL THEN greatest(b.opened_at, t.reason_since)
            -- A pending row is queued only since its not_before came.
            WHEN t.phase = 'pending'     THEN greatest(t.reason_since, t.not_before)
            ELSE t.reason_since
       END AS since,
       CASE WHEN r.is_held THEN NULL
            WHEN t.due_at IS NULL THEN NULL
            -- A pause without an end, of the row or of its region, outlasts one with.
            WHEN o.is_paused AND t.paused_until IS NULL THEN NULL
            WHEN p.paused_at IS NOT NULL AND p.paused_until IS NULL THEN NULL
            ELSE greatest(t.due_at, b.probe_at, CASE WHEN o.is_paused THEN t.paused_until END, p.paused_until)
       END AS next_attempt_at,
       t.failures,
       t.client_id,
       t.created_at,
       t.ready_at,
       t.updated_at,
       t.labels::jsonb,
       t.current_version AS version,
       r.is_paused AS paused,
       t.drift,
       t.audited_at
  FROM tenantd.tenants AS t
  LEFT JOIN tenantd.regions AS b ON b.region = t.region
  LEFT JOIN LATERAL (
       SELECT min(x.paused_at) AS paused_at,
              CASE WHEN bool_and(x.paused_until IS NOT NULL) THEN max(x.paused_until) END AS paused_until,
              min(x.reason) AS reason
         FROM tenantd.pauses AS x
        WHERE x.region IN ('*', t.region) AND (x.paused_until IS NULL OR x.paused_until > tenantd.clock())
       ) AS p ON true
 CROSS JOIN (
       SELECT i.deletions_held_at IS NOT NULL AS is_held, i.changes_held_at IS NOT NULL AS is_held_back,
              -- Counted once for all rows, and only where one waits.
              (SELECT count(*) FROM tenantd.changes AS c
                WHERE c.kind = 'removal' AND c.started_at > tenantd.clock() - interval '1 hour') AS admitted,
              (SELECT count(*) FROM tenantd.tenants AS w
                WHERE w.desired_state = 'absent' AND w.removal_admitted_at IS NULL
                  AND w.phase NOT IN ('removing', 'removed')) AS waiting
         FROM tenantd.installation AS i
       ) AS h
 CROSS JOIN LATERAL (
       SELECT t.paused_at IS NOT NULL AND coalesce(t.paused_until > tenantd.clock(), true) AS is_paused
       ) AS o
 CROSS JOIN LATERAL (
       SELECT t.current_version IS NOT NULL AND t.desired_state = 'present' AND t.phase <> 'removing' AS is_ready,
              t.desired_state = 'absent' AND t.removal_admitted_at IS NULL AND t.phase NOT IN ('removing', 'removed')
                                                                              AS awaits_budget,
              p.paused_at IS NOT NULL OR o.is_paused                          AS is_paused,
              t.phase = 'pending' AND coalesce(t.not_before > tenantd.clock(), false) AS is_early,
              coalesce(t.lease_expires_at > tenantd.clock(), false)           AS is_held
       ) AS r;

-- What is deleted. --------------------------------------------------------------------

CREATE OR REPLACE FUNCTION tenantd.refuse_delete() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    IF OLD.phase <> 'removed' THEN
        RAISE EXCEPTION 'tenant % may still have a client in Qlik', OLD.external_id
            USING ERRCODE = 'check_violation', SCHEMA = 'tenantd', TABLE = 'tenants',
                  CONSTRAINT = 'only_removed_tenants_are_deleted',
                  HINT = 'Set desired_state = ''absent'' and wait for phase removed; `tenantd tenant forget` is for a host that no longer exists.';
    END IF;
    RAISE EXCEPTION 'tenant % is removed and looked at once more', OLD.external_id
        USING ERRCODE = 'check_violation', SCHEMA = 'tenantd', TABLE = 'tenants',
              CONSTRAINT = 'removed_tenants_are_kept_until_looked_at',
              HINT = format('A late create may still land there: its row may be deleted when that look is done, planned for %s; tenantd.status says so, and what keeps it.',
                            OLD.recheck_at);
END
$$;

-- Of what was removed no version is current, and then there is none to count from: least()
-- passes NULL by, and would remember the last number there is.
CREATE OR REPLACE FUNCTION tenantd.remember_versions() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    INSERT INTO tenantd.former_tenants AS f (external_id, next_version)
    VALUES (OLD.external_id,
            greatest(OLD.desired_version,
                     CASE WHEN OLD.current_version < 2147483647 THEN OLD.current_version + 1 ELSE OLD.current_version END))
    ON CONFLICT (external_id) DO UPDATE
       SET next_version = greatest(f.next_version, excluded.next_version), deleted_at = excluded.deleted_at;
    RETURN NULL;
END
$$;

DROP TRIGGER refuse_delete ON tenantd.tenants;

CREATE TRIGGER refuse_delete BEFORE DELETE ON tenantd.tenants
    FOR EACH ROW WHEN (OLD.phase <> 'removed' OR OLD.recheck_at IS NOT NULL)
    EXECUTE FUNCTION tenantd.refuse_delete();

-- Says of a host that is taken what the unique constraint cannot: that its holder is
-- removed, and when it makes room. As its owner: a pipeline may not read the phase. What
-- is there by its key already is left to ON CONFLICT.
CREATE FUNCTION tenantd.refuse_host_of_removed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    holder record;
BEGIN
    SELECT t.external_id, t.recheck_at INTO holder
      FROM tenantd.tenants AS t
     WHERE t.host = NEW.host AND t.external_id <> NEW.external_id AND t.phase = 'removed';
    IF NOT FOUND
       OR TG_OP = 'INSERT' AND EXISTS (SELECT FROM tenantd.tenants AS t WHERE t.external_id = NEW.external_id) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'host % is held by tenant %, which is removed', NEW.host, holder.external_id
        USING ERRCODE = 'unique_violation', SCHEMA = 'tenantd', TABLE = 'tenants', CONSTRAINT = 'host_is_unique',
              HINT = CASE WHEN holder.recheck_at IS NULL
                          THEN format('Delete its row, then try again: DELETE FROM tenantd.tenants WHERE external_id = %L.', holder.external_id)
                          ELSE format('It is looked at once more, planned for %s: delete its row after that, then try again. tenantd.status says what keeps it.', holder.recheck_at)
                     END;
END
$$;

CREATE TRIGGER refuse_host_of_removed_on_insert BEFORE INSERT ON tenantd.tenants
    FOR EACH ROW EXECUTE FUNCTION tenantd.refuse_host_of_removed();
CREATE TRIGGER refuse_host_of_removed_on_update BEFORE UPDATE OF host ON tenantd.tenants
    FOR EACH ROW WHEN (NEW.host <> OLD.host) EXECUTE FUNCTION tenantd.refuse_host_of_removed();

-- Test cleaners of web frameworks send TRUNCATE to whatever they find. It fires no row's
-- trigger, so the versions of what goes are remembered here.
CREATE FUNCTION tenantd.refuse_truncate() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    IF EXISTS (SELECT FROM tenantd.tenants WHERE phase NOT IN ('pending', 'removed') OR recheck_at IS NOT NULL) THEN
        RAISE EXCEPTION 'tenants may still have clients in Qlik'
            USING ERRCODE = 'check_violation', SCHEMA = 'tenantd', TABLE = 'tenants',
                  CONSTRAINT = 'only_removed_tenants_are_deleted',
                  HINT = 'Set desired_state = ''absent'' and wait for phase removed. A test cleaner must leave the schema tenantd alone.';
    END IF;
    INSERT INTO tenantd.former_tenants AS f (external_id, next_version)
    SELECT t.external_id, t.desired_version FROM tenantd.tenants AS t WHERE t.desired_version > 1
    ON CONFLICT (external_id) DO UPDATE
       SET next_version = greatest(f.next_version, excluded.next_version), deleted_at = excluded.deleted_at;
    RETURN NULL;
END
$$;

CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON tenantd.tenants
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.refuse_truncate();

-- What else is lost with all rows of a table: the identity that clients bear, secrets that
-- nobody can ask for again, numbers that are never given twice, the hour's budgets, the
-- brakes, and rows that are there from the start. The history alone may go.
CREATE FUNCTION tenantd.refuse_to_empty() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    is_in_use boolean;
BEGIN
    EXECUTE format('SELECT EXISTS (SELECT FROM tenantd.%I)', TG_TABLE_NAME) INTO is_in_use;
    IF is_in_use THEN
        RAISE EXCEPTION 'table tenantd.% is in use: what it holds is nowhere else', TG_TABLE_NAME
            USING ERRCODE = 'check_violation', SCHEMA = 'tenantd', TABLE = TG_TABLE_NAME,
                  CONSTRAINT = 'tables_in_use_are_not_emptied',
                  HINT = 'A test cleaner must leave the schema tenantd alone.';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER refuse_to_empty BEFORE TRUNCATE OR DELETE ON tenantd.installation
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.refuse_to_empty();
CREATE TRIGGER refuse_to_empty BEFORE TRUNCATE OR DELETE ON tenantd.rollouts
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.refuse_to_empty();
CREATE TRIGGER refuse_to_empty BEFORE TRUNCATE OR DELETE ON tenantd.schedules
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.refuse_to_empty();
CREATE TRIGGER refuse_to_empty BEFORE TRUNCATE ON tenantd.secrets
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.refuse_to_empty();
CREATE TRIGGER refuse_to_empty BEFORE TRUNCATE ON tenantd.former_tenants
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.refuse_to_empty();
CREATE TRIGGER refuse_to_empty BEFORE TRUNCATE ON tenantd.changes
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.refuse_to_empty();
CREATE TRIGGER refuse_to_empty BEFORE TRUNCATE ON tenantd.regions
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.refuse_to_empty();
CREATE TRIGGER refuse_to_empty BEFORE TRUNCATE ON tenantd.pauses
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.refuse_to_empty();
