-- What no slice of a rejoin has reached yet is kept like what is looked at once more.
--
-- Why: since rows are woken in slices, a removed row gets the time of its last look from its slice.
-- Until then it could be deleted, truncated or given another host, and whatever client the
-- database forgot of it was forgotten for good. Now the guards ask for the rejoin too; so do the
-- words that say what may be deleted.
--
-- And two things that were told too simply:
-- * the version before commits a number that it chose before its owner raised desired_version: only
--   what the number reaches was served;
-- * what a digest of applied wants is unknown after.
--
-- Locks: ACCESS EXCLUSIVE on tenantd.tenants, to the end of the transaction: nobody reads or writes tenants
-- meanwhile. It is taken first, because the index of the next migration needs it at its end, and whoever
-- raises a lock that others hold a part of may end in a deadlock. ACCESS EXCLUSIVE on the view
-- tenantd.status for an instant.
-- Safe while the previous version runs: yes.

LOCK TABLE tenantd.tenants IN ACCESS EXCLUSIVE MODE;

-- Asked with the rights of whoever writes, who may not read the installation.
CREATE FUNCTION tenantd.is_unlooked(rejoin_epoch integer, lease_epoch bigint, region text) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    RETURN lease_epoch <> 0 AND region <> ''
           AND is_unlooked.rejoin_epoch < (SELECT i.rejoin_epoch FROM tenantd.installation AS i);
COMMENT ON FUNCTION tenantd.is_unlooked(integer, bigint, text) IS 'Whether a row was worked on before the last rejoin, and its slice is not through yet: what it says is not believed.';

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
              HINT = CASE WHEN OLD.recheck_at IS NULL
                          THEN 'The database was rejoined: its row may be deleted once it was looked at, minutes from now; tenantd.status says so, and what keeps it.'
                          ELSE format('A late create may still land there: its row may be deleted when that look is done, planned for %s; tenantd.status says so, and what keeps it.',
                                      OLD.recheck_at)
                     END;
END
$$;

CREATE OR REPLACE TRIGGER refuse_delete BEFORE DELETE ON tenantd.tenants
    FOR EACH ROW WHEN (OLD.phase <> 'removed' OR OLD.recheck_at IS NOT NULL
                       OR tenantd.is_unlooked(OLD.rejoin_epoch, OLD.lease_epoch, OLD.region))
    EXECUTE FUNCTION tenantd.refuse_delete();

CREATE OR REPLACE FUNCTION tenantd.refuse_truncate() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    IF EXISTS (SELECT FROM tenantd.tenants
                WHERE phase NOT IN ('pending', 'removed') OR recheck_at IS NOT NULL
                      OR phase = 'removed' AND tenantd.is_unlooked(rejoin_epoch, lease_epoch, region)) THEN
        RAISE EXCEPTION 'tenants may still have clients in Qlik'
            USING ERRCODE = 'check_violation', SCHEMA = 'tenantd', TABLE = 'tenants',
                  CONSTRAINT = 'only_removed_tenants_are_deleted',
                  HINT = 'Set desired_state = ''absent'' and wait for phase removed. A test cleaner must leave the schema tenantd alone.';
    END IF;
    INSERT INTO tenantd.former_tenants AS f (external_id, next_version)
    SELECT t.external_id,
           greatest(t.desired_version, t.last_version + (t.last_version < 2147483647)::integer)
      FROM tenantd.tenants AS t
     WHERE t.desired_version > 1 OR t.last_version IS NOT NULL
    ON CONFLICT (external_id) DO UPDATE
       SET next_version = greatest(f.next_version, excluded.next_version), deleted_at = excluded.deleted_at;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION tenantd.refuse_host_of_removed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    holder record;
BEGIN
    SELECT t.external_id, t.recheck_at, tenantd.is_unlooked(t.rejoin_epoch, t.lease_epoch, t.region) AS is_unlooked
      INTO holder
      FROM tenantd.tenants AS t
     WHERE t.host = NEW.host AND t.external_id <> NEW.external_id AND t.phase = 'removed';
    IF NOT FOUND
       OR TG_OP = 'INSERT' AND EXISTS (SELECT FROM tenantd.tenants AS t WHERE t.external_id = NEW.external_id) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'host % is held by tenant %, which is removed', NEW.host, holder.external_id
        USING ERRCODE = 'unique_violation', SCHEMA = 'tenantd', TABLE = 'tenants', CONSTRAINT = 'host_is_unique',
              HINT = CASE WHEN holder.recheck_at IS NULL AND holder.is_unlooked
                          THEN 'The database was rejoined: delete its row once it was looked at, minutes from now, then try again. tenantd.status says what keeps it.'
                          WHEN holder.recheck_at IS NULL
                          THEN format('Delete its row, then try again: DELETE FROM tenantd.tenants WHERE external_id = %L.', holder.external_id)
                          ELSE format('It is looked at once more, planned for %s: delete its row after that, then try again. tenantd.status says what keeps it.', holder.recheck_at)
                     END;
END
$$;

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
    last         CONSTANT integer := greatest(OLD.last_version, OLD.current_version);
    is_unlooked  CONSTANT boolean := OLD.phase = 'removed' AND (NEW.host <> OLD.host OR is_turned)
                           AND tenantd.is_unlooked(OLD.rejoin_epoch, OLD.lease_epoch, OLD.region);
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
    IF NEW.host <> OLD.host AND (OLD.recheck_at IS NOT NULL OR is_unlooked) THEN
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
                                     CASE WHEN OLD.desired_version <= coalesce(OLD.served_version, OLD.current_version)
                                          THEN last ELSE 0 END);
        -- Whoever asks for more gets more, and is told no less than what comes.
        NEW.desired_version := greatest(NEW.desired_version, tenantd.version_after(last));
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
            NEW.acknowledged_version := NULL;  -- Of another life.
            IF is_unlooked THEN
                -- Its slice sees a pending row: the host is kept, as where the slice came first.
                NEW.recheck_at := coalesce(OLD.recheck_at, tenantd.clock());
            END IF;
        END IF;
    END IF;
    IF is_edited AND NEW.phase <> 'pending' AND NEW.phase <> 'removed' THEN
        -- Later than any claim of the version before that read the row before this.
        NEW.edited_at := greatest(tenantd.clock(), OLD.leased_at + interval '1 microsecond');
    END IF;
    NEW.updated_at := tenantd.clock();
    RETURN NEW;
END
$$;

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
            WHEN t.phase = 'removed'
                 AND (t.recheck_at IS NOT NULL
                      -- tenantd.is_unlooked, by the tables.
                      OR t.lease_epoch <> 0 AND t.region <> '' AND t.rejoin_epoch < h.rejoin_epoch)
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
            ELSE greatest(t.due_at, b.probe_at, p.paused_until,
                          CASE WHEN r.is_early THEN t.not_before END,
                          CASE WHEN r.is_backing_off THEN t.backoff_at END,
                          CASE WHEN o.is_paused THEN t.paused_until END)
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
  -- tenantd.is_leased, by the tables: whoever reads the view may not read all of them.
  LEFT JOIN tenantd.lease_extensions AS e
    ON e.tenant_id = t.tenant_id AND e.lease_epoch = t.lease_epoch AND t.lease_holder IS NOT NULL
  LEFT JOIN LATERAL (
       SELECT min(x.paused_at) AS paused_at,
              CASE WHEN bool_and(x.paused_until IS NOT NULL) THEN max(x.paused_until) END AS paused_until,
              min(x.reason) AS reason
         FROM tenantd.pauses AS x
        WHERE x.region IN ('*', t.region) AND (x.paused_until IS NULL OR x.paused_until > tenantd.clock())
       ) AS p ON true
 CROSS JOIN (
       SELECT i.deletions_held_at IS NOT NULL AS is_held, i.changes_held_at IS NOT NULL AS is_held_back, i.rejoin_epoch,
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
              -- What was let through goes, whatever Qlik answered before.
              t.backoff_at > tenantd.clock()
              AND (t.desired_state = 'present' OR t.removal_admitted_at IS NULL OR t.phase IN ('removing', 'removed'))
                                                                              AS is_backing_off,
              coalesce(greatest(t.lease_expires_at, e.expires_at) > tenantd.clock(), false) AS is_held
       ) AS r;

CREATE OR REPLACE FUNCTION tenantd.number_for_previous() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    last CONSTANT integer := greatest(OLD.last_version, OLD.current_version);
BEGIN
    IF NEW.current_version IS NOT NULL THEN
        -- A raise beyond what it gave came after it had decided.
        NEW.served_version := least(NEW.desired_version, NEW.current_version);
    END IF;
    IF OLD.current_version IS NULL THEN
        -- Its first number of a new life it takes from desired_version alone.
        NEW.current_version := greatest(NEW.current_version, last + (last < 2147483647)::integer);
    END IF;
    NEW.last_version := greatest(last, NEW.current_version);
    RETURN NEW;
END
$$;

COMMENT ON COLUMN tenantd.tenants.applied_wants IS 'Digest of profile, client_name and redirect_uris as they were last applied to the client, or found applied by an audit: another one is an edit. Null where none is known: then edited_at tells. Unknown too once an edit that was taken back is committed: the next one that is taken back before a commit costs its call.';
