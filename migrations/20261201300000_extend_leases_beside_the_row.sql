-- A lease whose row somebody has locked is extended beside the row.
--
-- Why: a heartbeat cannot write to a row that a pipeline's open transaction has locked, so the
-- lease in the row ran out while its holder was well, with a new secret in memory that only
-- waited for the row. When the transaction ended, whoever claimed first won: where that was not
-- the holder's commit, the secret was lost, and another had to be made.
--
-- An extension says of one claim, by its epoch, that the holder was alive and when that is over.
-- It makes no request to Qlik certain and no write possible; it only keeps others from claiming.
-- No foreign key: its check would wait for the very lock.
--
-- Locks: none.
-- Safe while the previous version runs: yes. That version knows no extensions, and claims the row
-- as it did before.

CREATE TABLE tenantd.lease_extensions (
    tenant_id   uuid PRIMARY KEY,
    lease_epoch bigint NOT NULL,
    expires_at  timestamptz NOT NULL
);
COMMENT ON TABLE tenantd.lease_extensions IS 'Leases on rows that somebody had locked when they were to be renewed. What is over is deleted by the heartbeats.';
COMMENT ON COLUMN tenantd.lease_extensions.tenant_id IS 'Whose row is leased.';
COMMENT ON COLUMN tenantd.lease_extensions.lease_epoch IS 'The claim that is extended; it says nothing of any other.';
COMMENT ON COLUMN tenantd.lease_extensions.expires_at IS 'Until then nobody else claims the row.';

CREATE FUNCTION tenantd.is_lease_extended(tenant_id uuid, lease_epoch bigint) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    RETURN EXISTS (SELECT FROM tenantd.lease_extensions AS e
                    WHERE e.tenant_id = is_lease_extended.tenant_id AND e.lease_epoch = is_lease_extended.lease_epoch
                      AND e.expires_at > tenantd.clock());
COMMENT ON FUNCTION tenantd.is_lease_extended(uuid, bigint) IS 'Whether the holder of this claim was alive when the row was locked, and may still be. Asked only where the lease in the row has run out.';
