-- What attempts.effect may say, all of it: the comment of its first day named ten of the
-- twenty-one words.
--
-- Why in the catalogue: whoever reads the history in psql has \d+ at hand and no glossary.
--
-- Locks: SHARE UPDATE EXCLUSIVE on tenantd.attempts for an instant; reads and writes go on.
-- Safe while the previous version runs: yes, a comment is nobody's input.

COMMENT ON COLUMN tenantd.attempts.effect IS 'Of the daemon: create, look, compare, mint, tidy, trust, prove, recheck, dedupe, audit, amend, delete, revoke, delete_bot. Of commands: reveal, adopt, drop_secret, revoke, census, rollback, recreate, forget.';
