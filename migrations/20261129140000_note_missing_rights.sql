-- Which rights a region's OAuth client lacks, as its tenants show.
--
-- Why in the database: as with the breaker, it is one fact for all replicas. Why a row for
-- each effect: what Qlik refuses is a call, and what is refused to a region need not stop
-- what is granted to it.
--
-- Locks: ACCESS EXCLUSIVE on tenantd.tenants for a moment; no row is rewritten.
-- Safe while the previous version runs: yes; it neither reads nor writes this.

CREATE TABLE tenantd.rights (
    region          text NOT NULL,
    effect          text NOT NULL,
    granted_at      timestamptz,
    missing_since   timestamptz,
    answer          text,
    ask_at          timestamptz,
    asked_tenant_id uuid,

    PRIMARY KEY (region, effect),
    CONSTRAINT a_missing_right_is_asked_for
        CHECK ((missing_since IS NULL) = (ask_at IS NULL) AND (missing_since IS NULL) = (answer IS NULL))
);

COMMENT ON TABLE  tenantd.rights IS 'What the OAuth client of a region was allowed or refused, by effect.';
COMMENT ON COLUMN tenantd.rights.region IS 'The [[regions]] entry.';
COMMENT ON COLUMN tenantd.rights.effect IS 'The effect that the right permits, as in tenantd.attempts.';
COMMENT ON COLUMN tenantd.rights.granted_at IS 'When it was last done on a tenant of the region, give or take a few seconds.';
COMMENT ON COLUMN tenantd.rights.missing_since IS 'Since when the region is known to lack the right; null while it is not.';
COMMENT ON COLUMN tenantd.rights.answer IS 'What the refusal said that made it known; our words, with status and code.';
COMMENT ON COLUMN tenantd.rights.ask_at IS 'When the next tenant is to ask for it.';
COMMENT ON COLUMN tenantd.rights.asked_tenant_id IS 'The tenant whose turn it is to ask.';

ALTER TABLE tenantd.tenants
    ADD COLUMN awaits_right     text,
    ADD COLUMN right_refused_at timestamptz;

COMMENT ON COLUMN tenantd.tenants.awaits_right IS 'The effect to which the region''s right was missing when it was last needed here.';
COMMENT ON COLUMN tenantd.tenants.right_refused_at IS 'Since when that right is refused here; null where it was not asked for.';

-- Who waits for a right: few, or all of a region.
CREATE INDEX tenants_awaits_right ON tenantd.tenants (region, awaits_right) WHERE awaits_right IS NOT NULL;

CREATE TRIGGER refuse_to_empty BEFORE TRUNCATE ON tenantd.rights
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.refuse_to_empty();

-- What a rollout leaves out: it would wait there for people, and keep the others waiting.
CREATE FUNCTION tenantd.is_region_stopped(of_region text) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    RETURN EXISTS (SELECT FROM tenantd.regions AS b WHERE b.region = of_region AND b.opened_at IS NOT NULL)
           OR EXISTS (SELECT FROM tenantd.pauses AS p
                       WHERE p.region IN ('*', of_region)
                         AND (p.paused_until IS NULL OR p.paused_until > tenantd.clock()))
           OR EXISTS (SELECT FROM tenantd.rights AS g WHERE g.region = of_region AND g.missing_since IS NOT NULL);

COMMENT ON FUNCTION tenantd.is_region_stopped(text) IS 'Whether the breaker of a region is open, it or the fleet is paused, or it lacks a right.';
