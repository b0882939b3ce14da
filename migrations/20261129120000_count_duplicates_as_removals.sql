-- Of which client a change is, so that the deletion of a duplicate counts in the budget of
-- removals once, however often it must be tried.
--
-- Why no index: the budget reads the changes of one kind, which are few.
--
-- Locks: ACCESS EXCLUSIVE on tenantd.changes for a moment; no row is rewritten.
-- Safe while the previous version runs: yes; it leaves the column empty.

ALTER TABLE tenantd.changes ADD COLUMN client_id text;

COMMENT ON COLUMN tenantd.changes.client_id IS 'Of the deletion of a duplicate: which client.';
