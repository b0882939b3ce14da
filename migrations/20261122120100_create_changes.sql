-- What the daemon starts by itself, and what bounds it: a log of changes for the hourly
-- budgets, the rollouts with their canaries, and pauses of regions.
--
-- Why a log: a budget that is a sum over the last hour cannot be lost in a restart, nor
-- spent twice by two replicas, and it answers "what did it change, and when?".
--
-- Locks: none on existing tables.
-- Safe while the previous version runs: yes (creates only).

CREATE TABLE tenantd.rollouts (
    kind       text        PRIMARY KEY,
    stage      text        NOT NULL DEFAULT 'idle',
    since      timestamptz NOT NULL DEFAULT tenantd.clock(),
    started_at timestamptz,
    message    text,

    CONSTRAINT kind_is_known CHECK (kind IN ('rotation', 'repair', 'removal', 'census')),
    CONSTRAINT stage_is_known CHECK (stage IN ('idle', 'canary', 'rolling', 'halted')),
    CONSTRAINT a_running_rollout_has_a_start CHECK (stage = 'idle' OR started_at IS NOT NULL),
    CONSTRAINT a_halted_rollout_says_why CHECK (stage <> 'halted' OR message IS NOT NULL)
);

INSERT INTO tenantd.rollouts (kind) VALUES ('rotation'), ('repair'), ('removal'), ('census');

COMMENT ON TABLE  tenantd.rollouts IS 'One row per kind of change that is bounded for the fleet; locked by whoever starts some.';
COMMENT ON COLUMN tenantd.rollouts.kind IS 'rotation (by age), repair (of drift), removal, census (deletions of a plan).';
COMMENT ON COLUMN tenantd.rollouts.stage IS 'idle, canary, rolling, halted. Removals and the census know only idle.';
COMMENT ON COLUMN tenantd.rollouts.since IS 'Start of the stage.';
COMMENT ON COLUMN tenantd.rollouts.started_at IS 'When the present or last rollout began; its changes began then or later.';
COMMENT ON COLUMN tenantd.rollouts.message IS 'Why it halted, with what to do.';

CREATE TABLE tenantd.changes (
    change_id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind           text        NOT NULL REFERENCES tenantd.rollouts,
    tenant_id      uuid        NOT NULL,
    target_version integer,
    started_at     timestamptz NOT NULL DEFAULT tenantd.clock(),
    ended_at       timestamptz,
    outcome        text,

    CONSTRAINT outcome_is_known CHECK (outcome IN ('done', 'failed', 'skipped')),
    CONSTRAINT what_ended_has_an_outcome CHECK ((ended_at IS NULL) = (outcome IS NULL))
);

CREATE INDEX changes_by_start ON tenantd.changes (kind, started_at);
CREATE INDEX changes_open ON tenantd.changes (kind) WHERE ended_at IS NULL;

COMMENT ON TABLE  tenantd.changes IS 'What was let through by a budget, and what came of it. Pruned with the history.';
COMMENT ON COLUMN tenantd.changes.change_id IS 'Only for ordering.';
COMMENT ON COLUMN tenantd.changes.kind IS 'Which budget and which rollout it counts for.';
COMMENT ON COLUMN tenantd.changes.tenant_id IS 'For which tenant; no foreign key, because it outlives the row.';
COMMENT ON COLUMN tenantd.changes.target_version IS 'Of a rotation: the version that ends it.';
COMMENT ON COLUMN tenantd.changes.started_at IS 'When it was let through.';
COMMENT ON COLUMN tenantd.changes.ended_at IS 'When it was seen to have ended.';
COMMENT ON COLUMN tenantd.changes.outcome IS 'done, failed, or skipped (the tenant could not be asked: blocked, paused or removed).';

-- The slots of the schedule: whoever moves due_at on has the slot, and nobody else.
CREATE TABLE tenantd.schedules (
    job      text        PRIMARY KEY,
    due_at   timestamptz NOT NULL DEFAULT tenantd.clock(),
    taken_at timestamptz,
    holder   uuid
);

INSERT INTO tenantd.schedules (job) VALUES ('prune'), ('plan_audits'), ('roll_out');

COMMENT ON TABLE  tenantd.schedules IS 'What is done for the whole fleet from time to time, by whichever replica comes first.';
COMMENT ON COLUMN tenantd.schedules.job IS 'prune (history), plan_audits, roll_out (rotation by age, repairs).';
COMMENT ON COLUMN tenantd.schedules.due_at IS 'When it is to be done next.';
COMMENT ON COLUMN tenantd.schedules.taken_at IS 'When it was last taken.';
COMMENT ON COLUMN tenantd.schedules.holder IS 'By whom.';

CREATE TABLE tenantd.pauses (
    region       text        PRIMARY KEY,
    reason       text        NOT NULL,
    paused_at    timestamptz NOT NULL DEFAULT tenantd.clock(),
    paused_until timestamptz
);

COMMENT ON TABLE  tenantd.pauses IS 'Regions that an operator keeps the daemon away from.';
COMMENT ON COLUMN tenantd.pauses.region IS 'Name of the [[regions]] entry; * for the whole fleet.';
COMMENT ON COLUMN tenantd.pauses.reason IS 'Why, in the operator''s words.';
COMMENT ON COLUMN tenantd.pauses.paused_at IS 'Since when.';
COMMENT ON COLUMN tenantd.pauses.paused_until IS 'When it ends by itself.';

-- A moment of its own for every tenant, without a column to keep it in.
CREATE FUNCTION tenantd.spread(every interval, tenant_id uuid) RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN every * (0.9 + 0.1 * ((hashtextextended(tenant_id::text, 0) & 1048575) / 1048576.0));

COMMENT ON FUNCTION tenantd.spread(interval, uuid) IS 'The interval less up to a tenth of it, always the same for a tenant.';

-- Where the database was last seen to run: another place means that it may have come
-- out of a backup, and that Qlik knows more than it does.
ALTER TABLE tenantd.installation
    ADD COLUMN system_identifier text,
    ADD COLUMN database_id       text,
    ADD COLUMN timeline          integer,
    ADD COLUMN rejoined_at       timestamptz,
    ADD COLUMN deletions_held_at timestamptz,
    ADD COLUMN held_reason       text,
    ADD CONSTRAINT a_hold_has_a_reason CHECK ((deletions_held_at IS NULL) = (held_reason IS NULL));

COMMENT ON COLUMN tenantd.installation.system_identifier IS 'pg_control_system(): of the cluster we last ran on.';
COMMENT ON COLUMN tenantd.installation.database_id IS 'Name and oid of the database we last ran on.';
COMMENT ON COLUMN tenantd.installation.timeline IS 'pg_control_checkpoint(): of the cluster when we last started.';
COMMENT ON COLUMN tenantd.installation.rejoined_at IS 'When the database was last taken for a restored one.';
COMMENT ON COLUMN tenantd.installation.deletions_held_at IS 'Since when nothing is deleted at Qlik, until an operator agrees.';
COMMENT ON COLUMN tenantd.installation.held_reason IS 'Why deletions are held.';
