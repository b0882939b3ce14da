-- The daemon writes no want: desired_version is its owner's alone.
--
-- Why: a trigger had desired_version follow whatever number was given, a renewal by age was
-- asked for by raising it, and so the owner's column said what the owner never had. Now the
-- state notes which desired version was served, and a greater one asks for a rotation. It
-- also keeps the last number that was given, beyond the end of a life, so that none is given
-- twice. What is to be renewed for its age is a fact of its own, which names the version: of
-- any other it says nothing, and nobody need take it back. A raise that is lower than the
-- next number is lifted to it, so that desired_version + 1 always rotates.
--
-- The version before decides on "desired_version > current_version" still. It gives numbers
-- without noting them: number_for_previous does both for it, and goes when that version does.
-- A renewal by age that such a daemon lays aside is woken by the next turn of the rollout.
--
-- Locks: ACCESS EXCLUSIVE on tenantd.tenants for an instant; no row is read or rewritten.
-- Safe while the previous version runs: yes.

ALTER TABLE tenantd.tenants
    ADD COLUMN last_version integer,
    ADD COLUMN served_version integer,
    ADD COLUMN aged_version integer;

COMMENT ON COLUMN tenantd.tenants.desired_version IS 'Raise it to rotate the secret; a raise below the next number is lifted to it. Lowering is ignored.';
COMMENT ON COLUMN tenantd.tenants.last_version IS 'The highest version that a secret of this row was ever given, in whatever life. Null before the first, and where the version before gave it: then current_version.';
COMMENT ON COLUMN tenantd.tenants.served_version IS 'The desired_version that was served: a higher one asks for a rotation. Null where the version before served it: then all up to current_version.';
COMMENT ON COLUMN tenantd.tenants.aged_version IS 'The version whose secret is to be renewed for its age, since a rollout let it through. Of any other than the current one it says nothing.';

DROP TRIGGER follow_version ON tenantd.tenants;
DROP FUNCTION tenantd.follow_version();

CREATE FUNCTION tenantd.number_for_previous() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    last CONSTANT integer := greatest(OLD.last_version, OLD.current_version);
BEGIN
    IF NEW.current_version IS NOT NULL THEN
        NEW.served_version := NEW.desired_version;
    END IF;
    IF OLD.current_version IS NULL THEN
        -- Its first number of a new life it takes from desired_version alone.
        NEW.current_version := greatest(NEW.current_version, last + (last < 2147483647)::integer);
    END IF;
    NEW.last_version := greatest(last, NEW.current_version);
    RETURN NEW;
END
$$;

-- Who notes the last number itself needs nobody.
CREATE TRIGGER number_for_previous BEFORE UPDATE ON tenantd.tenants
    FOR EACH ROW WHEN (NEW.current_version IS DISTINCT FROM OLD.current_version
                       AND NEW.last_version IS NOT DISTINCT FROM OLD.last_version)
    EXECUTE FUNCTION tenantd.number_for_previous();

CREATE OR REPLACE TRIGGER wake BEFORE UPDATE ON tenantd.tenants
    FOR EACH ROW WHEN (
        (NEW.generation, NEW.host, NEW.profile, NEW.client_name, NEW.redirect_uris, NEW.desired_state,
         NEW.not_before, NEW.acknowledged_version, NEW.removal_admitted_at, NEW.paused_at, NEW.paused_until)
        IS DISTINCT FROM
        (OLD.generation, OLD.host, OLD.profile, OLD.client_name, OLD.redirect_uris, OLD.desired_state,
         OLD.not_before, OLD.acknowledged_version, OLD.removal_admitted_at, OLD.paused_at, OLD.paused_until)
        -- A rollback of the version before writes both, and asks for nothing.
        OR NEW.desired_version <> OLD.desired_version AND NEW.phase <> 'removed'
           AND NEW.desired_version IS DISTINCT FROM NEW.current_version
        -- A commit uses it up.
        OR NEW.aged_version IS DISTINCT FROM OLD.aged_version
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
    last         CONSTANT integer := greatest(OLD.last_version, OLD.current_version);
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

CREATE OR REPLACE FUNCTION tenantd.remember_versions() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    last CONSTANT integer := greatest(OLD.last_version, OLD.current_version);
BEGIN
    INSERT INTO tenantd.former_tenants AS f (external_id, next_version)
    VALUES (OLD.external_id, greatest(OLD.desired_version, last + (last < 2147483647)::integer))
    ON CONFLICT (external_id) DO UPDATE
       SET next_version = greatest(f.next_version, excluded.next_version), deleted_at = excluded.deleted_at;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER remember_versions AFTER DELETE ON tenantd.tenants
    FOR EACH ROW WHEN (OLD.desired_version > 1 OR OLD.last_version IS NOT NULL)
    EXECUTE FUNCTION tenantd.remember_versions();

CREATE OR REPLACE FUNCTION tenantd.refuse_truncate() RETURNS trigger
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
    SELECT t.external_id,
           greatest(t.desired_version, t.last_version + (t.last_version < 2147483647)::integer)
      FROM tenantd.tenants AS t
     WHERE t.desired_version > 1 OR t.last_version IS NOT NULL
    ON CONFLICT (external_id) DO UPDATE
       SET next_version = greatest(f.next_version, excluded.next_version), deleted_at = excluded.deleted_at;
    RETURN NULL;
END
$$;
