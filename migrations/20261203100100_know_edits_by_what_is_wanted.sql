-- An edit of what a client should be is known by what is wanted, not by that somebody wrote.
--
-- Why: edited_at says that the owner wrote profile, client_name or redirect_uris, and so an
-- edit that was taken back before anybody applied it cost its call all the same. Now the
-- state keeps a digest of these columns as they were last applied, or found applied by an
-- audit; an edit is due where that of the wants is another. It is of the row's columns alone:
-- a profile that changes in the configuration is drift, as before.
--
-- Where no digest is known (a row of the version before, a client that was found after a lost
-- create), edited_at tells still; the version before knows nothing else, and the owner's
-- trigger writes it on. What that version applies it clears from edited_at without noting a
-- digest: unknow_applied then has none known, and the next commit notes what is wanted.
--
-- Locks: ACCESS EXCLUSIVE on tenantd.tenants for an instant; no row is read or rewritten.
-- Safe while the previous version runs: yes.

ALTER TABLE tenantd.tenants ADD COLUMN applied_wants bytea;

COMMENT ON COLUMN tenantd.tenants.applied_wants IS 'Digest of profile, client_name and redirect_uris as they were last applied to the client, or found applied by an audit: another one is an edit. Null where none is known: then edited_at tells.';
COMMENT ON COLUMN tenantd.tenants.edited_at IS 'When the owner last changed profile, client_name or redirect_uris since the client was last known to follow. Tells of an edit where applied_wants is null, and to the version before.';

CREATE FUNCTION tenantd.unknow_applied() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    NEW.applied_wants := NULL;
    RETURN NEW;
END
$$;

CREATE TRIGGER unknow_applied BEFORE UPDATE ON tenantd.tenants
    FOR EACH ROW WHEN (NEW.applied_wants = OLD.applied_wants
                       AND (OLD.edited_at IS NOT NULL AND NEW.edited_at IS NULL
                            OR NEW.client_id IS DISTINCT FROM OLD.client_id))
    EXECUTE FUNCTION tenantd.unknow_applied();
