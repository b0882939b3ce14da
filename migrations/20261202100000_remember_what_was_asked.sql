-- What was asked for over HTTP by an Idempotency-Key, and what came of it.
--
-- Why in the database: whoever asks again after an answer was lost may reach another replica,
-- and must not be obeyed twice. The row is written in the transaction that does what was asked.
--
-- Locks: none on existing tables, but SHARE UPDATE EXCLUSIVE on tenantd.attempts for an
-- instant, for its comment.
-- Safe while the previous version runs: yes (creates only).

CREATE TABLE tenantd.idempotency_keys (
    idempotency_key text        PRIMARY KEY,
    request         bytea       NOT NULL,
    answer          jsonb       NOT NULL,
    answered_at     timestamptz NOT NULL DEFAULT tenantd.clock(),

    CONSTRAINT idempotency_key_is_short CHECK (octet_length(idempotency_key) BETWEEN 1 AND 200),
    CONSTRAINT request_is_a_digest CHECK (octet_length(request) = 32)
);
CREATE INDEX idempotency_keys_by_age ON tenantd.idempotency_keys (answered_at);

COMMENT ON TABLE  tenantd.idempotency_keys IS 'What was done over HTTP, by the key that the caller sent. Pruned after a day.';
COMMENT ON COLUMN tenantd.idempotency_keys.idempotency_key IS 'The header Idempotency-Key, 1 to 200 bytes.';
COMMENT ON COLUMN tenantd.idempotency_keys.request IS 'SHA-256 of what was asked and by whom: the same key with another request is refused.';
COMMENT ON COLUMN tenantd.idempotency_keys.answer IS 'What was answered, and is answered again.';
COMMENT ON COLUMN tenantd.idempotency_keys.answered_at IS 'When.';

COMMENT ON COLUMN tenantd.attempts.effect IS 'Of the daemon: create, look, compare, mint, tidy, trust, prove, recheck, dedupe, audit, amend, delete, revoke, delete_bot. Of commands: reveal, adopt, drop_secret, revoke, census, rollback, recreate, forget. Over HTTP: retry, pause, resume, rotate, remove.';

-- Whoever asks again would be obeyed again.
CREATE TRIGGER refuse_to_empty BEFORE TRUNCATE ON tenantd.idempotency_keys
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.refuse_to_empty();
