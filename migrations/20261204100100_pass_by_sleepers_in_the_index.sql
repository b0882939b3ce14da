-- A claim passes by those that no slice of a rejoin has reached without a look at their rows.
--
-- Why: after a restore nearly every row is due, and nobody may claim one before its slice is
-- through. Each claim read them all, to find out one by one. Now the index of what is due knows.
--
-- Locks: ACCESS EXCLUSIVE on tenantd.tenants while the index is built, some seconds for a million rows:
-- nobody reads or writes tenants meanwhile.
-- Safe while the previous version runs: yes. Its claims use the index as before.

LOCK TABLE tenantd.tenants IN ACCESS EXCLUSIVE MODE;
CREATE INDEX tenants_due_since ON tenantd.tenants (region, tenantd.rank_of(due_at, priority), due_at, rejoin_epoch)
    WHERE due_at IS NOT NULL;
DROP INDEX tenantd.tenants_due;
ALTER INDEX tenantd.tenants_due_since RENAME TO tenants_due;
