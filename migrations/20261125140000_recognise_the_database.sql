-- Where the database is written now, and what follows when that is another place than the
-- one that was recognised; and numbers of versions that are never given twice.
--
-- Why a function that raises: whoever claims, leases or commits asks it in the same
-- statement, so that nothing that a standby or a copy says is acted on before it was
-- recognised. It costs a few microseconds.
--
-- Why versions by the clock after a restore: what the database forgot it cannot count. A
-- number is at most the seconds since 2026 when it is given (docs/decisions/0009), so the
-- seconds at the moment of the restore are above all that were given before.
--
-- Locks: ACCESS EXCLUSIVE on tenantd.installation, tenantd.tenants and tenantd.status for a
-- moment; no row is rewritten but those with values at the ends.
-- Safe while the previous version runs: yes; it does not ask where it is.

ALTER TABLE tenantd.installation
    ADD COLUMN changes_held_at timestamptz,
    ADD COLUMN version_floor   integer NOT NULL DEFAULT 1,
    ADD CONSTRAINT held_changes_hold_deletions CHECK (changes_held_at IS NULL OR deletions_held_at IS NOT NULL),
    ADD CONSTRAINT version_floor_is_positive CHECK (version_floor >= 1);

COMMENT ON COLUMN tenantd.installation.timeline IS 'On which the server wrote when it was last recognised.';
COMMENT ON COLUMN tenantd.installation.changes_held_at IS 'Since when nothing at all is changed at Qlik, because this may be a copy of the real database.';
COMMENT ON COLUMN tenantd.installation.version_floor IS 'No secret gets a lower version: since a restore, the seconds from 2026 to it.';
COMMENT ON COLUMN tenantd.tenants.profile IS 'Which [profiles.NAME] entry of the configuration the client is made from.';

-- The timeline is asked of the write-ahead log itself: the control file tells that of the
-- last checkpoint, which after a promotion is the old one for minutes.
CREATE FUNCTION tenantd.place(OUT system_identifier text, OUT database_id text, OUT timeline integer, OUT written_to pg_lsn)
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    system_identifier := (SELECT s.system_identifier::text FROM pg_control_system() AS s);
    database_id := (SELECT d.datname || '/' || d.oid FROM pg_database AS d WHERE d.datname = current_database());
    IF pg_is_in_recovery() THEN
        RETURN;  -- A standby writes on no timeline of its own.
    END IF;
    BEGIN
        timeline := ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::integer;
        written_to := pg_current_wal_flush_lsn();
    EXCEPTION WHEN feature_not_supported OR insufficient_privilege THEN
        -- Some hosted servers have no write-ahead log to show.
        timeline := (SELECT c.timeline_id FROM pg_control_checkpoint() AS c);
    END;
END
$$;

COMMENT ON FUNCTION tenantd.place() IS 'Where we are: the cluster, the database in it, the timeline that is written now (null on a standby), and how far.';

CREATE FUNCTION tenantd.assert_recognised() RETURNS boolean
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

COMMENT ON FUNCTION tenantd.assert_recognised() IS 'True on the database that was recognised; raises TD001 anywhere else.';

-- Versions. ---------------------------------------------------------------------------

CREATE FUNCTION tenantd.version_of(at timestamptz) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN greatest(1, least(extract(epoch FROM at) - 1767225600, 2147000000))::integer;

COMMENT ON FUNCTION tenantd.version_of(timestamptz) IS 'The highest version that may be given at this instant: the seconds since 2026 began.';

-- A version that is too high would end all rotations of its tenant, and of those behind it.
ALTER TABLE tenantd.tenants DISABLE TRIGGER accept_update;
UPDATE tenantd.tenants
   SET desired_version = greatest(current_version, 1000000, tenantd.version_of(tenantd.clock()))
 WHERE desired_version > greatest(current_version, 1000000, tenantd.version_of(tenantd.clock()));
-- No limit was meant.
UPDATE tenantd.tenants SET not_before = NULL WHERE not_before < '0001-01-01 00:00:00+00';
ALTER TABLE tenantd.tenants ENABLE TRIGGER accept_update;

-- What must outlive a row: by its key, whose numbers consumers have seen.
CREATE TABLE tenantd.former_tenants (
    external_id  text        PRIMARY KEY,
    next_version integer     NOT NULL,
    deleted_at   timestamptz NOT NULL DEFAULT tenantd.clock(),

    CONSTRAINT next_version_is_positive CHECK (next_version >= 1)
);

COMMENT ON TABLE  tenantd.former_tenants IS 'Keys whose rows were deleted, so that a row inserted anew gives no version twice.';
COMMENT ON COLUMN tenantd.former_tenants.external_id IS 'The pipeline''s own key.';
COMMENT ON COLUMN tenantd.former_tenants.next_version IS 'The lowest version that no secret of this key ever had.';
COMMENT ON COLUMN tenantd.former_tenants.deleted_at IS 'When its last row was deleted.';

-- As their owner: whoever deletes a row need not be allowed to write here, and must not.
CREATE FUNCTION tenantd.remember_versions() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    INSERT INTO tenantd.former_tenants AS f (external_id, next_version)
    VALUES (OLD.external_id, greatest(OLD.desired_version, least(OLD.current_version::bigint + 1, 2147483647)))
    ON CONFLICT (external_id) DO UPDATE
       SET next_version = greatest(f.next_version, excluded.next_version), deleted_at = excluded.deleted_at;
    RETURN NULL;
END
$$;

-- One that never had a secret has desired_version as it was inserted, or as raised in vain.
CREATE TRIGGER remember_versions AFTER DELETE ON tenantd.tenants
    FOR EACH ROW WHEN (OLD.desired_version > 1) EXECUTE FUNCTION tenantd.remember_versions();

CREATE FUNCTION tenantd.next_version_of(key text) RETURNS integer
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    RETURN (SELECT f.next_version FROM tenantd.former_tenants AS f WHERE f.external_id = key);

COMMENT ON FUNCTION tenantd.next_version_of(text) IS 'The lowest version that no secret of a deleted row with this key ever had; null where there was none.';

-- How high a version an owner may ask for: refused with the number that may.
CREATE FUNCTION tenantd.check_version(key text, asked integer, before integer) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    most CONSTANT bigint := greatest(1000000, tenantd.version_of(tenantd.clock()), before::bigint + 1);
BEGIN
    IF asked > most THEN
        RAISE EXCEPTION 'desired_version % of tenant % is too high: the most that may be asked for now is %', asked, key, most
            USING ERRCODE = 'check_violation', SCHEMA = 'tenantd', TABLE = 'tenants',
                  CONSTRAINT = 'desired_version_is_not_ahead_of_time',
                  HINT = 'Raise it by one: SET desired_version = desired_version + 1. Versions are bounded by the seconds since 2026, so that none is ever given twice.';
    END IF;
END
$$;

-- The contract. -----------------------------------------------------------------------

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
            WHEN r.awaits_budget AND h.is_held_back THEN 'this may be a copy of the real database: nothing is changed at Qlik until an operator has said that it is the real one, with `tenantd rejoin --confirm`'
            WHEN r.awaits_budget AND h.is_held THEN 'nothing is deleted at Qlik until an operator has read `tenantd rejoin --status` and agreed with `tenantd rejoin --agree`'
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
 CROSS JOIN (
       SELECT i.deletions_held_at IS NOT NULL AS is_held, i.changes_held_at IS NOT NULL AS is_held_back
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

-- An owner's insert: due at once, or when its not_before comes. What should not be there
-- is removed without a word to Qlik: nothing was ever sent.
CREATE OR REPLACE FUNCTION tenantd.accept_insert() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    PERFORM tenantd.check_version(NEW.external_id, NEW.desired_version, 0);
    -- A key that had a row before: its numbers were seen.
    NEW.desired_version := greatest(NEW.desired_version, tenantd.next_version_of(NEW.external_id));
    IF NEW.not_before < '0001-01-01 00:00:00+00' THEN
        NEW.not_before := NULL;  -- No limit was meant, and RFC 3339 cannot write it.
    END IF;
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
    END IF;
    IF NEW.desired_version > OLD.desired_version THEN
        PERFORM tenantd.check_version(OLD.external_id, NEW.desired_version, greatest(OLD.desired_version, OLD.current_version));
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
        -- What its owner turned is looked at now, whatever it waited for.
        WHEN NEW.phase = 'removing' THEN CASE WHEN NEW.parked_reason IS NOT NULL THEN NULL
                                              WHEN is_turned THEN tenantd.clock()
                                              ELSE coalesce(NEW.due_at, tenantd.clock()) END
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

-- No number of an earlier life serves again; at the end of all numbers there is no next.
CREATE OR REPLACE FUNCTION tenantd.follow_version() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    least_desired CONSTANT integer :=
        coalesce(NEW.current_version, least(OLD.current_version::bigint + 1, 2147483647)::integer);
BEGIN
    IF NEW.desired_version < least_desired THEN
        UPDATE tenantd.tenants SET desired_version = least_desired WHERE tenant_id = NEW.tenant_id;
    END IF;
    RETURN NULL;
END
$$;
