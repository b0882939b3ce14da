-- A million rows in one transaction: rows that are plainly right cost no call.
--
-- Why: three functions were called for every row that is inserted, which took ten times as
-- long as the insert itself. Who looks at a row decides by a condition of the trigger now,
-- which is no call: check_wants() is asked of whatever is not plainly right, and alone says
-- what is wrong. What a row's key or host was before is asked only where the database knows of
-- any such key or host: a trigger of the statement looks that up once and notes it for the
-- triggers of its rows. Should a tenant be deleted while the statement runs, so that a key
-- comes back that was not known at its beginning, the statement fails and is to be repeated.
--
-- Locks: SHARE ROW EXCLUSIVE on tenantd.tenants, for a moment.
-- Safe while the previous version runs: yes.

CREATE FUNCTION tenantd.look_back() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    PERFORM set_config('tenantd.has_former', (EXISTS (SELECT FROM tenantd.former_tenants))::text, true),
            set_config('tenantd.has_absent', (EXISTS (SELECT FROM tenantd.tenants WHERE desired_state = 'absent'))::text, true);
    RETURN NULL;
END
$$;

CREATE FUNCTION tenantd.refuse_forgotten_versions() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    known text;
BEGIN
    SELECT i.external_id INTO known
      FROM inserted AS i JOIN tenantd.former_tenants AS f ON f.external_id = i.external_id
     WHERE i.desired_version < f.next_version
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'tenant % was deleted while it was inserted anew', known
            USING ERRCODE = 'serialization_failure', SCHEMA = 'tenantd', TABLE = 'tenants',
                  HINT = 'Repeat the statement: it then goes on behind the versions that were seen.';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER look_back BEFORE INSERT ON tenantd.tenants
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.look_back();
CREATE TRIGGER refuse_forgotten_versions AFTER INSERT ON tenantd.tenants
    REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION tenantd.refuse_forgotten_versions();

CREATE OR REPLACE TRIGGER accept_checked_insert BEFORE INSERT ON tenantd.tenants
    FOR EACH ROW
    WHEN (NOT coalesce(
              octet_length(NEW.external_id) BETWEEN 1 AND 200
              -- Three labels or more, the last in letters; no two hyphens in a row.
              AND octet_length(NEW.host) <= 63
              AND NEW.host ~ '^[a-z0-9]+(-[a-z0-9]+)*([.][a-z0-9]+(-[a-z0-9]+)*)+[.][a-z]+$'
              AND NEW.profile = 'default' AND NEW.client_name IS NULL AND NEW.redirect_uris IS NULL
              AND NEW.desired_state = 'present' AND NEW.desired_version = 1 AND NEW.priority = 0
              AND NEW.not_before IS NULL
              -- In so few characters neither 64 levels nor a number beyond 1e300.
              AND jsonb_typeof(NEW.labels) = 'object' AND octet_length(NEW.labels::text) < 100, false))
    EXECUTE FUNCTION tenantd.check_wants();

-- All that it would set is the default of its column.
CREATE OR REPLACE TRIGGER accept_insert BEFORE INSERT ON tenantd.tenants
    FOR EACH ROW
    WHEN (NEW.desired_state IS DISTINCT FROM 'present' OR NEW.desired_version IS DISTINCT FROM 1
          OR NEW.not_before IS NOT NULL OR current_setting('tenantd.has_former', true) IS DISTINCT FROM 'false')
    EXECUTE FUNCTION tenantd.accept_insert();

CREATE OR REPLACE TRIGGER refuse_host_of_removed_on_insert BEFORE INSERT ON tenantd.tenants
    FOR EACH ROW
    WHEN (current_setting('tenantd.has_absent', true) IS DISTINCT FROM 'false')
    EXECUTE FUNCTION tenantd.refuse_host_of_removed();

-- The same of an edit: labels that are plainly right are not checked, and what changes nothing
-- that is to be done is only noted.

CREATE OR REPLACE TRIGGER accept_checked_update
    BEFORE UPDATE OF external_id, host, profile, client_name, redirect_uris, desired_state, desired_version, priority,
                     not_before, labels
    ON tenantd.tenants
    FOR EACH ROW
    WHEN (NEW.desired_version < 1
          OR (NEW.external_id, NEW.host, NEW.profile, NEW.client_name, NEW.redirect_uris, NEW.desired_state, NEW.priority,
              NEW.not_before)
             IS DISTINCT FROM
             (OLD.external_id, OLD.host, OLD.profile, OLD.client_name, OLD.redirect_uris, OLD.desired_state, OLD.priority,
              OLD.not_before)
          OR NEW.labels IS DISTINCT FROM OLD.labels
             AND NOT coalesce(jsonb_typeof(NEW.labels) = 'object' AND octet_length(NEW.labels::text) < 100, false))
    EXECUTE FUNCTION tenantd.check_wants();

CREATE FUNCTION tenantd.note_edit() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    NEW.updated_at := tenantd.clock();
    RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER accept_update
    BEFORE UPDATE OF external_id, host, profile, client_name, redirect_uris, desired_state, desired_version, not_before
    ON tenantd.tenants
    FOR EACH ROW
    WHEN ((NEW.external_id, NEW.host, NEW.profile, NEW.client_name, NEW.redirect_uris, NEW.desired_state,
           NEW.desired_version, NEW.not_before)
          IS DISTINCT FROM
          (OLD.external_id, OLD.host, OLD.profile, OLD.client_name, OLD.redirect_uris, OLD.desired_state,
           OLD.desired_version, OLD.not_before))
    EXECUTE FUNCTION tenantd.accept_update();

CREATE TRIGGER note_edit BEFORE UPDATE OF priority, labels ON tenantd.tenants
    FOR EACH ROW EXECUTE FUNCTION tenantd.note_edit();
