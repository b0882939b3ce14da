-- What no slice of a rejoin has reached yet is kept like what is looked at once more.
--
-- Why: since rows are woken in slices, a removed row gets the time of its last look from its slice.
-- Until then it could be deleted, truncated or given another host, and whatever client the
-- database forgot of it was forgotten for good. Now the guards ask for the rejoin too. The view's words do
-- so with 20261204400000, which replaces it once for both.
--
-- And two things that were told too simply:
-- * the version before commits a number that it chose before its owner raised desired_version: only
--   what the number reaches was served;
-- * what a digest of applied wants is unknown after.
--
-- Locks: ACCESS EXCLUSIVE on tenantd.tenants, to the end of the transaction: nobody reads or writes tenants
-- meanwhile. It is taken first, because the index of the next migration needs it at its end, and whoever
-- raises a lock that others hold a part of may end in a deadlock.
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
