-- No index names what every step writes, so that a step is a heap-only update.
--
-- Why another column: an update touches every index of the table as soon as one column that
-- any index names has changed, also in its condition. Phase and reason_since change with
-- every step; when the owner last turned the row does not. A row that is removed counts as
-- let through, so that the index holds only what waits. What the owner's triggers pass on
-- besides: NULL for a version, which the table refuses.
--
-- Locks: ACCESS EXCLUSIVE on tenantd.tenants for as long as the rows that are removed, or
-- wait to be, take to be rewritten; no other row is.
-- Safe while the previous version runs: yes; rows that it removes meanwhile are only passed
-- over by the index's readers.

ALTER TABLE tenantd.tenants ADD COLUMN turned_at timestamptz NOT NULL DEFAULT tenantd.clock();

COMMENT ON COLUMN tenantd.tenants.turned_at IS 'When desired_state last changed. Removals are let through in this order.';
COMMENT ON COLUMN tenantd.tenants.removal_admitted_at IS 'When the removal was let through by the budget; of a removed row, when it was removed at the latest.';

UPDATE tenantd.tenants SET turned_at = reason_since
 WHERE desired_state = 'absent' AND removal_admitted_at IS NULL AND phase <> 'removed';
UPDATE tenantd.tenants SET removal_admitted_at = updated_at
 WHERE desired_state = 'absent' AND removal_admitted_at IS NULL AND phase = 'removed';

DROP INDEX tenantd.tenants_awaiting_removal;
CREATE INDEX tenants_awaiting_removal ON tenantd.tenants (turned_at)
    WHERE desired_state = 'absent' AND removal_admitted_at IS NULL;

CREATE OR REPLACE FUNCTION tenantd.accept_insert() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    PERFORM tenantd.check_version(NEW.external_id, NEW.desired_version, 0);
    IF NEW.desired_version IS NOT NULL THEN  -- The table refuses that by itself.
        -- A key that had a row before: its numbers were seen.
        NEW.desired_version := greatest(NEW.desired_version, tenantd.next_version_of(NEW.external_id));
    END IF;
    IF NEW.not_before < '0001-01-01 00:00:00+00' THEN
        NEW.not_before := NULL;  -- No limit was meant, and RFC 3339 cannot write it.
    END IF;
    IF NEW.desired_state = 'absent' THEN
        NEW.phase := 'removed';
        NEW.removal_admitted_at := tenantd.clock();
        NEW.due_at := NULL;
        NEW.must_look := true;
    ELSE
        NEW.due_at := greatest(tenantd.clock(), NEW.not_before);
    END IF;
    RETURN NEW;
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
    IF is_turned AND NEW.desired_state = 'absent' AND OLD.phase = 'pending' THEN
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
