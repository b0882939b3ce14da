-- What readers and pipelines may rely on: two views, one function, the rules of
-- owner's writes, and the notifications.
--
-- Why views and a function: the tables may change with every version, and readers
-- need no right to them. For the same reason their columns are of plain types, not of
-- the tables' domains.
--
-- Locks: short ones on tenantd.tenants for its triggers.
-- Safe while the previous version runs: yes.

CREATE VIEW tenantd.status AS
SELECT t.tenant_id,
       t.external_id::text,
       t.host::text,
       t.phase,
       r.is_ready AS ready,
       t.parked_reason IS NOT NULL AS parked,
       CASE WHEN t.parked_reason IS NOT NULL THEN t.parked_reason
            WHEN t.desired_state = 'absent'  THEN 'NotYetSupported'
            WHEN r.is_ready                  THEN NULL
            WHEN r.is_early                  THEN 'NotBefore'
            WHEN r.is_held                   THEN 'Working'
            WHEN b.opened_at IS NOT NULL     THEN 'BreakerOpen'
            ELSE coalesce(t.wait_reason, 'Queued')
       END AS reason,
       CASE WHEN t.parked_reason IS NOT NULL THEN t.message
            WHEN t.desired_state = 'absent'  THEN 'removal is not built in this version: set desired_state back to present, or delete the client in Qlik by hand'
            WHEN r.is_ready                  THEN NULL
            WHEN r.is_early                  THEN 'nothing is sent before the row''s not_before'
            WHEN r.is_held                   THEN 'a daemon is working on it'
            WHEN b.opened_at IS NOT NULL     THEN 'the credential of region ' || t.region || ' is refused: correct it and restart; `tenantd doctor` tests it'
            ELSE coalesce(t.message, 'waits for a daemon')
       END AS message,
       CASE WHEN t.parked_reason IS NOT NULL OR t.desired_state = 'absent' OR r.is_ready OR r.is_early
            THEN t.reason_since
            WHEN r.is_held               THEN t.leased_at
            WHEN b.opened_at IS NOT NULL THEN greatest(b.opened_at, t.reason_since)
            -- A pending row is queued only since its not_before came.
            WHEN t.phase = 'pending'     THEN greatest(t.reason_since, t.not_before)
            ELSE t.reason_since
       END AS since,
       CASE WHEN r.is_held THEN NULL
            WHEN t.due_at IS NULL THEN NULL
            ELSE greatest(t.due_at, b.probe_at)
       END AS next_attempt_at,
       t.failures,
       t.client_id,
       t.created_at,
       t.ready_at,
       t.updated_at,
       t.labels::jsonb
  FROM tenantd.tenants AS t
  LEFT JOIN tenantd.regions AS b ON b.region = t.region
 CROSS JOIN LATERAL (
       SELECT t.current_version IS NOT NULL AND t.desired_state = 'present'   AS is_ready,
              t.phase = 'pending' AND coalesce(t.not_before > tenantd.clock(), false) AS is_early,
              coalesce(t.lease_expires_at > tenantd.clock(), false)           AS is_held
       ) AS r;

COMMENT ON VIEW   tenantd.status IS 'Where every tenant is, and why it is not ready. Columns only grow within a major version.';
COMMENT ON COLUMN tenantd.status.tenant_id IS 'Made at insert; part of the mark on the tenant''s client.';
COMMENT ON COLUMN tenantd.status.external_id IS 'The pipeline''s own key.';
COMMENT ON COLUMN tenantd.status.host IS 'The tenant''s host name.';
COMMENT ON COLUMN tenantd.status.phase IS 'How far the tenant is: pending, creating, created, trusted, ready.';
COMMENT ON COLUMN tenantd.status.ready IS 'Whether there is a proven current credential and desired_state is present.';
COMMENT ON COLUMN tenantd.status.parked IS 'Whether it waits for somebody to act.';
COMMENT ON COLUMN tenantd.status.reason IS 'Why it is not ready, from a closed list; null only when ready and not parked.';
COMMENT ON COLUMN tenantd.status.message IS 'The reason in words, with what to do.';
COMMENT ON COLUMN tenantd.status.since IS 'Start of the present phase and reason.';
COMMENT ON COLUMN tenantd.status.next_attempt_at IS 'When somebody goes on by itself, at the earliest; null while somebody works on it or nothing is to be done.';
COMMENT ON COLUMN tenantd.status.failures IS 'Failures since the last progress.';
COMMENT ON COLUMN tenantd.status.client_id IS 'The OAuth client, once it is known.';
COMMENT ON COLUMN tenantd.status.created_at IS 'When the row was inserted.';
COMMENT ON COLUMN tenantd.status.ready_at IS 'When the tenant was first ready in this life.';
COMMENT ON COLUMN tenantd.status.updated_at IS 'When the row was last written.';
COMMENT ON COLUMN tenantd.status.labels IS 'The pipeline''s own labels.';

-- A barrier: no function of a reader's own may look at a row before it is known
-- to be shown, or the hidden ones would be read through it.
CREATE VIEW tenantd.credentials WITH (security_barrier) AS
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
   AND t.desired_state = 'present';

COMMENT ON VIEW   tenantd.credentials IS 'Proven credentials, sealed. Nothing from the moment a tenant is desired absent.';
COMMENT ON COLUMN tenantd.credentials.tenant_id IS 'Whose it is.';
COMMENT ON COLUMN tenantd.credentials.external_id IS 'The pipeline''s own key.';
COMMENT ON COLUMN tenantd.credentials.host IS 'The tenant''s host name.';
COMMENT ON COLUMN tenantd.credentials.client_id IS 'The OAuth client.';
COMMENT ON COLUMN tenantd.credentials.version IS 'Rises with every rotation; numbers may skip.';
COMMENT ON COLUMN tenantd.credentials.stage IS 'current: use this one. previous: still good for those who have not switched yet.';
COMMENT ON COLUMN tenantd.credentials.sealed IS 'A compact JWE (RFC 7516) of {"tenant_id","host","client_id","client_secret"}; compare what it names with the row.';
COMMENT ON COLUMN tenantd.credentials.created_at IS 'When it was sealed.';

CREATE FUNCTION tenantd.acknowledge(external_id text, version integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    UPDATE tenantd.tenants AS t
       SET acknowledged_version = acknowledge.version,
           updated_at = tenantd.clock()
     WHERE t.external_id = acknowledge.external_id
       AND t.current_version = acknowledge.version
       AND t.desired_state = 'present';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'version % is not the current credential of tenant %', version, external_id
            USING ERRCODE = 'no_data_found', HINT = 'Read the current version from tenantd.credentials and acknowledge that one.';
    END IF;
END
$$;

COMMENT ON FUNCTION tenantd.acknowledge(text, integer) IS 'A consumer says: every instance of mine has switched to this version. Only the current version is accepted.';
REVOKE ALL ON FUNCTION tenantd.acknowledge(text, integer) FROM PUBLIC;

-- Triggers run with the rights of whoever writes, so nobody needs more than the
-- columns granted in deploy/postgres/roles.sql. Their search_path is pinned: what a
-- writer puts into a schema of its own is never called.

-- An owner's insert: due at once, or when its not_before comes.
CREATE FUNCTION tenantd.accept_insert() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    NEW.due_at := CASE WHEN NEW.desired_state = 'present' THEN greatest(tenantd.clock(), NEW.not_before) END;
    RETURN NEW;
END
$$;

CREATE TRIGGER accept_insert BEFORE INSERT ON tenantd.tenants
    FOR EACH ROW EXECUTE FUNCTION tenantd.accept_insert();

-- An owner's update: what may change, and what follows from it.
CREATE FUNCTION tenantd.accept_update() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    is_corrected CONSTANT boolean :=
        NEW.host <> OLD.host AND OLD.parked_reason IS NOT DISTINCT FROM 'HostNotAllowed'
        OR NEW.profile <> OLD.profile AND OLD.parked_reason IS NOT DISTINCT FROM 'UnknownProfile';
    is_turned    CONSTANT boolean := NEW.desired_state <> OLD.desired_state;
    was_early    CONSTANT boolean := OLD.phase = 'pending' AND coalesce(OLD.not_before > tenantd.clock(), false);
    is_early     CONSTANT boolean := NEW.phase = 'pending' AND coalesce(NEW.not_before > tenantd.clock(), false);
BEGIN
    IF NEW.external_id <> OLD.external_id THEN
        RAISE EXCEPTION 'external_id of tenant % never changes', OLD.external_id
            USING ERRCODE = 'check_violation', SCHEMA = 'tenantd', TABLE = 'tenants',
                  CONSTRAINT = 'external_id_never_changes',
                  HINT = 'Insert a new row for another tenant.';
    END IF;
    IF NEW.host <> OLD.host AND OLD.phase <> 'pending' THEN
        RAISE EXCEPTION 'host of tenant % is fixed: a request may have been sent to %', OLD.external_id, OLD.host
            USING ERRCODE = 'check_violation', SCHEMA = 'tenantd', TABLE = 'tenants',
                  CONSTRAINT = 'host_is_fixed_after_first_intent',
                  HINT = 'Set desired_state = ''absent'' on this row and insert another for the new host.';
    END IF;
    IF NEW.host <> OLD.host THEN
        NEW.region := '';
    END IF;
    IF OLD.phase = 'pending' AND OLD.lease_holder IS NOT NULL AND (NEW.host, NEW.profile) <> (OLD.host, OLD.profile) THEN
        -- Somebody is judging the row as it was, and has sent nothing: fence that verdict out.
        NEW.lease_epoch := OLD.lease_epoch + 1;
        NEW.lease_holder := NULL;
        NEW.leased_at := NULL;
        NEW.lease_expires_at := NULL;
    END IF;
    IF is_corrected THEN
        NEW.parked_reason := NULL;
        NEW.message := NULL;
    END IF;
    -- Lowering is ignored.
    NEW.desired_version := greatest(NEW.desired_version, OLD.desired_version);
    IF is_corrected OR is_turned OR is_early <> was_early THEN
        NEW.reason_since := tenantd.clock();
        NEW.progress_at := tenantd.clock();
    END IF;
    -- Any other edit leaves the row its place in the queue.
    NEW.due_at := CASE
        WHEN NEW.parked_reason IS NOT NULL OR NEW.desired_state = 'absent' THEN NULL
        WHEN NEW.phase = 'pending' AND (is_corrected OR is_turned OR NEW.not_before IS DISTINCT FROM OLD.not_before)
            THEN greatest(tenantd.clock(), NEW.not_before)
        WHEN is_corrected OR is_turned THEN tenantd.clock()
        ELSE NEW.due_at
    END;
    NEW.updated_at := tenantd.clock();
    RETURN NEW;
END
$$;

CREATE TRIGGER accept_update
    BEFORE UPDATE OF external_id, host, profile, client_name, redirect_uris, desired_state, desired_version,
                     priority, not_before, labels
    ON tenantd.tenants
    FOR EACH ROW EXECUTE FUNCTION tenantd.accept_update();

CREATE FUNCTION tenantd.refuse_delete() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    RAISE EXCEPTION 'tenant % may still have a client in Qlik', OLD.external_id
        USING ERRCODE = 'check_violation', SCHEMA = 'tenantd', TABLE = 'tenants',
              CONSTRAINT = 'only_removed_tenants_are_deleted',
              HINT = 'Set desired_state = ''absent'' instead.';
END
$$;

CREATE TRIGGER refuse_delete BEFORE DELETE ON tenantd.tenants
    FOR EACH ROW WHEN (OLD.phase <> 'removed') EXECUTE FUNCTION tenantd.refuse_delete();

-- A hint that there is work: one per statement, and polling goes on without it.
CREATE FUNCTION tenantd.notify_work() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    PERFORM pg_notify('tenantd_work', '');
    RETURN NULL;
END
$$;

CREATE TRIGGER notify_work_of_insert AFTER INSERT ON tenantd.tenants
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.notify_work();

CREATE TRIGGER notify_work_of_update
    AFTER UPDATE OF host, profile, client_name, redirect_uris, desired_state, desired_version, not_before, priority
    ON tenantd.tenants
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.notify_work();

-- What consumers and pipelines wait for.
CREATE FUNCTION tenantd.notify_event() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    PERFORM pg_notify('tenantd_events', json_build_object(
        'external_id', NEW.external_id,
        'event', CASE WHEN NEW.parked_reason IS NOT NULL THEN 'parked' ELSE NEW.phase END,
        'phase', NEW.phase,
        'reason', NEW.parked_reason)::text);
    RETURN NULL;
END
$$;

CREATE TRIGGER notify_event AFTER UPDATE ON tenantd.tenants
    FOR EACH ROW
    WHEN (NEW.phase = 'ready' AND OLD.phase <> 'ready'
          OR NEW.parked_reason IS NOT NULL AND OLD.parked_reason IS DISTINCT FROM NEW.parked_reason)
    EXECUTE FUNCTION tenantd.notify_event();
