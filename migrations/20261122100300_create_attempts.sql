-- The history: one row per effect tried, append-only, pruned by age.
--
-- Why no foreign key: history outlives the row it tells of.
--
-- Locks: none on existing tables.
-- Safe while the previous version runs: yes (creates only).

CREATE TABLE tenantd.attempts (
    tenant_id   uuid        NOT NULL,
    attempt_id  bigint      GENERATED ALWAYS AS IDENTITY,
    phase       text        NOT NULL,
    effect      text        NOT NULL,
    outcome     text        NOT NULL,
    http_status smallint,
    error_code  text,
    trace_id    text,
    message     text,
    started_at  timestamptz NOT NULL,
    duration_ms integer     NOT NULL,
    holder      uuid        NOT NULL,

    PRIMARY KEY (tenant_id, attempt_id)
);

-- Append-only and pruned by age: a block range is all that pruning needs.
CREATE INDEX attempts_by_age ON tenantd.attempts USING brin (started_at);

COMMENT ON TABLE  tenantd.attempts IS 'What was tried, when, and what came of it.';
COMMENT ON COLUMN tenantd.attempts.tenant_id IS 'For which tenant.';
COMMENT ON COLUMN tenantd.attempts.attempt_id IS 'Orders the attempts of a tenant.';
COMMENT ON COLUMN tenantd.attempts.phase IS 'The phase after the attempt.';
COMMENT ON COLUMN tenantd.attempts.effect IS 'create, look, compare, mint, tidy, trust, prove, recheck, dedupe, reveal.';
COMMENT ON COLUMN tenantd.attempts.outcome IS 'done, or the retry class of the failure.';
COMMENT ON COLUMN tenantd.attempts.http_status IS 'Status of Qlik''s answer, where there was one.';
COMMENT ON COLUMN tenantd.attempts.error_code IS 'The first errors[].code of Qlik''s answer.';
COMMENT ON COLUMN tenantd.attempts.trace_id IS 'Qlik''s trace id, to quote to Qlik''s support.';
COMMENT ON COLUMN tenantd.attempts.message IS 'What happened, in our words.';
COMMENT ON COLUMN tenantd.attempts.started_at IS 'When it began.';
COMMENT ON COLUMN tenantd.attempts.duration_ms IS 'How long it took, in milliseconds.';
COMMENT ON COLUMN tenantd.attempts.holder IS 'Who did it.';
