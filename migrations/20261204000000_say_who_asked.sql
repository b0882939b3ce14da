-- Commands note what they were asked for, as HTTP does.
--
-- Why: retry, pause, resume, rotate and remove of all who match a filter stand in the history of
-- each, whoever asked.
--
-- Locks: SHARE UPDATE EXCLUSIVE on tenantd.attempts for an instant.
-- Safe while the previous version runs: yes.

COMMENT ON COLUMN tenantd.attempts.effect IS 'Of the daemon: create, look, compare, mint, tidy, trust, prove, recheck, dedupe, audit, amend, delete, revoke, delete_bot. Of commands: reveal, adopt, drop_secret, revoke, census, rollback, recreate, forget. Asked for over HTTP, or by commands with a filter: retry, pause, resume, rotate, remove.';
