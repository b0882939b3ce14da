-- Who may do what in schema tenantd: four group roles, each with no more than it needs.
--
--   psql "$OWNER_URL" -v ON_ERROR_STOP=1 -f deploy/postgres/roles.sql
--
-- Run it as the role that ran `tenantd migrate` (it owns the tables) and may create
-- roles. Run it again after every upgrade: it may be run any number of times, ends in
-- the same rights, and takes away what an earlier version gave. It is one transaction,
-- so that nobody is ever without their rights in between.
--
-- The roles can't log in. Give them to login roles of your own:
--
--   CREATE ROLE onboarding LOGIN PASSWORD 'secret';  GRANT tenantd_pipeline TO onboarding;
--   CREATE ROLE webapp     LOGIN PASSWORD 'secret';  GRANT tenantd_consumer TO webapp;
--   CREATE ROLE qlikd      LOGIN PASSWORD 'secret';  GRANT tenantd_daemon   TO qlikd;
--   GRANT tenantd_operator TO alice;
--
-- What no grant can do: Postgres lets everybody who may connect LISTEN and NOTIFY on any
-- channel of the database. So tenantd_events tells nothing that tenantd.status does not,
-- and nobody should believe a notification without reading the view.

BEGIN;

-- Roles belong to the whole cluster, so they may be there already, or be made by
-- another database's run at this very moment.
DO $$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN SELECT * FROM (VALUES
        ('tenantd_pipeline', 'tenantd: inserts tenants and says what they should be'),
        ('tenantd_consumer', 'tenantd: reads sealed credentials'),
        ('tenantd_daemon',   'tenantd: the daemon and its commands'),
        ('tenantd_operator', 'tenantd: reads everything but sealed secrets')) AS r (name, purpose)
    LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted.name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted.name);
                EXECUTE format('COMMENT ON ROLE %I IS %L', wanted.name, wanted.purpose);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;  -- somebody else was faster
            END;
        END IF;
    END LOOP;
END
$$;

-- From nothing: what is not granted below, nobody but the owner has. Functions are
-- everybody's by default. (Taking rights from a table takes them from its columns too.)
REVOKE ALL ON SCHEMA tenantd
    FROM PUBLIC, tenantd_pipeline, tenantd_consumer, tenantd_daemon, tenantd_operator;
REVOKE ALL ON ALL TABLES IN SCHEMA tenantd
    FROM PUBLIC, tenantd_pipeline, tenantd_consumer, tenantd_daemon, tenantd_operator;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA tenantd
    FROM PUBLIC, tenantd_pipeline, tenantd_consumer, tenantd_daemon, tenantd_operator;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA tenantd
    FROM PUBLIC, tenantd_pipeline, tenantd_consumer, tenantd_daemon, tenantd_operator;

-- To name anything in it. Nobody gets CREATE: all DDL is the owner's.
GRANT USAGE ON SCHEMA tenantd TO tenantd_pipeline, tenantd_consumer, tenantd_daemon, tenantd_operator;

-- The views and the defaults of a new row ask what time it is; the index of what is due
-- calls the other. Postgres checks these rights of whoever runs the statement. Trigger
-- functions need no grant.
GRANT EXECUTE ON FUNCTION tenantd.clock() TO tenantd_pipeline, tenantd_daemon, tenantd_operator;
GRANT EXECUTE ON FUNCTION tenantd.rank_of(timestamptz, integer) TO tenantd_pipeline, tenantd_daemon;
-- By which the daemon spreads what comes of a tenant's age.
GRANT EXECUTE ON FUNCTION tenantd.spread(interval, uuid) TO tenantd_daemon;

-- How high a version may be asked for, and from where a key that was there before goes on:
-- asked by the triggers of an owner's writes.
GRANT EXECUTE ON FUNCTION
    tenantd.version_of(timestamptz), tenantd.version_after(integer), tenantd.check_version(text, integer, integer), tenantd.next_version_of(text)
    TO tenantd_pipeline, tenantd_daemon;
-- Whether a row is still to be looked at since a rejoin: asked by the triggers of an owner's writes. Runs as its
-- owner, and tells no more than that.
GRANT EXECUTE ON FUNCTION tenantd.is_unlooked(integer, bigint, text) TO tenantd_pipeline, tenantd_daemon;
-- Where the database runs, and whether it was recognised there: every claim asks.
GRANT EXECUTE ON FUNCTION tenantd.place(), tenantd.assert_place(), tenantd.assert_recognised(), tenantd.epoch_of(timestamptz) TO tenantd_daemon;

-- Whether somebody works on a row, and whether a lease goes on beside its row.
GRANT EXECUTE ON FUNCTION tenantd.is_leased(tenantd.tenants), tenantd.is_lease_extended(uuid, bigint)
    TO tenantd_daemon, tenantd_operator;

-- What a rollout leaves out.
GRANT EXECUTE ON FUNCTION tenantd.is_region_stopped(text), tenantd.stopped_regions() TO tenantd_daemon;
-- Whom a region is probed with.
GRANT EXECUTE ON FUNCTION tenantd.may_be_probed(tenantd.tenants) TO tenantd_daemon;
-- The index of secrets by age calls it.
GRANT EXECUTE ON FUNCTION tenantd.slot_of(uuid) TO tenantd_daemon;

-- How many removals an hour may have where nobody said.
GRANT EXECUTE ON FUNCTION tenantd.default_removals() TO tenantd_daemon;

-- When the next secret of a tenant retires.
GRANT EXECUTE ON FUNCTION tenantd.next_retirement(uuid, timestamptz, text) TO tenantd_daemon;

-- tenantd_pipeline: says what should be, and reads how it stands. ------------------------

-- Only the owner's columns: a row cannot be inserted as ready, or with an id of one's choice.
GRANT INSERT (external_id, host, profile, client_name, redirect_uris, desired_state, desired_version, priority,
              not_before, labels)
    ON tenantd.tenants TO tenantd_pipeline;
-- The same but external_id, which never changes. Nothing here leases or un-parks a row,
-- but for a corrected host or profile.
GRANT UPDATE (host, profile, client_name, redirect_uris, desired_state, desired_version, priority,
              not_before, labels)
    ON tenantd.tenants TO tenantd_pipeline;
-- A trigger lets go only what is removed and was looked at a last time; for all others set
-- desired_state = 'absent'. (Whoever may DELETE may also LOCK TABLE, and then holds up
-- everybody until its transaction ends: set idle_in_transaction_session_timeout for its login.)
GRANT DELETE ON tenantd.tenants TO tenantd_pipeline;
-- For WHERE, for desired_version + 1, for ON CONFLICT (external_id), and for what drivers and
-- mappers do by themselves: RETURNING *, the primary key of a new row, reflection. The table
-- holds no secret: sealed or not, those are in tenantd.secrets.
GRANT SELECT ON tenantd.tenants, tenantd.status TO tenantd_pipeline;

-- tenantd_consumer: opens credentials. ---------------------------------------------------

-- The view alone: proven credentials of tenants that should be there, still sealed.
GRANT SELECT ON tenantd.credentials TO tenantd_consumer;
-- Runs as its owner and writes one column of one row.
GRANT EXECUTE ON FUNCTION tenantd.acknowledge(text, integer) TO tenantd_consumer;

-- tenantd_daemon: `tenantd run` and the other commands, but for `tenantd migrate`. --------

-- Who we are to Qlik, and whether the schema is new enough. Where the database runs is
-- noted when it is recognised, because another place means that it may have come out of a
-- backup; pg_control_system() and pg_walfile_name(), which tell, are everybody's by
-- default. Never the installation's id: clients bear it.
GRANT SELECT ON tenantd.installation, tenantd._sqlx_migrations TO tenantd_daemon;
GRANT UPDATE (system_identifier, database_id, timeline, rejoined_at, deletions_held_at, changes_held_at, held_reason,
              version_floor, rejoin_epoch)
    ON tenantd.installation TO tenantd_daemon;
-- The row is the state machine: the daemon writes its own columns.
GRANT SELECT ON tenantd.tenants TO tenantd_daemon;
GRANT UPDATE (phase, client_id, unanswered, settles_at, mint_snapshot, is_adopted, is_minted_afresh, current_version,
              last_version, served_version, aged_version, acknowledged_version, left_clients, must_look, version_gap, applied_wants, edited_at, retire_at, audit_at,
              audited_at, drift, drifted_at,
              repair_scope, removal_admitted_at, generation, backoff_at, spent, rested_at, rests_for, paused_at, paused_until, pause_reason,
              region, due_at, recheck_at, wait_reason, parked_reason, message, reason_since, failures, progress_at,
              proof_refused_at, client_missing_at, credential_refused_at, awaits_right, right_refused_at,
              lease_holder, lease_epoch, lease_step, leased_at, lease_expires_at, rejoin_epoch, ready_at, updated_at)
    ON tenantd.tenants TO tenantd_daemon;
-- And two of the owner's: `tenantd tenant rotate`, `remove` and `forget` write what a pipeline
-- would. The daemon writes neither.
GRANT UPDATE (desired_version, desired_state) ON tenantd.tenants TO tenantd_daemon;
-- For `tenantd tenant add` and `import`, which insert as a pipeline does.
GRANT INSERT (external_id, host, profile, client_name, redirect_uris, desired_state, priority, not_before, labels)
    ON tenantd.tenants TO tenantd_daemon;
-- Sealed text is written once and never changed; what is discarded is deleted.
GRANT SELECT, DELETE ON tenantd.secrets TO tenantd_daemon;
GRANT INSERT (tenant_id, client_id, hint, sealed, key_id) ON tenantd.secrets TO tenantd_daemon;
GRANT UPDATE (hint, standing, version, proven_at, retire_at) ON tenantd.secrets TO tenantd_daemon;
-- History is appended to and pruned by age, never rewritten: no UPDATE.
GRANT SELECT, DELETE ON tenantd.attempts TO tenantd_daemon;
GRANT INSERT (tenant_id, phase, effect, outcome, http_status, error_code, trace_id, message, started_at, duration_ms,
              holder)
    ON tenantd.attempts TO tenantd_daemon;
-- The breakers.
GRANT SELECT ON tenantd.regions TO tenantd_daemon;
GRANT INSERT (region) ON tenantd.regions TO tenantd_daemon;
GRANT UPDATE (token_at, opened_at, probe_at, probed_tenant_id) ON tenantd.regions TO tenantd_daemon;
-- What a region's OAuth client was allowed or refused.
GRANT SELECT ON tenantd.rights TO tenantd_daemon;
GRANT INSERT (region, effect, granted_at, missing_since, answer, ask_at) ON tenantd.rights TO tenantd_daemon;
GRANT UPDATE (granted_at, missing_since, answer, ask_at, asked_tenant_id) ON tenantd.rights TO tenantd_daemon;
-- The rollouts: their rows are there from the start, and whoever lets changes through locks one.
GRANT SELECT ON tenantd.rollouts TO tenantd_daemon;
GRANT UPDATE (stage, since, started_at, judged_from, message) ON tenantd.rollouts TO tenantd_daemon;
-- What a budget let through, and what came of it; pruned with the history. When and for
-- whom it was is never rewritten, or an hour's budget could be spent twice.
GRANT SELECT, DELETE ON tenantd.changes TO tenantd_daemon;
GRANT INSERT (kind, tenant_id, client_id, target_version, started_at, ended_at, outcome) ON tenantd.changes TO tenantd_daemon;
GRANT UPDATE (ended_at, outcome) ON tenantd.changes TO tenantd_daemon;
-- What is done for the whole fleet from time to time: whoever moves the due time does it.
-- Its rows are there from the start.
GRANT SELECT ON tenantd.schedules TO tenantd_daemon;
GRANT UPDATE (due_at, taken_at, holder) ON tenantd.schedules TO tenantd_daemon;
-- How many tenants there are: triggers append what changes, with their owner's rights.
GRANT SELECT ON tenantd.counts, tenantd.totals TO tenantd_daemon;
GRANT UPDATE (tenants, ready, under_way, removed) ON tenantd.counts TO tenantd_daemon;
GRANT SELECT, DELETE ON tenantd.count_deltas TO tenantd_daemon;
-- Leases on rows that somebody has locked.
GRANT SELECT, INSERT, UPDATE, DELETE ON tenantd.lease_extensions TO tenantd_daemon;
-- Who is to be judged by the objective: triggers add them, with their owner's rights.
-- (Without UPDATE of some column nobody may ask for what is not locked.)
GRANT SELECT, DELETE, UPDATE (since) ON tenantd.awaited TO tenantd_daemon;
-- How far a walk over all tenants came.
GRANT SELECT, INSERT, UPDATE ON tenantd.passes TO tenantd_daemon;
-- What was done over HTTP, by the key of who asked: kept for a day, and never for another request.
GRANT SELECT, DELETE ON tenantd.idempotency_keys TO tenantd_daemon;
GRANT INSERT (idempotency_key, request, answer) ON tenantd.idempotency_keys TO tenantd_daemon;
GRANT UPDATE (answer) ON tenantd.idempotency_keys TO tenantd_daemon;
-- `tenantd fleet pause` and `resume`.
GRANT SELECT, DELETE ON tenantd.pauses TO tenantd_daemon;
GRANT INSERT (region, reason, paused_at, paused_until) ON tenantd.pauses TO tenantd_daemon;
GRANT UPDATE (reason, paused_at, paused_until) ON tenantd.pauses TO tenantd_daemon;
-- For the commands that show what the contract shows.
GRANT SELECT ON tenantd.status, tenantd.credentials TO tenantd_daemon;

-- tenantd_operator: sees why, changes nothing. -------------------------------------------

GRANT SELECT ON tenantd.tenants, tenantd.status, tenantd.attempts, tenantd.regions, tenantd.rights, tenantd.rollouts,
                tenantd.changes, tenantd.schedules, tenantd.pauses, tenantd.installation, tenantd.former_tenants,
                tenantd.counts, tenantd.count_deltas, tenantd.totals, tenantd.awaited, tenantd.passes,
                tenantd.lease_extensions, tenantd.idempotency_keys, tenantd._sqlx_migrations
    TO tenantd_operator;
-- Everything about secrets but the sealed text; so the view tenantd.credentials neither.
GRANT SELECT (secret_id, tenant_id, client_id, hint, standing, version, key_id, created_at, proven_at, retire_at)
    ON tenantd.secrets TO tenantd_operator;

COMMIT;
