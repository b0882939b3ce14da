-- Numbers at their end, what a deleted client leaves behind, and where this database is.
--
-- Why remembered here: a copy is told from this database only by its place, also where no
-- daemon has run on it yet. Its backup knows rows that may have got their clients since.
-- Why no least(): it passes NULL by, and gave the last version there is to a tenant that had
-- none.
--
-- Locks: ACCESS EXCLUSIVE on tenantd.tenants for a moment; no row is rewritten.
-- Safe while the previous version runs: yes; it writes nothing that is new here.

ALTER TABLE tenantd.tenants ADD COLUMN left_clients text[] NOT NULL DEFAULT '{}';

COMMENT ON COLUMN tenantd.tenants.left_clients IS 'Clients of this life that somebody else deleted: their tokens and bot users go with the removal.';

UPDATE tenantd.installation AS i
   SET system_identifier = p.system_identifier, database_id = p.database_id, timeline = p.timeline
  FROM tenantd.place() AS p
 WHERE i.system_identifier IS NULL AND NOT EXISTS (SELECT FROM tenantd.tenants WHERE lease_epoch > 0);

CREATE FUNCTION tenantd.version_after(version integer) RETURNS integer
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    IF version = 2147483647 THEN
        RAISE EXCEPTION 'the versions of this tenant are used up: 2147483647 is the last there is'
            USING ERRCODE = 'numeric_value_out_of_range',
                  HINT = 'Remove the tenant, and insert it anew under another external_id.';
    END IF;
    RETURN version + 1;
END
$$;

COMMENT ON FUNCTION tenantd.version_after(integer) IS 'The next version; refused where there is none.';

CREATE OR REPLACE FUNCTION tenantd.remember_versions() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    INSERT INTO tenantd.former_tenants AS f (external_id, next_version)
    VALUES (OLD.external_id, greatest(OLD.desired_version, OLD.current_version + (OLD.current_version < 2147483647)::integer))
    ON CONFLICT (external_id) DO UPDATE
       SET next_version = greatest(f.next_version, excluded.next_version), deleted_at = excluded.deleted_at;
    RETURN NULL;
END
$$;

UPDATE tenantd.former_tenants SET next_version = tenantd.version_of(tenantd.clock()) WHERE next_version = 2147483647;

-- Beyond the clock only one more than what serves, so that numbers rise with rotations and
-- not with statements. The last argument is that version, or 0 while a raise is under way.
CREATE OR REPLACE FUNCTION tenantd.check_version(key text, asked integer, before integer) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    most CONSTANT bigint := greatest(1000000, tenantd.version_of(tenantd.clock()), before::bigint + 1);
BEGIN
    IF asked > most THEN
        RAISE EXCEPTION 'desired_version % of tenant % is too high: the most that may be asked for now is %', asked, key, most
            USING ERRCODE = 'check_violation', SCHEMA = 'tenantd', TABLE = 'tenants',
                  CONSTRAINT = 'desired_version_is_not_ahead_of_time',
                  HINT = 'Raise it by one, once the last raise serves: SET desired_version = desired_version + 1. Versions are bounded by the seconds since 2026, so that none is ever given twice.';
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION tenantd.follow_version() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    least_desired CONSTANT integer :=
        coalesce(NEW.current_version, OLD.current_version + (OLD.current_version < 2147483647)::integer);
BEGIN
    IF NEW.desired_version < least_desired THEN
        UPDATE tenantd.tenants SET desired_version = least_desired WHERE tenant_id = NEW.tenant_id;
    END IF;
    RETURN NULL;
END
$$;
