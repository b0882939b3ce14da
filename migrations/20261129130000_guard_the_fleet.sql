-- What one mistake costs a fleet: rollouts of one tenant are judged together.
--
-- Why a column: an operator who resumes a rollout has answered what failed before; the log
-- of changes stays as it is.
--
-- Locks: ACCESS EXCLUSIVE on tenantd.rollouts for a moment.
-- Safe while the previous version runs: yes; it does not know the column.

ALTER TABLE tenantd.rollouts ADD COLUMN judged_from timestamptz;

COMMENT ON COLUMN tenantd.rollouts.judged_from IS 'Changes that began earlier are not judged any more: since then an operator resumed it.';
COMMENT ON COLUMN tenantd.changes.outcome IS 'done, failed, or skipped (the tenant could not be asked, or failed for a reason of its own).';
