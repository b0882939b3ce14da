-- The contract learns rotation, removal, pauses and budgets: the views say more, and an
-- owner's write starts a rotation, a PATCH, a removal or a new life.
--
-- Why desired_version follows by a trigger: a commit of the daemon that named a column of
-- the owner's would fire the owner's trigger every time. Postgres reads the condition of a
-- trigger anew for every statement, so it is short where every commit meets it.
--
-- Locks: ACCESS EXCLUSIVE on the views and short ones on tenantd.tenants for its triggers.
-- Safe while the previous version runs: yes. Views only grow; the daemon of the previous
-- version meets no row that it would misread.

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
            WHEN r.awaits_budget             THEN 'AwaitingBudget'
            WHEN r.is_paused                 THEN 'Paused'
            WHEN r.is_early                  THEN 'NotBefore'
            WHEN r.is_held                   THEN 'Working'
            WHEN b.opened_at IS NOT NULL     THEN 'BreakerOpen'
            ELSE coalesce(t.wait_reason, 'Queued')
       END AS reason,
       CASE WHEN t.parked_reason IS NOT NULL THEN t.message
            WHEN t.phase = 'removed'         THEN coalesce(t.message, 'nothing of ours is left at Qlik: the row may be deleted, or set desired_state to present for a new life')
            WHEN r.is_ready                  THEN NULL
            WHEN r.awaits_budget             THEN 'the removal waits for its place in [budget] removals_per_hour; `tenantd fleet status` shows what is left of it'
            WHEN o.is_paused                 THEN 'paused by an operator: ' || t.pause_reason || '; `tenantd tenant resume` ends it'
            WHEN r.is_paused                 THEN 'the region is paused by an operator: ' || p.reason || '; `tenantd fleet resume` ends it'
            WHEN r.is_early                  THEN 'nothing is sent before the row''s not_before'
            WHEN r.is_held                   THEN 'a daemon is working on it'
            WHEN b.opened_at IS NOT NULL     THEN 'the credential of region ' || t.region || ' is refused: correct it and restart; `tenantd doctor` tests it'
            ELSE coalesce(t.message, 'waits for a daemon')
       END AS message,
       CASE WHEN t.parked_reason IS NOT NULL OR t.phase = 'removed' OR r.is_ready OR r.awaits_budget
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

COMMENT ON COLUMN tenantd.status.phase IS 'How far the tenant is: pending, creating, created, trusted, ready; rotating, proving; removing, removed.';
COMMENT ON COLUMN tenantd.status.version IS 'Version of the current credential; null without one.';
COMMENT ON COLUMN tenantd.status.paused IS 'Whether an operator keeps the daemon away from it or its region.';
COMMENT ON COLUMN tenantd.status.drift IS 'How the client differed at the last audit; empty when it did not.';
COMMENT ON COLUMN tenantd.status.audited_at IS 'When the client was last compared with Qlik.';

CREATE OR REPLACE VIEW tenantd.credentials WITH (security_barrier) AS
SELECT t.tenant_id,
       t.external_id::text,
       t.host::text,
       s.client_id,
       s.version,
       s.standing AS stage,
       s.sealed,
       s.created_at
  FROM tenantd.secrets AS s
  JOIN tenantd.tenants AS t ON t.tenant_id = s.tenant_id
 WHERE s.standing IN ('current', 'previous')
   AND t.desired_state = 'present'
   AND t.phase <> 'removing';

CREATE OR REPLACE FUNCTION tenantd.acknowledge(external_id text, version integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
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
     WHERE s.tenant_id = acknowledged AND s.standing = 'previous' AND s.retire_at > tenantd.clock();
    IF FOUND THEN
        UPDATE tenantd.tenants AS t
           SET retire_at = tenantd.clock(),
               due_at = CASE WHEN t.phase = 'ready' AND t.parked_reason IS NULL
                             THEN least(t.due_at, tenantd.clock()) ELSE t.due_at END
         WHERE t.tenant_id = acknowledged;
        PERFORM pg_notify('tenantd_work', '');
    END IF;
END
$$;

-- An owner's insert: due at once, or when its not_before comes. What should not be there
-- is removed without a word to Qlik: nothing was ever sent.
CREATE OR REPLACE FUNCTION tenantd.accept_insert() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    IF NEW.desired_state = 'absent' THEN
        NEW.phase := 'removed';
        NEW.due_at := NULL;
        NEW.must_look := true;
    ELSE
        NEW.due_at := greatest(tenantd.clock(), NEW.not_before);
    END IF;
    RETURN NEW;
END
$$;

-- An owner's update: what may change, and what follows from it.
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
    END IF;
    -- Lowering is ignored.
    NEW.desired_version := greatest(NEW.desired_version, OLD.desired_version);
    IF is_corrected OR is_turned OR is_early <> was_early THEN
        NEW.reason_since := tenantd.clock();
        NEW.progress_at := tenantd.clock();
    END IF;
    IF is_turned AND NEW.desired_state = 'absent' AND OLD.phase = 'pending' THEN
        -- Nothing was sent in this life, so there is nothing to ask Qlik for.
        NEW.phase := 'removed';
        NEW.must_look := true;
    ELSIF is_turned AND NEW.desired_state = 'present' THEN
        NEW.removal_admitted_at := NULL;
        IF OLD.phase = 'removed' THEN
            NEW.phase := 'pending';
            NEW.must_look := true;
        END IF;
    END IF;
    IF is_edited AND NEW.phase <> 'pending' AND NEW.phase <> 'removed' THEN
        -- Later than any claim that read the row before this.
        NEW.edited_at := greatest(tenantd.clock(), OLD.leased_at + interval '1 microsecond');
    END IF;
    -- Any other edit leaves the row its place in the queue.
    NEW.due_at := CASE
        WHEN NEW.phase = 'removed' THEN CASE WHEN NEW.parked_reason IS NULL THEN NEW.recheck_at END
        WHEN NEW.phase = 'removing' THEN coalesce(NEW.due_at, CASE WHEN NEW.parked_reason IS NULL THEN tenantd.clock() END)
        WHEN NEW.parked_reason IS NOT NULL THEN NULL
        -- It waits for the removal budget; once let through it stays due.
        WHEN NEW.desired_state = 'absent' AND NEW.removal_admitted_at IS NULL THEN NULL
        WHEN NEW.phase = 'pending' AND (is_corrected OR is_turned OR NEW.not_before IS DISTINCT FROM OLD.not_before)
            THEN greatest(tenantd.clock(), NEW.not_before)
        WHEN is_corrected OR is_turned THEN tenantd.clock()
        -- What waits after a failure keeps its backoff.
        WHEN NEW.phase = 'ready' AND (is_edited OR NEW.desired_version > NEW.current_version)
            THEN CASE WHEN NEW.failures = 0 THEN least(NEW.due_at, tenantd.clock())
                      ELSE coalesce(NEW.due_at, tenantd.clock()) END
        ELSE NEW.due_at
    END;
    NEW.updated_at := tenantd.clock();
    PERFORM pg_notify('tenantd_work', '');
    RETURN NEW;
END
$$;

DROP TRIGGER accept_update ON tenantd.tenants;
DROP TRIGGER notify_work_of_update ON tenantd.tenants;

CREATE TRIGGER accept_update
    BEFORE UPDATE OF external_id, host, profile, client_name, redirect_uris, desired_state, desired_version,
                     priority, not_before, labels
    ON tenantd.tenants
    FOR EACH ROW EXECUTE FUNCTION tenantd.accept_update();

-- Whoever else rotates takes the next number: what is desired is never behind what is
-- current, and no number of an earlier life serves again.
CREATE FUNCTION tenantd.follow_version() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    least_desired CONSTANT integer := coalesce(NEW.current_version, OLD.current_version + 1);
BEGIN
    IF NEW.desired_version < least_desired THEN
        UPDATE tenantd.tenants SET desired_version = least_desired WHERE tenant_id = NEW.tenant_id;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER follow_version AFTER UPDATE ON tenantd.tenants
    FOR EACH ROW
    WHEN (NEW.current_version IS DISTINCT FROM OLD.current_version)
    EXECUTE FUNCTION tenantd.follow_version();

CREATE OR REPLACE FUNCTION tenantd.refuse_delete() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    RAISE EXCEPTION 'tenant % may still have a client in Qlik', OLD.external_id
        USING ERRCODE = 'check_violation', SCHEMA = 'tenantd', TABLE = 'tenants',
              CONSTRAINT = 'only_removed_tenants_are_deleted',
              HINT = 'Set desired_state = ''absent'' and wait for phase removed; `tenantd tenant forget` is for a host that no longer exists.';
END
$$;

-- ready tells of every new version, removed of every end.
DROP TRIGGER notify_event ON tenantd.tenants;

CREATE TRIGGER notify_event AFTER UPDATE ON tenantd.tenants
    FOR EACH ROW
    WHEN (NEW.phase = 'ready' AND OLD.phase <> 'ready'
          OR NEW.phase = 'removed' AND OLD.phase <> 'removed'
          OR NEW.parked_reason IS NOT NULL AND OLD.parked_reason IS DISTINCT FROM NEW.parked_reason)
    EXECUTE FUNCTION tenantd.notify_event();

-- Versions that were raised while no version of the daemon rotated.
UPDATE tenantd.tenants
   SET due_at = tenantd.clock()
 WHERE phase = 'ready' AND desired_version > current_version AND due_at IS NULL AND parked_reason IS NULL
   AND desired_state = 'present';
