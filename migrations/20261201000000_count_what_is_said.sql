-- Whoever says something of a tenant wakes it, and only the core says when it is due.
--
-- Why: when a row is due was decided in fifteen statements and three functions, each of which
-- had to know of all the others. A commit, too, read what was wanted by then and mended its
-- decision by it, in a hundred lines of CASE. Now a row counts what is said of it. One
-- trigger raises the count and makes the row due; whoever decides sees the whole row, may
-- rest again, and what was decided on another count is decided anew. Labels and priority
-- change nothing that is to be done, and wake nobody. What follows of it: a row that is
-- parked may be due, for as long as it takes to look; the end of a backoff has a column of
-- its own. Acknowledging a version retires only what is below it.
--
-- Locks: ACCESS EXCLUSIVE on tenantd.tenants for as long as a scan of it takes, for the
-- constraint that now knows of pauses; no row is rewritten.
-- Safe while the previous version runs: yes. An edit of a row that is parked, or waits after
-- a failure, has it try once more.

ALTER TABLE tenantd.tenants
    ADD COLUMN generation bigint NOT NULL DEFAULT 0,
    ADD COLUMN backoff_at timestamptz,
    DROP CONSTRAINT parked_is_not_due,
    DROP CONSTRAINT nothing_waits_for_ever_in_silence,
    ADD CONSTRAINT nothing_waits_for_ever_in_silence CHECK (
        due_at IS NOT NULL
        OR parked_reason IS NOT NULL
        OR paused_at IS NOT NULL
        OR phase = 'removed'
        OR phase = 'ready' AND desired_state = 'present'
        OR desired_state = 'absent' AND removal_admitted_at IS NULL AND phase <> 'removing');

COMMENT ON COLUMN tenantd.tenants.generation IS 'Counts what owner, operators and schedules have said of the tenant. What was decided on another count is decided anew.';
COMMENT ON COLUMN tenantd.tenants.backoff_at IS 'Until then it waits after a failure, whoever wakes it.';

CREATE FUNCTION tenantd.wake() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    NEW.generation := greatest(NEW.generation, OLD.generation + 1);
    -- What is due keeps its place in the queue.
    NEW.due_at := greatest(least(NEW.due_at, tenantd.clock()), CASE WHEN NEW.phase = 'pending' THEN NEW.not_before END);
    PERFORM pg_notify('tenantd_work', '');
    RETURN NEW;
END
$$;

-- The last of the row's triggers, so that it sees what the others have made of it.
CREATE TRIGGER wake BEFORE UPDATE ON tenantd.tenants
    FOR EACH ROW WHEN (
        (NEW.generation, NEW.host, NEW.profile, NEW.client_name, NEW.redirect_uris, NEW.desired_state,
         NEW.not_before, NEW.acknowledged_version, NEW.removal_admitted_at, NEW.paused_at, NEW.paused_until)
        IS DISTINCT FROM
        (OLD.generation, OLD.host, OLD.profile, OLD.client_name, OLD.redirect_uris, OLD.desired_state,
         OLD.not_before, OLD.acknowledged_version, OLD.removal_admitted_at, OLD.paused_at, OLD.paused_until)
        -- Where it only follows the number that was given, nothing is asked for.
        OR NEW.desired_version <> OLD.desired_version AND NEW.phase <> 'removed'
           AND NEW.desired_version IS DISTINCT FROM NEW.current_version
        -- A commit uses it up.
        OR NEW.repair_scope IS NOT NULL AND NEW.repair_scope IS DISTINCT FROM OLD.repair_scope)
    EXECUTE FUNCTION tenantd.wake();

CREATE OR REPLACE FUNCTION tenantd.accept_update() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    is_corrected CONSTANT boolean :=
        NEW.host <> OLD.host AND OLD.parked_reason IS NOT DISTINCT FROM 'HostNotAllowed'
        OR NEW.profile <> OLD.profile AND OLD.parked_reason IS NOT DISTINCT FROM 'UnknownProfile';
    is_turned    CONSTANT boolean := NEW.desired_state <> OLD.desired_state;
    is_unsent    CONSTANT boolean := OLD.phase IN ('pending', 'removed');
    is_edited    CONSTANT boolean := (NEW.profile, NEW.client_name, NEW.redirect_uris)
                           IS DISTINCT FROM (OLD.profile, OLD.client_name, OLD.redirect_uris);
    was_early    CONSTANT boolean := OLD.phase = 'pending' AND coalesce(OLD.not_before > tenantd.clock(), false);
    is_early     CONSTANT boolean := OLD.phase = 'pending' AND coalesce(NEW.not_before > tenantd.clock(), false);
BEGIN
    IF NEW.external_id <> OLD.external_id THEN
        RAISE EXCEPTION 'external_id of tenant % never changes', OLD.external_id
            USING ERRCODE = 'check_violation', SCHEMA = 'tenantd', TABLE = 'tenants',
                  CONSTRAINT = 'external_id_never_changes',
                  HINT = 'Insert a new row for another tenant.';
    END IF;
    IF NEW.host <> OLD.host AND NOT is_unsent THEN
        RAISE EXCEPTION 'host of tenant % is fixed: a request may have been sent to %', OLD.external_id, OLD.host
            USING ERRCODE = 'check_violation', SCHEMA = 'tenantd', TABLE = 'tenants',
                  CONSTRAINT = 'host_is_fixed_after_first_intent',
                  HINT = 'Set desired_state = ''absent'' on this row and insert another for the new host.';
    END IF;
    IF NEW.host <> OLD.host AND OLD.recheck_at IS NOT NULL THEN
        RAISE EXCEPTION 'tenant % is looked at once more on %', OLD.external_id, OLD.host
            USING ERRCODE = 'check_violation', SCHEMA = 'tenantd', TABLE = 'tenants',
                  CONSTRAINT = 'host_is_fixed_until_looked_at',
                  HINT = 'A late create may still land there: try again when the look is done, some minutes after the removal.';
    END IF;
    IF NEW.not_before < '0001-01-01 00:00:00+00' THEN
        NEW.not_before := NULL;
    END IF;
    IF NEW.host <> OLD.host THEN
        NEW.region := '';
    END IF;
    IF (is_unsent OR OLD.phase = 'creating' AND OLD.client_id IS NULL AND OLD.unanswered IS NULL)
        AND OLD.lease_holder IS NOT NULL
        AND (NEW.host, NEW.profile, NEW.desired_state) <> (OLD.host, OLD.profile, OLD.desired_state) THEN
        -- Somebody is judging the row as it was, and has sent nothing: fence that verdict out.
        NEW.lease_epoch := OLD.lease_epoch + 1;
        NEW.lease_holder := NULL;
        NEW.leased_at := NULL;
        NEW.lease_expires_at := NULL;
    END IF;
    IF is_corrected OR is_turned THEN
        NEW.parked_reason := NULL;
        NEW.wait_reason := NULL;
        NEW.message := NULL;
        NEW.failures := 0;
        NEW.backoff_at := NULL;
    END IF;
    IF NEW.desired_version > OLD.desired_version THEN
        PERFORM tenantd.check_version(OLD.external_id, NEW.desired_version,
                                     CASE WHEN OLD.desired_version <= OLD.current_version THEN OLD.current_version ELSE 0 END);
    END IF;
    IF NEW.desired_version < OLD.desired_version THEN
        NEW.desired_version := OLD.desired_version;  -- Lowering is ignored.
    END IF;
    IF is_corrected OR is_turned OR is_early <> was_early THEN
        NEW.reason_since := tenantd.clock();
        NEW.progress_at := tenantd.clock();
    END IF;
    IF is_turned THEN
        NEW.turned_at := tenantd.clock();
    END IF;
    IF is_turned AND NEW.desired_state = 'absent' AND OLD.phase IN ('removing', 'removed') THEN
        NEW.removal_admitted_at := tenantd.clock();  -- It was let through before.
    ELSIF is_turned AND NEW.desired_state = 'absent' AND OLD.phase = 'pending' THEN
        -- Nothing was sent in this life, so there is nothing to ask Qlik for.
        NEW.phase := 'removed';
        NEW.removal_admitted_at := tenantd.clock();
        NEW.must_look := true;
    ELSIF is_turned AND NEW.desired_state = 'present' THEN
        NEW.removal_admitted_at := NULL;
        IF OLD.phase = 'removed' THEN
            NEW.phase := 'pending';
            NEW.must_look := true;
        END IF;
    END IF;
    IF is_edited AND NEW.phase <> 'pending' AND NEW.phase <> 'removed' THEN
        NEW.edited_at := tenantd.clock();
    END IF;
    NEW.updated_at := tenantd.clock();
    RETURN NEW;
END
$$;

CREATE OR REPLACE FUNCTION tenantd.acknowledge(external_id text, version integer)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    acknowledged uuid;
BEGIN
    UPDATE tenantd.tenants AS t
       SET acknowledged_version = acknowledge.version,
           updated_at = tenantd.clock()
     WHERE t.external_id = acknowledge.external_id
       AND t.current_version = acknowledge.version
       AND t.desired_state = 'present'
    RETURNING t.tenant_id INTO acknowledged;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'version % is not the current credential of tenant %', version, external_id
            USING ERRCODE = 'no_data_found', HINT = 'Read the current version from tenantd.credentials and acknowledge that one.';
    END IF;
    -- Nobody needs the previous ones any more: their time is over now.
    UPDATE tenantd.secrets AS s
       SET retire_at = tenantd.clock()
     WHERE s.tenant_id = acknowledged AND s.standing = 'previous' AND s.version < acknowledge.version
       AND s.retire_at > tenantd.clock();
END
$function$;

CREATE OR REPLACE VIEW tenantd.status AS
SELECT t.tenant_id,
       t.external_id,
       t.host,
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
            -- Also while it is due because somebody has said something, for as long as it takes to look.
            WHEN t.parked_reason IS NOT NULL OR r.awaits_budget THEN NULL
            WHEN t.phase = 'removed' AND t.recheck_at IS NULL THEN NULL
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
       t.labels,
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
