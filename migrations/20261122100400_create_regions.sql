-- The breaker: whether a region's credential is believed to be refused.
--
-- Why in the database: it is one fact for all replicas.
--
-- Locks: none on existing tables.
-- Safe while the previous version runs: yes (creates only).

CREATE TABLE tenantd.regions (
    region           text        PRIMARY KEY,
    token_at         timestamptz,
    opened_at        timestamptz,
    probe_at         timestamptz,
    probed_tenant_id uuid,

    CONSTRAINT an_open_breaker_probes CHECK ((opened_at IS NULL) = (probe_at IS NULL))
);

COMMENT ON TABLE  tenantd.regions IS 'One row per [[regions]] entry that was ever used, with its breaker.';
COMMENT ON COLUMN tenantd.regions.region IS 'Its name.';
COMMENT ON COLUMN tenantd.regions.token_at IS 'When a tenant of the region last gave us a token, give or take a heartbeat.';
COMMENT ON COLUMN tenantd.regions.opened_at IS 'Since when the breaker is open; null while it is closed.';
COMMENT ON COLUMN tenantd.regions.probe_at IS 'When the next tenant is to be probed.';
COMMENT ON COLUMN tenantd.regions.probed_tenant_id IS 'The tenant probed last, so that the next is another.';
