-- The schema of tenantd as it stands: what all migrations add up to. For reading.
--
-- `make schema` writes it from the catalogs of a migrated database, and a test
-- (tests/it/schema.rs) fails when it is not current. The schema is changed by a
-- migration, never here; why anything is as it is stands in the migrations.
--
-- Left out: rights (deploy/postgres/roles.sql), the rows that migrations insert, and
-- the migrator's own table. The words are those of docs/glossary.md.

CREATE SCHEMA tenantd;

-- Functions of their arguments alone --------------------------------------------------------

-- The instant of every lease and due time. Tests replace it by one they can set.
CREATE FUNCTION tenantd.clock()
 RETURNS timestamptz
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN statement_timestamp();

-- The order of claims: due_at less one minute per point of priority, so that nothing starves.
CREATE FUNCTION tenantd.rank_of(due_at timestamptz, priority integer)
 RETURNS timestamptz
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN timezone('UTC', (timezone('UTC', due_at) - make_interval(mins => priority)));

-- The interval less up to a tenth of it, always the same for a tenant.
CREATE FUNCTION tenantd.spread(every interval, tenant_id uuid)
 RETURNS interval
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN (every * ((0.9 + (0.1 * (((hashtextextended((tenant_id)::text, (0)::bigint) & (1048575)::bigint))::numeric / 1048576.0))))::double precision);

-- The highest version that may be given at this instant: the seconds since 2026 began.
CREATE FUNCTION tenantd.version_of(at timestamptz)
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN (GREATEST((1)::numeric, LEAST((EXTRACT(epoch FROM at) - (1767225600)::numeric), (2147000000)::numeric)))::integer;

-- Which of 256 slots the tenant's share of tenantd.spread falls into: 0 for the earliest.
CREATE FUNCTION tenantd.slot_of(tenant_id uuid)
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN (((hashtextextended((tenant_id)::text, (0)::bigint) & (1048575)::bigint) >> 12))::integer;

-- The fencing epoch of a claim that must not be one that the database forgot: microseconds since 2026.
CREATE FUNCTION tenantd.epoch_of(at timestamptz)
 RETURNS bigint
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN ((EXTRACT(epoch FROM (at - '2026-01-01 00:00:00+00'::timestamptz)) * (1000000)::numeric))::bigint;

-- Tables ------------------------------------------------------------------------------------

-- Who we are to Qlik: one row, made once.
CREATE TABLE tenantd.installation (
    only_row          boolean NOT NULL DEFAULT true,                       -- Always true: keeps the table at one row.
    installation_id   uuid NOT NULL DEFAULT gen_random_uuid(),             -- Part of the mark in the description of every client we make.
    created_at        timestamptz NOT NULL DEFAULT statement_timestamp(),  -- When the schema was made.
    system_identifier text,                                                -- pg_control_system(): of the cluster we last ran on.
    database_id       text,                                                -- Name and oid of the database we last ran on.
    timeline          integer,                                             -- On which the server wrote when it was last recognised.
    rejoined_at       timestamptz,                                         -- When the database was last taken for a restored one.
    deletions_held_at timestamptz,                                         -- Since when nothing is deleted at Qlik, until an operator agrees.
    held_reason       text,                                                -- Why deletions are held.
    changes_held_at   timestamptz,                                         -- Since when nothing at all is changed at Qlik, because this may be a copy of the real database.
    version_floor     integer NOT NULL DEFAULT 1,                          -- No secret gets a lower version: since a restore, the seconds from 2026 to it.
    rejoin_epoch      integer NOT NULL DEFAULT 0,                          -- Counts the times that the database was taken for a restored one. A row with a lower one is not believed.
    CONSTRAINT installation_pkey PRIMARY KEY (only_row),
    CONSTRAINT installation_has_one_row CHECK (only_row),
    CONSTRAINT a_hold_has_a_reason CHECK ((deletions_held_at IS NULL) = (held_reason IS NULL)),
    CONSTRAINT held_changes_hold_deletions CHECK (changes_held_at IS NULL OR deletions_held_at IS NOT NULL),
    CONSTRAINT version_floor_is_positive CHECK (version_floor >= 1)
);

-- One row per Qlik Cloud tenant that needs a credential. INSERT external_id and host; tenantd does the rest.
CREATE TABLE tenantd.tenants (
    tenant_id             uuid NOT NULL DEFAULT gen_random_uuid(),            -- Made at insert; part of the mark on the tenant's client.
    external_id           text NOT NULL,                                      -- The pipeline's own key, 1 to 200 bytes. Set at insert, never changed.
    host                  text NOT NULL,                                      -- The tenant's host name, such as acme42.us.qlikcloud.com. May change only before anything was sent.
    profile               text NOT NULL DEFAULT 'default',                    -- Which [profiles.NAME] entry of the configuration the client is made from.
    client_name           text,                                               -- Overrides the profile's client name, 1 to 512 characters.
    redirect_uris         text[],                                             -- Overrides the profile's redirect URIs: at most 5 different ones, https, 256 characters each.
    desired_state         text NOT NULL DEFAULT 'present',                    -- present: the tenant should have a credential. absent: it should not.
    desired_version       integer NOT NULL DEFAULT 1,                         -- Raise it to rotate the secret; a raise below the next number is lifted to it. Lowering is ignored.
    priority              integer NOT NULL DEFAULT 0,                         -- -100 to 100: each point is worth a minute of waiting.
    not_before            timestamptz,                                        -- Nothing is sent before this instant.
    labels                jsonb NOT NULL DEFAULT '{}'::jsonb,                 -- A JSON object for the pipeline's own use, at most 16 KiB and 64 levels, shown in tenantd.status.
    phase                 text NOT NULL DEFAULT 'pending',                    -- How far the tenant is: pending, creating, created, trusted, ready; rotating, proving; removing, removed.
    client_id             text,                                               -- The committed OAuth client. A row that has one never creates again.
    unanswered            text,                                               -- A create or mint that may have been sent and whose outcome is not recorded.
    settles_at            timestamptz,                                        -- Until then the unanswered request may still land; null while it may be in flight under the lease.
    mint_snapshot         text[],                                             -- The secret hints visible when the first intent to mint of this series was recorded.
    is_adopted            boolean NOT NULL DEFAULT false,                     -- The client was found after a lost create: its creation-time secrets were never known and are to be deleted.
    is_minted_afresh      boolean NOT NULL DEFAULT false,                     -- A further secret was minted because its predecessor got no token.
    current_version       integer,                                            -- Version of the proven current credential; null before the first.
    acknowledged_version  integer,                                            -- The version every consumer has switched to, as told by tenantd.acknowledge.
    region                text NOT NULL DEFAULT '',                           -- The [[regions]] entry that allows the host; empty until the first claim sorts the row.
    due_at                timestamptz DEFAULT tenantd.clock(),                -- When somebody should go on; null when nothing is to be done by itself.
    recheck_at            timestamptz,                                        -- When to look for a second client of ours, because a create was unknown or taken over.
    wait_reason           text,                                               -- Why the row rests until due_at.
    parked_reason         text,                                               -- Why the row waits for somebody to act.
    message               text,                                               -- The reason in words, with what to do. Never holds anything of Qlik's but status, error code and trace id.
    reason_since          timestamptz NOT NULL DEFAULT tenantd.clock(),       -- Start of the present phase and stored reason.
    failures              integer NOT NULL DEFAULT 0,                         -- Failures since the last progress; sets the backoff.
    progress_at           timestamptz NOT NULL DEFAULT tenantd.clock(),       -- Last progress, moved forward by every wait that is not held against the row.
    proof_refused_at      timestamptz,                                        -- When the new credential was first refused.
    client_missing_at     timestamptz,                                        -- When our client was first not to be seen.
    credential_refused_at timestamptz,                                        -- When the region's credential was last refused here; feeds the breaker.
    lease_holder          uuid,                                               -- The daemon or command that works on the row; drawn anew at its every start.
    lease_epoch           bigint NOT NULL DEFAULT 0,                          -- The fencing epoch: counts the leases ever given.
    lease_step            integer NOT NULL DEFAULT 0,                         -- Counts the commits under this lease, so that a repeated commit is recognised.
    leased_at             timestamptz,                                        -- When the lease was given.
    lease_expires_at      timestamptz,                                        -- After that anybody may claim the row.
    created_at            timestamptz NOT NULL DEFAULT tenantd.clock(),       -- When the row was inserted.
    ready_at              timestamptz,                                        -- When the tenant was first ready in this life.
    updated_at            timestamptz NOT NULL DEFAULT tenantd.clock(),       -- When the row was last written.
    must_look             boolean NOT NULL DEFAULT false,                     -- What the row says of Qlik may be out of date (a new life, or a restored backup): look before acting on it.
    version_gap           integer NOT NULL DEFAULT 0,                         -- How many numbers the next version skips: after a restore, those that consumers may have seen and the backup forgot.
    edited_at             timestamptz,                                        -- When the owner last changed profile, client_name or redirect_uris since the client was last known to follow. Tells of an edit where applied_wants is null, and to the version before.
    retire_at             timestamptz,                                        -- When the next previous secret is to be deleted.
    audit_at              timestamptz,                                        -- When the client is to be compared with Qlik; null until planned, or when audits are off.
    audited_at            timestamptz,                                        -- When that was last done.
    drift                 text[] NOT NULL DEFAULT '{}'::text[],               -- How the client differed at the last audit: name, consent, secret_missing, and so on.
    drifted_at            timestamptz,                                        -- Since when it is known to differ.
    repair_scope          text,                                               -- What of its drift may be mended now: consent, or all. Null until a budget or an operator lets a repair through.
    removal_admitted_at   timestamptz,                                        -- When the removal was let through by the budget; of a removed row, when it was removed at the latest.
    paused_at             timestamptz,                                        -- Since when an operator keeps the daemon away.
    paused_until          timestamptz,                                        -- When the pause ends by itself.
    pause_reason          text,                                               -- Why, in the operator's words.
    left_clients          text[] NOT NULL DEFAULT '{}'::text[],               -- Clients of this life that somebody else deleted: their tokens and bot users go with the removal.
    awaits_right          text,                                               -- The effect to which the region's right was missing when it was last needed here.
    right_refused_at      timestamptz,                                        -- Since when that right is refused here; null where it was not asked for.
    claim_rank            timestamptz NOT NULL DEFAULT '2000-01-01 00:00:00+00'::timestamptz,  -- Always the same: read by the version before alone. The order of claims is tenantd.rank_of(due_at, priority).
    turned_at             timestamptz NOT NULL DEFAULT tenantd.clock(),       -- When desired_state last changed. Removals are let through in this order.
    generation            bigint NOT NULL DEFAULT 0,                          -- Counts what owner, operators and schedules have said of the tenant. What was decided on another count is decided anew.
    backoff_at            timestamptz,                                        -- Until then it waits after what Qlik answered, whoever wakes it.
    is_under_way          boolean NOT NULL DEFAULT true,                      -- Neither ready and desired present nor removed for good, or parked. Kept by a trigger.
    spent                 bigint[] NOT NULL DEFAULT '{0,0,0,0,0}'::bigint[],  -- Microseconds from the insert to the first ready that went to queue, limit, remote, backoff and human; what is left of ready_at - created_at is our own.
    rested_at             timestamptz DEFAULT tenantd.clock(),                -- Since when nobody works on it; NULL while somebody does.
    rests_for             text,                                               -- Whose the time is until it is due: queue, limit, remote, backoff or human; NULL for its not_before. From then on it is the queue's.
    last_version          integer,                                            -- The highest version that a secret of this row was ever given, in whatever life. Null before the first, and where the version before gave it: then current_version.
    served_version        integer,                                            -- The desired_version that was served: a higher one asks for a rotation. Null where the version before served it: then all up to current_version.
    aged_version          integer,                                            -- The version whose secret is to be renewed for its age, since a rollout let it through. Of any other than the current one it says nothing.
    applied_wants         bytea,                                              -- Digest of profile, client_name and redirect_uris as they were last applied to the client, or found applied by an audit: another one is an edit. Null where none is known: then edited_at tells. Unknown too once an edit that was taken back is committed: the next one that is taken back before a commit costs its call.
    rejoin_epoch          integer NOT NULL DEFAULT COALESCE(NULLIF(current_setting('tenantd.rejoin_epoch', true), '')::integer, 0),  -- The rejoin since which the row is looked at before it is acted on. Below that of the installation nobody works on it, unless nobody ever has.
    CONSTRAINT tenants_pkey PRIMARY KEY (tenant_id),
    CONSTRAINT external_id_is_unique UNIQUE (external_id),
    CONSTRAINT host_is_unique UNIQUE (host),
    CONSTRAINT only_the_unanswered_settles CHECK (settles_at IS NULL OR unanswered IS NOT NULL),
    CONSTRAINT current_version_is_positive CHECK (current_version >= 1),
    CONSTRAINT acknowledged_version_is_not_ahead CHECK (acknowledged_version <= current_version),
    CONSTRAINT reasons_exclude_each_other CHECK (wait_reason IS NULL OR parked_reason IS NULL),
    CONSTRAINT reasons_are_pascal_case
        CHECK (wait_reason ~ '^[A-Z][A-Za-z]+$' AND parked_reason ~ '^[A-Z][A-Za-z]+$'),
    CONSTRAINT parked_says_what_to_do CHECK (parked_reason IS NULL OR message IS NOT NULL),
    CONSTRAINT failures_are_counted_from_0 CHECK (failures >= 0),
    CONSTRAINT lease_is_whole
        CHECK ((lease_holder IS NULL) = (leased_at IS NULL) AND (lease_holder IS NULL) = (lease_expires_at IS NULL)),
    CONSTRAINT lease_is_counted_from_0 CHECK (lease_epoch >= 0 AND lease_step >= 0),
    CONSTRAINT phase_is_known
        CHECK (phase IN ('pending', 'creating', 'created', 'trusted', 'ready', 'rotating', 'proving', 'removing', 'removed')),
    CONSTRAINT client_is_known_once_created CHECK (
        CASE
            WHEN phase IN ('pending', 'removed') THEN client_id IS NULL
            WHEN phase IN ('creating', 'removing') THEN true
            ELSE client_id IS NOT NULL
        END),
    CONSTRAINT unanswered_fits_the_phase
        CHECK (unanswered IS NULL
               OR unanswered = 'create' AND (phase IN ('creating', 'removing')) AND client_id IS NULL
               OR unanswered = 'mint' AND (phase IN ('creating', 'rotating')) AND client_id IS NOT NULL AND mint_snapshot IS NOT NULL),
    CONSTRAINT ready_has_a_proven_version
        CHECK ((phase NOT IN ('ready', 'rotating', 'proving'))
               OR current_version IS NOT NULL AND ready_at IS NOT NULL),
    CONSTRAINT removed_keeps_nothing CHECK (phase <> 'removed' OR current_version IS NULL AND ready_at IS NULL),
    CONSTRAINT repair_scope_is_known CHECK (repair_scope IN ('consent', 'all')),
    CONSTRAINT drift_has_a_beginning CHECK ((drift = '{}'::text[]) = (drifted_at IS NULL)),
    CONSTRAINT a_pause_has_a_reason
        CHECK ((paused_at IS NULL) = (pause_reason IS NULL) AND (paused_until IS NULL
               OR paused_at IS NOT NULL)),
    CONSTRAINT nothing_waits_for_ever_in_silence
        CHECK (due_at IS NOT NULL
               OR parked_reason IS NOT NULL
               OR paused_at IS NOT NULL
               OR phase = 'removed'
               OR phase = 'ready' AND desired_state = 'present'
               OR desired_state = 'absent' AND removal_admitted_at IS NULL AND phase <> 'removing')
) WITH (fillfactor=70);
CREATE INDEX tenants_credential_refused ON tenantd.tenants USING btree (region, credential_refused_at) WHERE credential_refused_at IS NOT NULL;
CREATE INDEX tenants_awaits_right ON tenantd.tenants USING btree (region, awaits_right) WHERE awaits_right IS NOT NULL;
CREATE INDEX tenants_awaiting_removal ON tenantd.tenants USING btree (turned_at) WHERE desired_state = 'absent' AND removal_admitted_at IS NULL;
CREATE INDEX tenants_under_way ON tenantd.tenants USING btree (tenant_id) WHERE is_under_way;
CREATE INDEX tenants_parked ON tenantd.tenants USING btree (external_id) INCLUDE (parked_reason) WHERE parked_reason IS NOT NULL;
CREATE INDEX tenants_absent ON tenantd.tenants USING btree (external_id) WHERE desired_state = 'absent';
CREATE INDEX tenants_drifted ON tenantd.tenants USING btree (drifted_at) WHERE drift <> '{}'::text[];
CREATE INDEX tenants_unplanned ON tenantd.tenants USING btree (tenant_id) WHERE audit_at IS NULL AND ready_at IS NOT NULL;
CREATE INDEX tenants_due ON tenantd.tenants USING btree (region, tenantd.rank_of(due_at, priority), due_at, rejoin_epoch) WHERE due_at IS NOT NULL;
CREATE INDEX tenants_due_late ON tenantd.tenants USING btree (due_at) WHERE priority < 0 AND due_at IS NOT NULL;
CREATE INDEX tenants_paused ON tenantd.tenants USING btree (paused_at) WHERE is_under_way AND paused_at IS NOT NULL AND paused_until IS NULL;

-- Client secrets, sealed as compact JWE (RFC 7516). Read them through tenantd.credentials.
CREATE TABLE tenantd.secrets (
    secret_id  bigint NOT NULL GENERATED ALWAYS AS IDENTITY,  -- Only for ordering.
    tenant_id  uuid NOT NULL,                                 -- Whose it is.
    client_id  text NOT NULL,                                 -- The OAuth client it belongs to.
    hint       text,                                          -- By which Qlik shows and deletes it; null when its answer gave none.
    standing   text NOT NULL DEFAULT 'unproven',              -- unproven, current, previous, or discarded (to be deleted at Qlik).
    version    integer,                                       -- Given when proven; rises with every rotation, numbers may skip.
    sealed     text NOT NULL,                                 -- The JWE. Its plaintext names tenant, host and client, so that a moved one is caught. The same plaintext may be sealed anew under another key.
    key_id     text NOT NULL,                                 -- The kid of the key that sealed it; changes together with sealed.
    created_at timestamptz NOT NULL DEFAULT tenantd.clock(),  -- When it was stored; it stays when the secret is sealed anew.
    proven_at  timestamptz,                                   -- When it got its first token.
    retire_at  timestamptz,                                   -- When a previous secret is to be deleted.
    CONSTRAINT secrets_pkey PRIMARY KEY (secret_id),
    CONSTRAINT version_is_unique UNIQUE (tenant_id, version),
    CONSTRAINT one_current_one_unproven EXCLUDE USING btree (tenant_id WITH =, standing WITH =) WHERE (standing IN ('current', 'unproven')) DEFERRABLE,
    CONSTRAINT secrets_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenantd.tenants(tenant_id),
    CONSTRAINT standing_is_known CHECK (standing IN ('unproven', 'current', 'previous', 'discarded')),
    CONSTRAINT the_proven_has_a_version
        CHECK ((standing IN ('current', 'previous')) = (version IS NOT NULL AND proven_at IS NOT NULL)),
    CONSTRAINT version_is_positive CHECK (version >= 1),
    CONSTRAINT sealed_is_a_compact_jwe CHECK (sealed ~ '^[A-Za-z0-9_-]+([.][A-Za-z0-9_-]*){4}$')
);
CREATE INDEX secrets_by_age ON tenantd.secrets USING btree (tenantd.slot_of(tenant_id), proven_at) WHERE standing = 'current';

-- What was tried, when, and what came of it.
CREATE TABLE tenantd.attempts (
    tenant_id   uuid NOT NULL,                                 -- For which tenant.
    attempt_id  bigint NOT NULL GENERATED ALWAYS AS IDENTITY,  -- Orders the attempts of a tenant.
    phase       text NOT NULL,                                 -- The phase after the attempt.
    effect      text NOT NULL,                                 -- Of the daemon: create, look, compare, mint, tidy, trust, prove, recheck, dedupe, audit, amend, delete, revoke, delete_bot. Of commands: reveal, adopt, drop_secret, revoke, census, rollback, recreate, forget. Asked for over HTTP, or by commands with a filter: retry, pause, resume, rotate, remove.
    outcome     text NOT NULL,                                 -- done, or the retry class of the failure.
    http_status smallint,                                      -- Status of Qlik's answer, where there was one.
    error_code  text,                                          -- The first errors[].code of Qlik's answer.
    trace_id    text,                                          -- Qlik's trace id, to quote to Qlik's support.
    message     text,                                          -- What happened, in our words.
    started_at  timestamptz NOT NULL,                          -- When it began.
    duration_ms integer NOT NULL,                              -- How long it took, in milliseconds.
    holder      uuid NOT NULL,                                 -- Who did it.
    CONSTRAINT attempts_pkey PRIMARY KEY (tenant_id, attempt_id)
);
CREATE INDEX attempts_by_start ON tenantd.attempts USING btree (started_at);

-- One row per [[regions]] entry that was ever used, with its breaker.
CREATE TABLE tenantd.regions (
    region           text NOT NULL,  -- Its name.
    token_at         timestamptz,    -- When a tenant of the region last gave us a token, give or take a heartbeat.
    opened_at        timestamptz,    -- Since when the breaker is open; null while it is closed.
    probe_at         timestamptz,    -- When the next tenant is to be probed.
    probed_tenant_id uuid,           -- The tenant probed last, so that the next is another.
    CONSTRAINT regions_pkey PRIMARY KEY (region),
    CONSTRAINT an_open_breaker_probes CHECK ((opened_at IS NULL) = (probe_at IS NULL))
);

-- One row per kind of change that is bounded for the fleet; locked by whoever starts some.
CREATE TABLE tenantd.rollouts (
    kind        text NOT NULL,                                 -- rotation (by age), repair (of drift), removal, census (deletions of a plan).
    stage       text NOT NULL DEFAULT 'idle',                  -- idle, canary, rolling, halted. Removals and the census know only idle.
    since       timestamptz NOT NULL DEFAULT tenantd.clock(),  -- Start of the stage.
    started_at  timestamptz,                                   -- When the present or last rollout began; its changes began then or later.
    message     text,                                          -- Why it halted, with what to do.
    judged_from timestamptz,                                   -- Changes that began earlier are not judged any more: since then an operator resumed it.
    CONSTRAINT rollouts_pkey PRIMARY KEY (kind),
    CONSTRAINT kind_is_known CHECK (kind IN ('rotation', 'repair', 'removal', 'census')),
    CONSTRAINT stage_is_known CHECK (stage IN ('idle', 'canary', 'rolling', 'halted')),
    CONSTRAINT a_running_rollout_has_a_start CHECK (stage = 'idle' OR started_at IS NOT NULL),
    CONSTRAINT a_halted_rollout_says_why CHECK (stage <> 'halted' OR message IS NOT NULL)
);

-- What was let through by a budget, and what came of it. Pruned with the history.
CREATE TABLE tenantd.changes (
    change_id      bigint NOT NULL GENERATED ALWAYS AS IDENTITY,  -- Only for ordering.
    kind           text NOT NULL,                                 -- Which budget and which rollout it counts for.
    tenant_id      uuid NOT NULL,                                 -- For which tenant; no foreign key, because it outlives the row.
    target_version integer,                                       -- Of a rotation: the version that ends it.
    started_at     timestamptz NOT NULL DEFAULT tenantd.clock(),  -- When it was let through.
    ended_at       timestamptz,                                   -- When it was seen to have ended.
    outcome        text,                                          -- done, failed, or skipped (the tenant could not be asked, or failed for a reason of its own).
    client_id      text,                                          -- Of the deletion of a duplicate: which client.
    CONSTRAINT changes_pkey PRIMARY KEY (change_id),
    CONSTRAINT changes_kind_fkey FOREIGN KEY (kind) REFERENCES tenantd.rollouts(kind),
    CONSTRAINT outcome_is_known CHECK (outcome IN ('done', 'failed', 'skipped')),
    CONSTRAINT what_ended_has_an_outcome CHECK ((ended_at IS NULL) = (outcome IS NULL))
);
CREATE INDEX changes_by_start ON tenantd.changes USING btree (kind, started_at);
CREATE INDEX changes_open ON tenantd.changes USING btree (kind) WHERE ended_at IS NULL;

-- What is done for the whole fleet from time to time, by whichever replica comes first.
CREATE TABLE tenantd.schedules (
    job      text NOT NULL,                                 -- prune (history), plan_audits, roll_out (rotation by age, repairs), fold_counts, judge_objective, distrust (the rows, after a rejoin).
    due_at   timestamptz NOT NULL DEFAULT tenantd.clock(),  -- When it is to be done next.
    taken_at timestamptz,                                   -- When it was last taken.
    holder   uuid,                                          -- By whom.
    CONSTRAINT schedules_pkey PRIMARY KEY (job)
);

-- Regions that an operator keeps the daemon away from.
CREATE TABLE tenantd.pauses (
    region       text NOT NULL,                                 -- Name of the [[regions]] entry; * for the whole fleet.
    reason       text NOT NULL,                                 -- Why, in the operator's words.
    paused_at    timestamptz NOT NULL DEFAULT tenantd.clock(),  -- Since when.
    paused_until timestamptz,                                   -- When it ends by itself.
    CONSTRAINT pauses_pkey PRIMARY KEY (region)
);

-- Keys whose rows were deleted, so that a row inserted anew gives no version twice.
CREATE TABLE tenantd.former_tenants (
    external_id  text NOT NULL,                                 -- The pipeline's own key.
    next_version integer NOT NULL,                              -- The lowest version that no secret of this key ever had.
    deleted_at   timestamptz NOT NULL DEFAULT tenantd.clock(),  -- When its last row was deleted.
    CONSTRAINT former_tenants_pkey PRIMARY KEY (external_id),
    CONSTRAINT next_version_is_positive CHECK (next_version >= 1)
);

-- What the OAuth client of a region was allowed or refused, by effect.
CREATE TABLE tenantd.rights (
    region          text NOT NULL,  -- The [[regions]] entry.
    effect          text NOT NULL,  -- The effect that the right permits, as in tenantd.attempts.
    granted_at      timestamptz,    -- When it was last done on a tenant of the region, give or take a few seconds.
    missing_since   timestamptz,    -- Since when the region is known to lack the right; null while it is not.
    answer          text,           -- What the refusal said that made it known; our words, with status and code.
    ask_at          timestamptz,    -- When the next tenant is to ask for it.
    asked_tenant_id uuid,           -- The tenant whose turn it is to ask.
    CONSTRAINT rights_pkey PRIMARY KEY (region, effect),
    CONSTRAINT a_missing_right_is_asked_for
        CHECK ((missing_since IS NULL) = (ask_at IS NULL) AND (missing_since IS NULL) = (answer IS NULL))
);

-- How many tenants there were when the deltas were last folded. Read it through tenantd.totals.
CREATE TABLE tenantd.counts (
    only_row  boolean NOT NULL DEFAULT true,  -- Always true: keeps the table at one row.
    tenants   bigint NOT NULL,                -- All rows.
    ready     bigint NOT NULL,                -- Those that are at rest as ready.
    under_way bigint NOT NULL,                -- Those that are under way.
    removed   bigint NOT NULL,                -- Those in the phase removed, whether or not they are looked at once more.
    CONSTRAINT counts_pkey PRIMARY KEY (only_row),
    CONSTRAINT counts_has_one_row CHECK (only_row)
);

-- What changed since: appended by triggers of tenantd.tenants, folded into tenantd.counts by the job fold_counts.
CREATE TABLE tenantd.count_deltas (
    tenants   bigint NOT NULL,  -- How many rows more.
    ready     bigint NOT NULL,  -- How many more are at rest as ready.
    under_way bigint NOT NULL,  -- How many more are under way.
    removed   bigint NOT NULL   -- How many more are in the phase removed.
) WITH (autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=10000, autovacuum_vacuum_insert_threshold=-1);

-- Walks over all tenants in slices, after a change of the configuration.
CREATE TABLE tenantd.passes (
    pass         text NOT NULL,                   -- sort_regions, plan_audits, or distrust (after a rejoin).
    asked        text NOT NULL,                   -- The settings by which every row is or was asked; for distrust, the rejoin.
    since        timestamptz NOT NULL,            -- When rows were first asked by these settings.
    resume_after uuid,                            -- The last tenant that was asked; null at the beginning.
    ended_at     timestamptz,                     -- When the last of them was asked; null while the pass goes on.
    is_once_more boolean NOT NULL DEFAULT false,  -- Whether somebody had locked one of those that were asked, so that the pass begins anew at its end.
    CONSTRAINT passes_pkey PRIMARY KEY (pass)
);

-- Leases on rows that somebody had locked when they were to be renewed. What is over is deleted by the heartbeats.
CREATE TABLE tenantd.lease_extensions (
    tenant_id   uuid NOT NULL,         -- Whose row is leased.
    lease_epoch bigint NOT NULL,       -- The claim that is extended; it says nothing of any other.
    expires_at  timestamptz NOT NULL,  -- Until then nobody else claims the row.
    CONSTRAINT lease_extensions_pkey PRIMARY KEY (tenant_id)
);

-- What was done over HTTP, by the key that the caller sent. Pruned after a day.
CREATE TABLE tenantd.idempotency_keys (
    idempotency_key text NOT NULL,                                 -- The header Idempotency-Key, 1 to 200 bytes.
    request         bytea NOT NULL,                                -- SHA-256 of what was asked and by whom: the same key with another request is refused.
    answer          jsonb NOT NULL,                                -- What was answered, and is answered again.
    answered_at     timestamptz NOT NULL DEFAULT tenantd.clock(),  -- When.
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (idempotency_key),
    CONSTRAINT idempotency_key_is_short
        CHECK (octet_length(idempotency_key) >= 1 AND octet_length(idempotency_key) <= 200),
    CONSTRAINT request_is_a_digest CHECK (octet_length(request) = 32)
);
CREATE INDEX idempotency_keys_by_age ON tenantd.idempotency_keys USING btree (answered_at);

-- Tenants that are not judged yet by the objective (objective.ready_within). Kept by triggers and the job judge_objective.
CREATE TABLE tenantd.awaited (
    tenant_id uuid NOT NULL,         -- Which tenant; no foreign key, because a row that is gone is not judged.
    since     timestamptz NOT NULL,  -- Since when its owner waits for it to be ready: its insert or its not_before, or when it was last wanted anew.
    CONSTRAINT awaited_pkey PRIMARY KEY (tenant_id)
) WITH (autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=10000);
CREATE INDEX awaited_by_age ON tenantd.awaited USING btree (since);

-- All other functions -----------------------------------------------------------------------

-- A consumer says: every instance of mine has switched to this version. Only the current version is accepted.
CREATE FUNCTION tenantd.acknowledge(external_id text, version integer)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    acknowledged uuid;
BEGIN
    UPDATE tenantd.tenants AS t
       SET acknowledged_version = acknowledge.version,
           updated_at = tenantd.clock()
     WHERE t.external_id = acknowledge.external_id
       AND t.current_version = acknowledge.version
       AND t.desired_state = 'present'
    RETURNING t.tenant_id INTO acknowledged;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'version % is not the current credential of tenant %', version, external_id
            USING ERRCODE = 'no_data_found', HINT = 'Read the current version from tenantd.credentials and acknowledge that one.';
    END IF;
    -- Nobody needs the previous ones any more: their time is over now.
    UPDATE tenantd.secrets AS s
       SET retire_at = tenantd.clock()
     WHERE s.tenant_id = acknowledged AND s.standing = 'previous' AND s.version < acknowledge.version
       AND s.retire_at > tenantd.clock();
END
$function$;

CREATE FUNCTION tenantd.accept_insert()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    PERFORM tenantd.check_version(NEW.external_id, NEW.desired_version, 0);
    IF NEW.desired_version IS NOT NULL THEN  -- The table refuses that by itself.
        -- A key that had a row before: its numbers were seen.
        NEW.desired_version := greatest(NEW.desired_version, tenantd.next_version_of(NEW.external_id));
    END IF;
    IF NEW.not_before < '0001-01-01 00:00:00+00' THEN
        NEW.not_before := NULL;  -- No limit was meant, and RFC 3339 cannot write it.
    END IF;
    IF NEW.desired_state = 'absent' THEN
        NEW.phase := 'removed';
        NEW.removal_admitted_at := tenantd.clock();
        NEW.due_at := NULL;
        NEW.must_look := true;
    ELSE
        NEW.due_at := greatest(tenantd.clock(), NEW.not_before);
    END IF;
    RETURN NEW;
END
$function$;

CREATE FUNCTION tenantd.accept_update()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    is_corrected CONSTANT boolean :=
        NEW.host <> OLD.host AND OLD.parked_reason IS NOT DISTINCT FROM 'HostNotAllowed'
        OR NEW.profile <> OLD.profile AND OLD.parked_reason IS NOT DISTINCT FROM 'UnknownProfile';
    is_turned    CONSTANT boolean := NEW.desired_state <> OLD.desired_state;
    is_unsent    CONSTANT boolean := OLD.phase IN ('pending', 'removed');
    is_edited    CONSTANT boolean := (NEW.profile, NEW.client_name, NEW.redirect_uris)
                           IS DISTINCT FROM (OLD.profile, OLD.client_name, OLD.redirect_uris);
    was_early    CONSTANT boolean := OLD.phase = 'pending' AND coalesce(OLD.not_before > tenantd.clock(), false);
    is_early     CONSTANT boolean := OLD.phase = 'pending' AND coalesce(NEW.not_before > tenantd.clock(), false);
    last         CONSTANT integer := greatest(OLD.last_version, OLD.current_version);
    is_unlooked  CONSTANT boolean := OLD.phase = 'removed' AND (NEW.host <> OLD.host OR is_turned)
                           AND tenantd.is_unlooked(OLD.rejoin_epoch, OLD.lease_epoch, OLD.region);
BEGIN
    IF NEW.external_id <> OLD.external_id THEN
        RAISE EXCEPTION 'external_id of tenant % never changes', OLD.external_id
            USING ERRCODE = 'check_violation', SCHEMA = 'tenantd', TABLE = 'tenants',
                  CONSTRAINT = 'external_id_never_changes',
                  HINT = 'Insert a new row for another tenant.';
    END IF;
    IF NEW.host <> OLD.host AND NOT is_unsent THEN
        RAISE EXCEPTION 'host of tenant % is fixed: a request may have been sent to %', OLD.external_id, OLD.host
            USING ERRCODE = 'check_violation', SCHEMA = 'tenantd', TABLE = 'tenants',
                  CONSTRAINT = 'host_is_fixed_after_first_intent',
                  HINT = 'Set desired_state = ''absent'' on this row and insert another for the new host.';
    END IF;
    IF NEW.host <> OLD.host AND (OLD.recheck_at IS NOT NULL OR is_unlooked) THEN
        RAISE EXCEPTION 'tenant % is looked at once more on %', OLD.external_id, OLD.host
            USING ERRCODE = 'check_violation', SCHEMA = 'tenantd', TABLE = 'tenants',
                  CONSTRAINT = 'host_is_fixed_until_looked_at',
                  HINT = 'A late create may still land there: try again when the look is done, some minutes after the removal.';
    END IF;
    IF NEW.not_before < '0001-01-01 00:00:00+00' THEN
        NEW.not_before := NULL;
    END IF;
    IF NEW.host <> OLD.host THEN
        NEW.region := '';
    END IF;
    IF (is_unsent OR OLD.phase = 'creating' AND OLD.client_id IS NULL AND OLD.unanswered IS NULL)
        AND OLD.lease_holder IS NOT NULL
        AND (NEW.host, NEW.profile, NEW.desired_state) <> (OLD.host, OLD.profile, OLD.desired_state) THEN
        -- Somebody is judging the row as it was, and has sent nothing: fence that verdict out.
        NEW.lease_epoch := OLD.lease_epoch + 1;
        NEW.lease_holder := NULL;
        NEW.leased_at := NULL;
        NEW.lease_expires_at := NULL;
    END IF;
    IF is_corrected OR is_turned THEN
        NEW.parked_reason := NULL;
        NEW.wait_reason := NULL;
        NEW.message := NULL;
        NEW.failures := 0;
        NEW.backoff_at := NULL;
    END IF;
    IF NEW.desired_version > OLD.desired_version THEN
        PERFORM tenantd.check_version(OLD.external_id, NEW.desired_version,
                                     CASE WHEN OLD.desired_version <= coalesce(OLD.served_version, OLD.current_version)
                                          THEN last ELSE 0 END);
        -- Whoever asks for more gets more, and is told no less than what comes.
        NEW.desired_version := greatest(NEW.desired_version, tenantd.version_after(last));
    END IF;
    IF NEW.desired_version < OLD.desired_version THEN
        NEW.desired_version := OLD.desired_version;  -- Lowering is ignored.
    END IF;
    IF is_corrected OR is_turned OR is_early <> was_early THEN
        NEW.reason_since := tenantd.clock();
        NEW.progress_at := tenantd.clock();
    END IF;
    IF is_turned THEN
        NEW.turned_at := tenantd.clock();
    END IF;
    IF is_turned AND NEW.desired_state = 'absent' AND OLD.phase IN ('removing', 'removed') THEN
        NEW.removal_admitted_at := tenantd.clock();  -- It was let through before.
    ELSIF is_turned AND NEW.desired_state = 'absent' AND OLD.phase = 'pending' THEN
        -- Nothing was sent in this life, so there is nothing to ask Qlik for.
        NEW.phase := 'removed';
        NEW.removal_admitted_at := tenantd.clock();
        NEW.must_look := true;
    ELSIF is_turned AND NEW.desired_state = 'present' THEN
        NEW.removal_admitted_at := NULL;
        IF OLD.phase = 'removed' THEN
            NEW.phase := 'pending';
            NEW.must_look := true;
            NEW.acknowledged_version := NULL;  -- Of another life.
            IF is_unlooked THEN
                -- Its slice sees a pending row: the host is kept, as where the slice came first.
                NEW.recheck_at := coalesce(OLD.recheck_at, tenantd.clock());
            END IF;
        END IF;
    END IF;
    IF is_edited AND NEW.phase <> 'pending' AND NEW.phase <> 'removed' THEN
        -- Later than any claim of the version before that read the row before this.
        NEW.edited_at := greatest(tenantd.clock(), OLD.leased_at + interval '1 microsecond');
    END IF;
    NEW.updated_at := tenantd.clock();
    RETURN NEW;
END
$function$;

CREATE FUNCTION tenantd.refuse_delete()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    IF OLD.phase <> 'removed' THEN
        RAISE EXCEPTION 'tenant % may still have a client in Qlik', OLD.external_id
            USING ERRCODE = 'check_violation', SCHEMA = 'tenantd', TABLE = 'tenants',
                  CONSTRAINT = 'only_removed_tenants_are_deleted',
                  HINT = 'Set desired_state = ''absent'' and wait for phase removed; `tenantd tenant forget` is for a host that no longer exists.';
    END IF;
    RAISE EXCEPTION 'tenant % is removed and looked at once more', OLD.external_id
        USING ERRCODE = 'check_violation', SCHEMA = 'tenantd', TABLE = 'tenants',
              CONSTRAINT = 'removed_tenants_are_kept_until_looked_at',
              HINT = CASE WHEN OLD.recheck_at IS NULL
                          THEN 'The database was rejoined: its row may be deleted once it was looked at, minutes from now; tenantd.status says so, and what keeps it.'
                          ELSE format('A late create may still land there: its row may be deleted when that look is done, planned for %s; tenantd.status says so, and what keeps it.',
                                      OLD.recheck_at)
                     END;
END
$function$;

CREATE FUNCTION tenantd.notify_work()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    PERFORM pg_notify('tenantd_work', '');
    RETURN NULL;
END
$function$;

CREATE FUNCTION tenantd.notify_event()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    PERFORM pg_notify('tenantd_events', json_build_object(
        'external_id', NEW.external_id,
        'event', CASE WHEN NEW.parked_reason IS NOT NULL THEN 'parked' ELSE NEW.phase END,
        'phase', NEW.phase,
        'reason', NEW.parked_reason)::text);
    RETURN NULL;
END
$function$;

-- When the next previous secret of a tenant is to go, but for those whose time is over and the one with this hint.
CREATE FUNCTION tenantd.next_retirement(of_tenant uuid, after timestamptz, but_hint text)
 RETURNS timestamptz
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    RETURN (SELECT min(s.retire_at)
              FROM tenantd.secrets AS s
             WHERE s.tenant_id = of_tenant AND s.standing = 'previous'
               AND (after IS NULL OR s.retire_at > after)
               AND (but_hint IS NULL OR s.hint IS DISTINCT FROM but_hint));
END
$function$;

-- Where we are: the cluster, the database in it, the timeline that is written now (null on a standby), and how far.
CREATE FUNCTION tenantd.place(OUT system_identifier text, OUT database_id text, OUT timeline integer, OUT written_to pg_lsn)
 RETURNS record
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    system_identifier := (SELECT s.system_identifier::text FROM pg_control_system() AS s);
    database_id := (SELECT d.datname || '/' || d.oid FROM pg_database AS d WHERE d.datname = current_database());
    IF pg_is_in_recovery() THEN
        RETURN;  -- A standby writes on no timeline of its own.
    END IF;
    BEGIN
        timeline := ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::integer;
        written_to := pg_current_wal_flush_lsn();
    EXCEPTION WHEN feature_not_supported OR insufficient_privilege THEN
        -- Some hosted servers have no write-ahead log to show.
        timeline := (SELECT c.timeline_id FROM pg_control_checkpoint() AS c);
    END;
END
$function$;

-- True where every row counts since the last rejoin, on the database that was recognised; raises TD001 anywhere else.
CREATE FUNCTION tenantd.assert_recognised()
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    PERFORM tenantd.assert_place();
    IF EXISTS (SELECT FROM tenantd.passes WHERE pass = 'distrust' AND ended_at IS NULL) THEN
        RAISE EXCEPTION 'not every row of this database has been told of the rejoin yet'
            USING ERRCODE = 'TD001', HINT = 'A daemon of the newer version does so; tenantd rejoin --status tells how far it is.';
    END IF;
    RETURN true;
END
$function$;

CREATE FUNCTION tenantd.remember_versions()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    last CONSTANT integer := greatest(OLD.last_version, OLD.current_version);
BEGIN
    INSERT INTO tenantd.former_tenants AS f (external_id, next_version)
    VALUES (OLD.external_id, greatest(OLD.desired_version, last + (last < 2147483647)::integer))
    ON CONFLICT (external_id) DO UPDATE
       SET next_version = greatest(f.next_version, excluded.next_version), deleted_at = excluded.deleted_at;
    RETURN NULL;
END
$function$;

-- The lowest version that no secret of a deleted row with this key ever had; null where there was none.
CREATE FUNCTION tenantd.next_version_of(key text)
 RETURNS integer
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
RETURN (SELECT f.next_version FROM tenantd.former_tenants f WHERE (f.external_id = next_version_of.key));

CREATE FUNCTION tenantd.check_version(key text, asked integer, before integer)
 RETURNS void
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    most CONSTANT bigint := greatest(1000000, tenantd.version_of(tenantd.clock()), before::bigint + 1);
BEGIN
    IF asked > most THEN
        RAISE EXCEPTION 'desired_version % of tenant % is too high: the most that may be asked for now is %', asked, key, most
            USING ERRCODE = 'check_violation', SCHEMA = 'tenantd', TABLE = 'tenants',
                  CONSTRAINT = 'desired_version_is_not_ahead_of_time',
                  HINT = 'Raise it by one, once the last raise serves: SET desired_version = desired_version + 1. Versions are bounded by the seconds since 2026, so that none is ever given twice.';
    END IF;
END
$function$;

-- The next version; refused where there is none.
CREATE FUNCTION tenantd.version_after(version integer)
 RETURNS integer
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    IF version = 2147483647 THEN
        RAISE EXCEPTION 'the versions of this tenant are used up: 2147483647 is the last there is'
            USING ERRCODE = 'numeric_value_out_of_range',
                  HINT = 'Remove the tenant, and insert it anew under another external_id.';
    END IF;
    RETURN version + 1;
END
$function$;

-- How many removals an hour may have where nobody said: 5, or a tenth of the fleet, whichever is more.
CREATE FUNCTION tenantd.default_removals()
 RETURNS bigint
 LANGUAGE sql
 STABLE
RETURN GREATEST((5)::bigint, (ceil((((((SELECT (c.tenants - c.removed) FROM tenantd.counts c))::numeric + (SELECT COALESCE(sum((d.tenants - d.removed)), (0)::numeric) AS "coalesce" FROM tenantd.count_deltas d)) + ((SELECT count(DISTINCT g.tenant_id) AS count FROM tenantd.changes g WHERE ((g.kind = 'removal') AND (g.started_at > (tenantd.clock() - '01:00:00'::interval)) AND (NOT (EXISTS (SELECT FROM tenantd.tenants t WHERE ((t.tenant_id = g.tenant_id) AND (t.phase <> 'removed'))))))))::numeric) / 10.0)))::bigint);

CREATE FUNCTION tenantd.refuse_host_of_removed()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    holder record;
BEGIN
    SELECT t.external_id, t.recheck_at, tenantd.is_unlooked(t.rejoin_epoch, t.lease_epoch, t.region) AS is_unlooked
      INTO holder
      FROM tenantd.tenants AS t
     WHERE t.host = NEW.host AND t.external_id <> NEW.external_id AND t.phase = 'removed';
    IF NOT FOUND
       OR TG_OP = 'INSERT' AND EXISTS (SELECT FROM tenantd.tenants AS t WHERE t.external_id = NEW.external_id) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'host % is held by tenant %, which is removed', NEW.host, holder.external_id
        USING ERRCODE = 'unique_violation', SCHEMA = 'tenantd', TABLE = 'tenants', CONSTRAINT = 'host_is_unique',
              HINT = CASE WHEN holder.recheck_at IS NULL AND holder.is_unlooked
                          THEN 'The database was rejoined: delete its row once it was looked at, minutes from now, then try again. tenantd.status says what keeps it.'
                          WHEN holder.recheck_at IS NULL
                          THEN format('Delete its row, then try again: DELETE FROM tenantd.tenants WHERE external_id = %L.', holder.external_id)
                          ELSE format('It is looked at once more, planned for %s: delete its row after that, then try again. tenantd.status says what keeps it.', holder.recheck_at)
                     END;
END
$function$;

CREATE FUNCTION tenantd.refuse_truncate()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    IF EXISTS (SELECT FROM tenantd.tenants
                WHERE phase NOT IN ('pending', 'removed') OR recheck_at IS NOT NULL
                      OR phase = 'removed' AND tenantd.is_unlooked(rejoin_epoch, lease_epoch, region)) THEN
        RAISE EXCEPTION 'tenants may still have clients in Qlik'
            USING ERRCODE = 'check_violation', SCHEMA = 'tenantd', TABLE = 'tenants',
                  CONSTRAINT = 'only_removed_tenants_are_deleted',
                  HINT = 'Set desired_state = ''absent'' and wait for phase removed. A test cleaner must leave the schema tenantd alone.';
    END IF;
    INSERT INTO tenantd.former_tenants AS f (external_id, next_version)
    SELECT t.external_id,
           greatest(t.desired_version, t.last_version + (t.last_version < 2147483647)::integer)
      FROM tenantd.tenants AS t
     WHERE t.desired_version > 1 OR t.last_version IS NOT NULL
    ON CONFLICT (external_id) DO UPDATE
       SET next_version = greatest(f.next_version, excluded.next_version), deleted_at = excluded.deleted_at;
    RETURN NULL;
END
$function$;

CREATE FUNCTION tenantd.refuse_to_empty()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    is_in_use boolean;
BEGIN
    EXECUTE format('SELECT EXISTS (SELECT FROM tenantd.%I)', TG_TABLE_NAME) INTO is_in_use;
    IF is_in_use THEN
        RAISE EXCEPTION 'table tenantd.% is in use: what it holds is nowhere else', TG_TABLE_NAME
            USING ERRCODE = 'check_violation', SCHEMA = 'tenantd', TABLE = TG_TABLE_NAME,
                  CONSTRAINT = 'tables_in_use_are_not_emptied',
                  HINT = 'A test cleaner must leave the schema tenantd alone.';
    END IF;
    RETURN NULL;
END
$function$;

-- Whether the breaker of a region is open, it or the fleet is paused, or it lacks a right.
CREATE FUNCTION tenantd.is_region_stopped(of_region text)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
RETURN ((EXISTS (SELECT FROM tenantd.regions b WHERE ((b.region = is_region_stopped.of_region) AND (b.opened_at IS NOT NULL)))) OR (EXISTS (SELECT FROM tenantd.pauses p WHERE ((p.region IN ('*', is_region_stopped.of_region)) AND ((p.paused_until IS NULL) OR (p.paused_until > tenantd.clock()))))) OR (EXISTS (SELECT FROM tenantd.rights g WHERE ((g.region = is_region_stopped.of_region) AND (g.missing_since IS NOT NULL)))));

CREATE FUNCTION tenantd.check_wants()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    -- Column, rule, what is wrong, what to write instead.
    broken text[];
BEGIN
    broken := CASE
        WHEN octet_length(NEW.external_id) NOT BETWEEN 1 AND 200
            THEN ARRAY['external_id', 'external_id_is_1_to_200_bytes', format('has %s bytes', octet_length(NEW.external_id)),
                       'Give the tenant a key of 1 to 200 bytes.']
        WHEN octet_length(NEW.profile) NOT BETWEEN 1 AND 200
            THEN ARRAY['profile', 'profile_is_1_to_200_bytes', format('has %s bytes', octet_length(NEW.profile)),
                       'Name a [profiles.NAME] of the configuration, or leave it out for default.']
        WHEN char_length(NEW.client_name) NOT BETWEEN 1 AND 512
            THEN ARRAY['client_name', 'client_name_is_1_to_512_characters',
                       format('has %s characters', char_length(NEW.client_name)),
                       'Choose another name of 1 to 512 characters, or leave it out for that of the profile.']
        WHEN NEW.desired_state NOT IN ('present', 'absent')
            THEN ARRAY['desired_state', 'desired_state_is_present_or_absent', 'is neither present nor absent',
                       'Write present or absent, in lower case.']
        WHEN NEW.desired_version < 1
            THEN ARRAY['desired_version', 'desired_version_is_positive', format('is %s', NEW.desired_version),
                       'Versions count from 1. To rotate: SET desired_version = desired_version + 1.']
        WHEN NEW.priority NOT BETWEEN -100 AND 100
            THEN ARRAY['priority', 'priority_is_minus_100_to_100', format('is %s', NEW.priority),
                       'Choose one from -100 to 100; 0 is usual.']
        -- Neither infinity nor five digits: RFC 3339 cannot write them.
        WHEN NEW.not_before >= '10000-01-01 00:00:00+00'
            THEN ARRAY['not_before', 'not_before_is_before_year_10000', 'is in the year 10000 or later',
                       'Write an earlier instant, or NULL for no limit.']
    END;
    -- One look at a host that is right; only of a wrong one is it asked what is wrong.
    IF broken IS NULL AND NEW.host IS DISTINCT FROM OLD.host
       AND (NEW.host !~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?([.][a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$'
            OR NEW.host !~ '[.].*[.]' OR NEW.host ~ '(^|[.])(xn--|([0-9]+|0x[0-9a-f]*)$)' OR octet_length(NEW.host) > 253) THEN
        broken := CASE
            WHEN replace(NEW.host, '://', '') ~ '[/?#]'
                THEN ARRAY['host', 'host_has_no_path', 'has a path', 'Leave out everything from the first slash on.']
            WHEN NEW.host ~ ':[0-9]*$'
                THEN ARRAY['host', 'host_has_no_port', 'has a port', 'Leave out the colon and the port.']
            WHEN NEW.host ~ '://'
                THEN ARRAY['host', 'host_has_no_scheme', 'has a scheme', 'Leave out https://.']
            WHEN NEW.host ~ '[[:space:]]'
                THEN ARRAY['host', 'host_has_no_space', 'has a space', 'Remove the space.']
            WHEN NEW.host ~ '[.]$'
                THEN ARRAY['host', 'host_has_no_trailing_dot', 'has a dot at the end', 'Remove the dot at the end.']
            WHEN NEW.host ~ '[A-Z]'
                THEN ARRAY['host', 'host_has_no_upper_case', 'has upper case', 'Write it in lower case.']
            WHEN NEW.host ~ '[*]'
                THEN ARRAY['host', 'host_has_no_wildcard', 'has a wildcard',
                           'Write the host of one tenant; patterns stand in the configuration.']
            WHEN octet_length(NEW.host) > 253
                THEN ARRAY['host', 'host_is_at_most_253_bytes', format('has %s bytes', octet_length(NEW.host)),
                           'Write the tenant''s real host name.']
            WHEN NEW.host ~ '(^|[.])xn--'
                THEN ARRAY['host', 'host_is_no_international_name', 'is an international name',
                           'Hosts of Qlik Cloud are plain ASCII names without xn--.']
            -- A last label in digits or 0x... makes a URL parser read an IPv4 address
            -- (WHATWG URL standard, "ends in a number checker").
            WHEN NEW.host ~ '(^|[.])([0-9]+|0x[0-9a-f]*)$'
                THEN ARRAY['host', 'host_is_no_ip_address', 'is an IP address', 'Write the tenant''s host name.']
            WHEN NEW.host ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?([.][a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$'
                THEN ARRAY['host', 'host_labels_are_three_or_more', 'has fewer than three labels',
                           'Write it in full, as in acme42.us.qlikcloud.com.']
            ELSE ARRAY['host', 'host_labels_are_1_to_63_letters_digits_hyphens', 'is no host name',
                       'Write it as in acme42.us.qlikcloud.com: labels of 1 to 63 letters, digits and hyphens.']
        END;
    END IF;
    -- What Qlik Cloud takes.
    IF broken IS NULL AND NEW.redirect_uris IS DISTINCT FROM OLD.redirect_uris THEN
        SELECT CASE
               WHEN array_ndims(NEW.redirect_uris) <> 1
                   THEN ARRAY['redirect_uris', 'redirect_uris_are_a_plain_list', 'are a list of lists', 'Give a list of URIs, not a list of lists.']
               WHEN max(char_length(u.uri)) > 256
                   THEN ARRAY['redirect_uris', 'redirect_uris_are_at_most_256_characters', format('hold one of %s characters', max(char_length(u.uri))),
                              'Qlik Cloud takes at most 256: shorten it.']
               WHEN cardinality(NEW.redirect_uris) > 5
                   THEN ARRAY['redirect_uris', 'redirect_uris_are_at_most_5', format('are %s', cardinality(NEW.redirect_uris)),
                              'Qlik Cloud takes no more than 5: leave some out.']
               -- Or plain http on localhost, which is all that Qlik allows.
               WHEN NOT bool_and(u.uri ~ '^(https://[^[:space:]/?#]|http://localhost([:/?]|$))')
                   THEN ARRAY['redirect_uris', 'redirect_uris_are_https', 'hold one that is not https',
                              'Write https://, or http://localhost for a test.']
               WHEN count(DISTINCT u.uri) <> count(u.uri)
                   THEN ARRAY['redirect_uris', 'redirect_uris_are_unique', 'hold one twice', 'Give each once.']
               WHEN count(*) <> count(u.uri)
                   THEN ARRAY['redirect_uris', 'redirect_uris_have_no_null', 'hold a null', 'Leave out the empty one.']
               WHEN NOT bool_and(u.uri ~ '^[^[:space:][:cntrl:]]*$')
                   THEN ARRAY['redirect_uris', 'redirect_uris_have_no_space', 'hold one with a space', 'Remove the space, or write it as %20.']
               END
          INTO broken
          FROM unnest(NEW.redirect_uris) AS u (uri);
    END IF;
    -- So that one row's labels never make a list of all rows unreadable: common JSON
    -- readers stop at 128 levels, and at what a double can hold.
    IF broken IS NULL AND NEW.labels IS DISTINCT FROM OLD.labels AND NEW.labels <> '{}' THEN
        broken := CASE
            WHEN jsonb_typeof(NEW.labels) <> 'object'
                THEN ARRAY['labels', 'labels_are_an_object', 'are no JSON object', 'Write an object, such as {"plan": "gold"}.']
            WHEN octet_length(NEW.labels::text) > 16384
                THEN ARRAY['labels', 'labels_are_at_most_16_kib', format('have %s bytes', octet_length(NEW.labels::text)),
                           'Write at most 16384 bytes; keep the rest in a table of your own.']
            WHEN NEW.labels @? '$.**{65 to last}'
                THEN ARRAY['labels', 'labels_are_at_most_64_levels_deep', 'are more than 64 levels deep', 'Write them flatter.']
            WHEN NEW.labels @? '$.** ? (@.type() == "number" && (@ > 1e300 || @ < -1e300))'
                THEN ARRAY['labels', 'labels_hold_no_number_beyond_1e300', 'hold a number beyond 1e300', 'Write that number as text.']
        END;
    END IF;
    IF broken IS NOT NULL THEN
        RAISE EXCEPTION '% of tenant % %', broken[1], left(NEW.external_id, 200), broken[3]
            USING ERRCODE = 'check_violation', SCHEMA = 'tenantd', TABLE = 'tenants', COLUMN = broken[1],
                  CONSTRAINT = broken[2], HINT = broken[4];
    END IF;
    RETURN NEW;
END
$function$;

CREATE FUNCTION tenantd.wake()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    NEW.generation := greatest(NEW.generation, OLD.generation + 1);
    -- What is due keeps its place in the queue.
    NEW.due_at := greatest(least(NEW.due_at, tenantd.clock()), CASE WHEN NEW.phase = 'pending' THEN NEW.not_before END);
    PERFORM pg_notify('tenantd_work', '');
    RETURN NEW;
END
$function$;

CREATE FUNCTION tenantd.count_class()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    INSERT INTO tenantd.count_deltas (tenants, ready, under_way, removed)
    VALUES (0,
            (NOT NEW.is_under_way AND NEW.phase = 'ready')::integer - (NOT OLD.is_under_way AND OLD.phase = 'ready')::integer,
            NEW.is_under_way::integer - OLD.is_under_way::integer,
            (NEW.phase = 'removed')::integer - (OLD.phase = 'removed')::integer);
    RETURN NULL;
END
$function$;

CREATE FUNCTION tenantd.count_rows()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    sign CONSTANT integer := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
BEGIN
    INSERT INTO tenantd.count_deltas (tenants, ready, under_way, removed)
    SELECT sign * count(*),
           sign * count(*) FILTER (WHERE NOT c.is_under_way AND c.phase = 'ready'),
           sign * count(*) FILTER (WHERE c.is_under_way),
           sign * count(*) FILTER (WHERE c.phase = 'removed')
      FROM changed AS c
    HAVING count(*) > 0;
    RETURN NULL;
END
$function$;

CREATE FUNCTION tenantd.count_none()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    INSERT INTO tenantd.count_deltas (tenants, ready, under_way, removed)
    SELECT -t.tenants, -t.ready, -t.under_way, -t.removed FROM tenantd.totals AS t;
    RETURN NULL;
END
$function$;

CREATE FUNCTION tenantd.turn_under_way()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    NEW.is_under_way := NOT NEW.is_under_way;
    RETURN NEW;
END
$function$;

-- Counts everything anew, for whoever has loaded rows past the triggers. Writers wait meanwhile.
CREATE FUNCTION tenantd.recount()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    LOCK TABLE tenantd.tenants IN SHARE ROW EXCLUSIVE MODE;
    UPDATE tenantd.tenants AS t SET is_under_way = NOT t.is_under_way
     WHERE t.is_under_way IS DISTINCT FROM
           (t.parked_reason IS NOT NULL
            OR (t.phase <> 'ready' OR t.desired_state <> 'present') AND (t.phase <> 'removed' OR t.recheck_at IS NOT NULL));
    DELETE FROM tenantd.count_deltas;
    INSERT INTO tenantd.counts AS c (tenants, ready, under_way, removed)
    SELECT count(*), count(*) FILTER (WHERE NOT t.is_under_way AND t.phase = 'ready'),
           count(*) FILTER (WHERE t.is_under_way), count(*) FILTER (WHERE t.phase = 'removed')
      FROM tenantd.tenants AS t
    ON CONFLICT (only_row) DO UPDATE
       SET tenants = excluded.tenants, ready = excluded.ready, under_way = excluded.under_way, removed = excluded.removed;
END
$function$;

-- Those of which tenantd.is_region_stopped is true, asked once instead of for every row.
CREATE FUNCTION tenantd.stopped_regions()
 RETURNS text[]
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
RETURN ARRAY(SELECT r.region FROM (SELECT '' AS region UNION ALL SELECT b.region FROM tenantd.regions b) r WHERE tenantd.is_region_stopped(r.region));

-- Whether a region whose breaker is open may be probed with this tenant.
CREATE FUNCTION tenantd.may_be_probed(t tenantd.tenants)
 RETURNS boolean
 LANGUAGE sql
 STABLE PARALLEL SAFE
AS $function$ SELECT (t.lease_holder IS NULL
            OR t.lease_expires_at OPERATOR(pg_catalog.<=) tenantd.clock() AND (t.unanswered IS NULL OR t.settles_at IS NOT NULL))
       AND t.parked_reason IS NULL
       AND (t.paused_at IS NULL OR t.paused_until OPERATOR(pg_catalog.<=) tenantd.clock())
       AND t.desired_state OPERATOR(pg_catalog.=) 'present'
       AND (t.phase OPERATOR(pg_catalog.<>) 'pending' OR t.not_before IS NULL OR t.not_before OPERATOR(pg_catalog.<=) tenantd.clock()) $function$;

CREATE FUNCTION tenantd.look_back()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    PERFORM set_config('tenantd.has_former', (EXISTS (SELECT FROM tenantd.former_tenants))::text, true),
            set_config('tenantd.has_absent', (EXISTS (SELECT FROM tenantd.tenants WHERE desired_state = 'absent'))::text, true),
            set_config('tenantd.rejoin_epoch', (SELECT i.rejoin_epoch FROM tenantd.installation AS i)::text, true);
    RETURN NULL;
END
$function$;

CREATE FUNCTION tenantd.refuse_forgotten_versions()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    known text;
BEGIN
    SELECT i.external_id INTO known
      FROM inserted AS i JOIN tenantd.former_tenants AS f ON f.external_id = i.external_id
     WHERE i.desired_version < f.next_version
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'tenant % was deleted while it was inserted anew', known
            USING ERRCODE = 'serialization_failure', SCHEMA = 'tenantd', TABLE = 'tenants',
                  HINT = 'Repeat the statement: it then goes on behind the versions that were seen. To give a key anew, delete in a statement before.';
    END IF;
    RETURN NULL;
END
$function$;

CREATE FUNCTION tenantd.note_edit()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
    NEW.updated_at := tenantd.clock();
    RETURN NEW;
END
$function$;

-- Whether the holder of this claim was alive when the row was locked, and may still be. Asked only where the lease in the row has run out.
CREATE FUNCTION tenantd.is_lease_extended(tenant_id uuid, lease_epoch bigint)
 RETURNS boolean
 LANGUAGE sql
 STABLE PARALLEL SAFE
 SET search_path TO 'pg_catalog', 'pg_temp'
RETURN (EXISTS (SELECT FROM tenantd.lease_extensions e WHERE ((e.tenant_id = is_lease_extended.tenant_id) AND (e.lease_epoch = is_lease_extended.lease_epoch) AND (e.expires_at > tenantd.clock()))));

CREATE FUNCTION tenantd.await_inserted()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    INSERT INTO tenantd.awaited (tenant_id, since)
    SELECT c.tenant_id, greatest(c.created_at, c.not_before)
      FROM changed AS c
     WHERE c.desired_state = 'present' AND c.ready_at IS NULL
    ON CONFLICT (tenant_id) DO UPDATE SET since = excluded.since;
    RETURN NULL;
END
$function$;

CREATE FUNCTION tenantd.await_anew()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    INSERT INTO tenantd.awaited (tenant_id, since)
    VALUES (NEW.tenant_id, greatest(tenantd.clock(), NEW.not_before))
    ON CONFLICT (tenant_id) DO UPDATE SET since = excluded.since;
    RETURN NULL;
END
$function$;

CREATE FUNCTION tenantd.number_for_previous()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    last CONSTANT integer := greatest(OLD.last_version, OLD.current_version);
BEGIN
    IF NEW.current_version IS NOT NULL THEN
        -- A raise beyond what it gave came after it had decided.
        NEW.served_version := least(NEW.desired_version, NEW.current_version);
    END IF;
    IF OLD.current_version IS NULL THEN
        -- Its first number of a new life it takes from desired_version alone.
        NEW.current_version := greatest(NEW.current_version, last + (last < 2147483647)::integer);
    END IF;
    NEW.last_version := greatest(last, NEW.current_version);
    RETURN NEW;
END
$function$;

CREATE FUNCTION tenantd.unknow_applied()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    NEW.applied_wants := NULL;
    RETURN NEW;
END
$function$;

-- Whether somebody works on the row: its lease, or an extension of it, has not run out.
CREATE FUNCTION tenantd.is_leased(t tenantd.tenants)
 RETURNS boolean
 LANGUAGE sql
 STABLE PARALLEL SAFE
AS $function$ SELECT t.lease_expires_at IS NOT NULL
           AND (t.lease_expires_at OPERATOR(pg_catalog.>) tenantd.clock() OR tenantd.is_lease_extended(t.tenant_id, t.lease_epoch)) $function$;

-- True on the database that was recognised; raises TD001 anywhere else.
CREATE FUNCTION tenantd.assert_place()
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    here  record;
    known record;
BEGIN
    SELECT * INTO here FROM tenantd.place();
    IF here.timeline IS NULL THEN
        RAISE EXCEPTION 'the database is a standby, which takes no writes' USING ERRCODE = 'read_only_sql_transaction';
    END IF;
    SELECT i.system_identifier, i.database_id, i.timeline INTO known FROM tenantd.installation AS i;
    -- A database that was renamed is the same one: only its oid counts.
    IF (known.system_identifier, split_part(known.database_id, '/', -1), known.timeline)
       IS DISTINCT FROM (here.system_identifier, split_part(here.database_id, '/', -1), here.timeline) THEN
        RAISE EXCEPTION 'this database is not in the place where it was last recognised'
            USING ERRCODE = 'TD001', HINT = 'The daemon looks into it by itself; tenantd rejoin --status tells what came of it.';
    END IF;
    RETURN true;
END
$function$;

-- Whether a row was worked on before the last rejoin, and its slice is not through yet: what it says is not believed.
CREATE FUNCTION tenantd.is_unlooked(rejoin_epoch integer, lease_epoch bigint, region text)
 RETURNS boolean
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
RETURN ((lease_epoch <> 0) AND (region <> '') AND (rejoin_epoch < (SELECT i.rejoin_epoch FROM tenantd.installation i)));

-- Views: the contract with readers ----------------------------------------------------------

-- Where every tenant is, and why it is not ready. Columns only grow within a major version.
--   tenant_id        Made at insert; part of the mark on the tenant's client.
--   external_id      The pipeline's own key.
--   host             The tenant's host name.
--   phase            How far the tenant is: pending, creating, created, trusted, ready; rotating, proving; removing, removed.
--   ready            Whether there is a proven current credential and desired_state is present.
--   parked           Whether it waits for somebody to act.
--   reason           Why it is not ready, from a closed list; null only when ready and not parked.
--   message          The reason in words, with what to do.
--   since            Start of the present phase and reason.
--   next_attempt_at  When somebody goes on by itself, at the earliest; null while somebody works on it or nothing is to be done.
--   failures         Failures since the last progress.
--   client_id        The OAuth client, once it is known.
--   created_at       When the row was inserted.
--   ready_at         When the tenant was first ready in this life.
--   updated_at       When the row was last written.
--   labels           The pipeline's own labels.
--   version          Version of the current credential; null without one.
--   paused           Whether an operator keeps the daemon away from it or its region.
--   drift            How the client differed at the last audit; empty when it did not.
--   audited_at       When the client was last compared with Qlik.
CREATE VIEW tenantd.status AS
 SELECT t.tenant_id,
    t.external_id,
    t.host,
    t.phase,
    r.is_ready AS ready,
    t.parked_reason IS NOT NULL AS parked,
        CASE
            WHEN t.parked_reason IS NOT NULL THEN t.parked_reason
            WHEN t.phase = 'removed' THEN 'Removed'
            WHEN r.is_ready THEN NULL::text
            WHEN r.awaits_budget AND h.is_held_back THEN 'ChangesHeld'
            WHEN r.awaits_budget AND h.is_held THEN 'DeletionsHeld'
            WHEN r.is_paused THEN 'Paused'
            WHEN r.awaits_budget AND b.opened_at IS NOT NULL THEN 'BreakerOpen'
            WHEN r.awaits_budget THEN 'AwaitingBudget'
            WHEN r.is_early THEN 'NotBefore'
            WHEN r.is_held THEN 'Working'
            WHEN b.opened_at IS NOT NULL THEN 'BreakerOpen'
            ELSE COALESCE(t.wait_reason, 'Queued')
        END AS reason,
        CASE
            WHEN t.parked_reason IS NOT NULL THEN t.message
            WHEN t.phase = 'removed' AND (t.recheck_at IS NOT NULL OR t.lease_epoch <> 0 AND t.region <> '' AND t.rejoin_epoch < h.rejoin_epoch) THEN COALESCE(t.message, 'nothing of ours is known at Qlik: it is looked at once more, and until then the row is kept')
            WHEN t.phase = 'removed' THEN COALESCE(t.message, 'nothing of ours is left at Qlik: the row may be deleted, or set desired_state to present for a new life')
            WHEN r.is_ready THEN NULL::text
            WHEN r.awaits_budget AND h.is_held_back THEN 'this may be a copy of the real database: nothing is changed at Qlik until an operator has said that it is the real one, with `tenantd rejoin --confirm`'
            WHEN r.awaits_budget AND h.is_held THEN 'nothing is deleted at Qlik until an operator has read `tenantd rejoin --status` and agreed with `tenantd rejoin --agree`'
            WHEN o.is_paused THEN ('paused by an operator: ' || t.pause_reason) || '; `tenantd tenant resume` ends it'
            WHEN r.is_paused THEN
            CASE
                WHEN p.is_of_fleet THEN ('the fleet is paused by an operator: ' || p.reason) || '; `tenantd fleet resume` ends it'
                ELSE ((('the region is paused by an operator: ' || p.reason) || '; `tenantd fleet resume --region ') || t.region) || '` ends it'
            END
            WHEN r.awaits_budget AND b.opened_at IS NOT NULL THEN ('the credential of region ' || t.region) || ' is refused: correct it and reload, or restart where the daemon has a copy; `tenantd doctor` tests it'
            WHEN r.awaits_budget THEN format('the removal waits for its place in [budget] removals_per_hour: %s let through in the last hour, %s waiting; `tenantd fleet status` shows the limit', h.admitted, h.waiting)
            WHEN r.is_early THEN 'nothing is sent before the row''s not_before'
            WHEN r.is_held THEN 'a daemon is working on it'
            WHEN b.opened_at IS NOT NULL THEN ('the credential of region ' || t.region) || ' is refused: correct it and reload, or restart where the daemon has a copy; `tenantd doctor` tests it'
            ELSE COALESCE(t.message, 'waits for a daemon')
        END AS message,
        CASE
            WHEN t.parked_reason IS NOT NULL OR t.phase = 'removed' OR r.is_ready OR r.awaits_budget AND (h.is_held OR NOT r.is_paused AND b.opened_at IS NULL) THEN t.reason_since
            WHEN o.is_paused THEN t.paused_at
            WHEN r.is_paused THEN p.paused_at
            WHEN r.is_early THEN t.reason_since
            WHEN r.is_held THEN t.leased_at
            WHEN b.opened_at IS NOT NULL THEN GREATEST(b.opened_at, t.reason_since)
            WHEN t.phase = 'pending' THEN GREATEST(t.reason_since, t.not_before)
            ELSE t.reason_since
        END AS since,
        CASE
            WHEN r.is_held THEN NULL::timestamptz
            WHEN t.due_at IS NULL THEN NULL::timestamptz
            WHEN t.parked_reason IS NOT NULL OR r.awaits_budget THEN NULL::timestamptz
            WHEN t.phase = 'removed' AND t.recheck_at IS NULL THEN NULL::timestamptz
            WHEN o.is_paused AND t.paused_until IS NULL THEN NULL::timestamptz
            WHEN p.paused_at IS NOT NULL AND p.paused_until IS NULL THEN NULL::timestamptz
            ELSE GREATEST(t.due_at, b.probe_at, p.paused_until,
            CASE
                WHEN r.is_early THEN t.not_before
                ELSE NULL::timestamptz
            END,
            CASE
                WHEN r.is_backing_off THEN t.backoff_at
                ELSE NULL::timestamptz
            END,
            CASE
                WHEN o.is_paused THEN t.paused_until
                ELSE NULL::timestamptz
            END)
        END AS next_attempt_at,
    t.failures,
    t.client_id,
    t.created_at,
    t.ready_at,
    t.updated_at,
    t.labels,
    t.current_version AS version,
    r.is_paused AS paused,
    t.drift,
    t.audited_at
   FROM tenantd.tenants t
     LEFT JOIN tenantd.regions b ON b.region = t.region
     LEFT JOIN tenantd.lease_extensions e ON e.tenant_id = t.tenant_id AND e.lease_epoch = t.lease_epoch AND t.lease_holder IS NOT NULL
     LEFT JOIN LATERAL ( SELECT min(x.paused_at) AS paused_at,
                CASE
                    WHEN bool_and(x.paused_until IS NOT NULL) THEN max(x.paused_until)
                    ELSE NULL::timestamptz
                END AS paused_until,
            bool_or(x.region = '*') AS is_of_fleet,
            COALESCE(min(x.reason) FILTER (WHERE x.region = '*'), min(x.reason)) AS reason
           FROM tenantd.pauses x
          WHERE (x.region IN ('*', t.region)) AND (x.paused_until IS NULL OR x.paused_until > tenantd.clock())) p ON true
     CROSS JOIN ( SELECT i.deletions_held_at IS NOT NULL AS is_held,
            i.changes_held_at IS NOT NULL AS is_held_back,
            i.rejoin_epoch,
            ( SELECT count(*) AS count
                   FROM tenantd.changes c
                  WHERE c.kind = 'removal' AND c.started_at > (tenantd.clock() - '01:00:00'::interval)) AS admitted,
            ( SELECT count(*) AS count
                   FROM tenantd.tenants w
                  WHERE w.desired_state = 'absent' AND w.removal_admitted_at IS NULL AND (w.phase NOT IN ('removing', 'removed'))) AS waiting
           FROM tenantd.installation i) h
     CROSS JOIN LATERAL ( SELECT t.paused_at IS NOT NULL AND COALESCE(t.paused_until > tenantd.clock(), true) AS is_paused) o
     CROSS JOIN LATERAL ( SELECT t.current_version IS NOT NULL AND t.desired_state = 'present' AND t.phase <> 'removing' AS is_ready,
            t.desired_state = 'absent' AND t.removal_admitted_at IS NULL AND (t.phase NOT IN ('removing', 'removed')) AS awaits_budget,
            p.paused_at IS NOT NULL OR o.is_paused AS is_paused,
            t.phase = 'pending' AND COALESCE(t.not_before > tenantd.clock(), false) AS is_early,
            t.backoff_at > tenantd.clock() AND (t.desired_state = 'present' OR t.removal_admitted_at IS NULL OR (t.phase IN ('removing', 'removed'))) AS is_backing_off,
            COALESCE(GREATEST(t.lease_expires_at, e.expires_at) > tenantd.clock(), false) AS is_held) r;

-- Proven credentials, sealed. Nothing from the moment a tenant is desired absent.
--   tenant_id    Whose it is.
--   external_id  The pipeline's own key.
--   host         The tenant's host name.
--   client_id    The OAuth client.
--   version      Rises with every rotation; numbers may skip.
--   stage        current: use this one. previous: still good for those who have not switched yet.
--   sealed       A compact JWE (RFC 7516) of {"tenant_id","host","client_id","client_secret"}; compare what it names with the row. The same plaintext may be sealed anew under another key, without an event and with the same version.
--   created_at   When it was stored; it stays when the secret is sealed anew.
CREATE VIEW tenantd.credentials WITH (security_barrier=true) AS
 SELECT t.tenant_id,
    t.external_id,
    t.host,
    s.client_id,
    s.version,
    s.standing AS stage,
    s.sealed,
    s.created_at
   FROM tenantd.secrets s
     JOIN tenantd.tenants t ON t.tenant_id = s.tenant_id
  WHERE (s.standing IN ('current', 'previous')) AND t.desired_state = 'present' AND t.phase <> 'removing';

-- How many tenants there are, without counting them.
--   tenants    All rows.
--   ready      At rest as ready: nothing is done but audits.
--   under_way  Neither ready and desired present nor removed for good, or parked.
--   removed    In the phase removed, whether or not they are looked at once more.
CREATE VIEW tenantd.totals AS
 SELECT c.tenants + d.tenants AS tenants,
    c.ready + d.ready AS ready,
    c.under_way + d.under_way AS under_way,
    c.removed + d.removed AS removed
   FROM tenantd.counts c
     CROSS JOIN ( SELECT COALESCE(sum(x.tenants), 0::numeric)::bigint AS tenants,
            COALESCE(sum(x.ready), 0::numeric)::bigint AS ready,
            COALESCE(sum(x.under_way), 0::numeric)::bigint AS under_way,
            COALESCE(sum(x.removed), 0::numeric)::bigint AS removed
           FROM tenantd.count_deltas x) d;

-- Triggers: those of one kind run in the order of their names -------------------------------

CREATE TRIGGER refuse_to_empty BEFORE DELETE OR TRUNCATE ON tenantd.installation
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.refuse_to_empty();

CREATE TRIGGER accept_checked_insert BEFORE INSERT ON tenantd.tenants
    FOR EACH ROW WHEN (NOT COALESCE(octet_length(new.external_id) >= 1 AND octet_length(new.external_id) <= 200 AND octet_length(new.host) <= 63 AND new.host ~ '^[a-z0-9]+(-[a-z0-9]+)*([.][a-z0-9]+(-[a-z0-9]+)*)+[.][a-z]+$' AND new.profile = 'default' AND new.client_name IS NULL AND new.redirect_uris IS NULL AND new.desired_state = 'present' AND new.desired_version = 1 AND new.priority = 0 AND new.not_before IS NULL AND jsonb_typeof(new.labels) = 'object' AND octet_length(new.labels::text) < 100, false)) EXECUTE FUNCTION tenantd.check_wants();
CREATE TRIGGER accept_checked_update BEFORE UPDATE OF external_id, host, profile, client_name, redirect_uris, desired_state, desired_version, priority, not_before, labels ON tenantd.tenants
    FOR EACH ROW WHEN (new.desired_version < 1 OR new.external_id IS DISTINCT FROM old.external_id OR new.host IS DISTINCT FROM old.host OR new.profile IS DISTINCT FROM old.profile OR new.client_name IS DISTINCT FROM old.client_name OR new.redirect_uris IS DISTINCT FROM old.redirect_uris OR new.desired_state IS DISTINCT FROM old.desired_state OR new.priority IS DISTINCT FROM old.priority OR new.not_before IS DISTINCT FROM old.not_before OR new.labels IS DISTINCT FROM old.labels AND NOT COALESCE(jsonb_typeof(new.labels) = 'object' AND octet_length(new.labels::text) < 100, false)) EXECUTE FUNCTION tenantd.check_wants();
CREATE TRIGGER accept_insert BEFORE INSERT ON tenantd.tenants
    FOR EACH ROW WHEN (new.desired_state IS DISTINCT FROM 'present' OR new.desired_version IS DISTINCT FROM 1 OR new.not_before IS NOT NULL OR current_setting('tenantd.has_former', true) IS DISTINCT FROM 'false') EXECUTE FUNCTION tenantd.accept_insert();
CREATE TRIGGER accept_update BEFORE UPDATE OF external_id, host, profile, client_name, redirect_uris, desired_state, desired_version, not_before ON tenantd.tenants
    FOR EACH ROW WHEN (new.external_id IS DISTINCT FROM old.external_id OR new.host IS DISTINCT FROM old.host OR new.profile IS DISTINCT FROM old.profile OR new.client_name IS DISTINCT FROM old.client_name OR new.redirect_uris IS DISTINCT FROM old.redirect_uris OR new.desired_state IS DISTINCT FROM old.desired_state OR new.desired_version IS DISTINCT FROM old.desired_version OR new.not_before IS DISTINCT FROM old.not_before) EXECUTE FUNCTION tenantd.accept_update();
CREATE TRIGGER await_anew AFTER UPDATE OF not_before, desired_state ON tenantd.tenants
    FOR EACH ROW WHEN (new.desired_state = 'present' AND (old.desired_state <> 'present' OR new.ready_at IS NULL AND new.not_before IS DISTINCT FROM old.not_before)) EXECUTE FUNCTION tenantd.await_anew();
CREATE TRIGGER await_inserted AFTER INSERT ON tenantd.tenants REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.await_inserted();
CREATE TRIGGER count_class AFTER UPDATE ON tenantd.tenants
    FOR EACH ROW WHEN (new.is_under_way <> old.is_under_way OR (new.phase = 'removed') <> (old.phase = 'removed')) EXECUTE FUNCTION tenantd.count_class();
CREATE TRIGGER count_deleted AFTER DELETE ON tenantd.tenants REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.count_rows();
CREATE TRIGGER count_inserted AFTER INSERT ON tenantd.tenants REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.count_rows();
CREATE TRIGGER count_truncated AFTER TRUNCATE ON tenantd.tenants
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.count_none();
CREATE TRIGGER look_back BEFORE INSERT ON tenantd.tenants
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.look_back();
CREATE TRIGGER note_edit BEFORE UPDATE OF priority, labels ON tenantd.tenants
    FOR EACH ROW EXECUTE FUNCTION tenantd.note_edit();
CREATE TRIGGER notify_event AFTER UPDATE ON tenantd.tenants
    FOR EACH ROW WHEN (new.phase = 'ready' AND old.phase <> 'ready' OR new.phase = 'removed' AND old.phase <> 'removed' OR new.parked_reason IS NOT NULL AND old.parked_reason IS DISTINCT FROM new.parked_reason) EXECUTE FUNCTION tenantd.notify_event();
CREATE TRIGGER notify_work_of_insert AFTER INSERT ON tenantd.tenants
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.notify_work();
CREATE TRIGGER number_for_previous BEFORE UPDATE ON tenantd.tenants
    FOR EACH ROW WHEN (new.current_version IS DISTINCT FROM old.current_version AND NOT new.last_version IS DISTINCT FROM old.last_version) EXECUTE FUNCTION tenantd.number_for_previous();
CREATE TRIGGER refuse_delete BEFORE DELETE ON tenantd.tenants
    FOR EACH ROW WHEN (old.phase <> 'removed' OR old.recheck_at IS NOT NULL OR tenantd.is_unlooked(old.rejoin_epoch, old.lease_epoch, old.region)) EXECUTE FUNCTION tenantd.refuse_delete();
CREATE TRIGGER refuse_forgotten_versions AFTER INSERT ON tenantd.tenants REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.refuse_forgotten_versions();
CREATE TRIGGER refuse_host_of_removed_on_insert BEFORE INSERT ON tenantd.tenants
    FOR EACH ROW WHEN (current_setting('tenantd.has_absent', true) IS DISTINCT FROM 'false') EXECUTE FUNCTION tenantd.refuse_host_of_removed();
CREATE TRIGGER refuse_host_of_removed_on_update BEFORE UPDATE OF host ON tenantd.tenants
    FOR EACH ROW WHEN (new.host <> old.host) EXECUTE FUNCTION tenantd.refuse_host_of_removed();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON tenantd.tenants
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.refuse_truncate();
CREATE TRIGGER remember_versions AFTER DELETE ON tenantd.tenants
    FOR EACH ROW WHEN (old.desired_version > 1 OR old.last_version IS NOT NULL) EXECUTE FUNCTION tenantd.remember_versions();
CREATE TRIGGER turn_under_way_of_insert BEFORE INSERT ON tenantd.tenants
    FOR EACH ROW WHEN (new.is_under_way IS DISTINCT FROM (new.parked_reason IS NOT NULL OR (new.phase <> 'ready' OR new.desired_state <> 'present') AND (new.phase <> 'removed' OR new.recheck_at IS NOT NULL))) EXECUTE FUNCTION tenantd.turn_under_way();
CREATE TRIGGER turn_under_way_of_update BEFORE UPDATE ON tenantd.tenants
    FOR EACH ROW WHEN (new.is_under_way IS DISTINCT FROM (new.parked_reason IS NOT NULL OR (new.phase <> 'ready' OR new.desired_state <> 'present') AND (new.phase <> 'removed' OR new.recheck_at IS NOT NULL))) EXECUTE FUNCTION tenantd.turn_under_way();
CREATE TRIGGER unknow_applied BEFORE UPDATE ON tenantd.tenants
    FOR EACH ROW WHEN (new.applied_wants = old.applied_wants AND (old.edited_at IS NOT NULL AND new.edited_at IS NULL OR new.client_id IS DISTINCT FROM old.client_id)) EXECUTE FUNCTION tenantd.unknow_applied();
CREATE TRIGGER wake BEFORE UPDATE ON tenantd.tenants
    FOR EACH ROW WHEN (new.generation IS DISTINCT FROM old.generation OR new.host IS DISTINCT FROM old.host OR new.profile IS DISTINCT FROM old.profile OR new.client_name IS DISTINCT FROM old.client_name OR new.redirect_uris IS DISTINCT FROM old.redirect_uris OR new.desired_state IS DISTINCT FROM old.desired_state OR new.not_before IS DISTINCT FROM old.not_before OR new.acknowledged_version IS DISTINCT FROM old.acknowledged_version OR new.removal_admitted_at IS DISTINCT FROM old.removal_admitted_at OR new.paused_at IS DISTINCT FROM old.paused_at OR new.paused_until IS DISTINCT FROM old.paused_until OR new.desired_version <> old.desired_version AND new.phase <> 'removed' AND new.desired_version IS DISTINCT FROM new.current_version OR new.aged_version IS DISTINCT FROM old.aged_version OR new.repair_scope IS NOT NULL AND new.repair_scope IS DISTINCT FROM old.repair_scope) EXECUTE FUNCTION tenantd.wake();

CREATE TRIGGER refuse_to_empty BEFORE TRUNCATE ON tenantd.secrets
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.refuse_to_empty();

CREATE TRIGGER refuse_to_empty BEFORE TRUNCATE ON tenantd.regions
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.refuse_to_empty();

CREATE TRIGGER refuse_to_empty BEFORE DELETE OR TRUNCATE ON tenantd.rollouts
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.refuse_to_empty();

CREATE TRIGGER refuse_to_empty BEFORE TRUNCATE ON tenantd.changes
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.refuse_to_empty();

CREATE TRIGGER refuse_to_empty BEFORE DELETE OR TRUNCATE ON tenantd.schedules
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.refuse_to_empty();

CREATE TRIGGER refuse_to_empty BEFORE TRUNCATE ON tenantd.pauses
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.refuse_to_empty();

CREATE TRIGGER refuse_to_empty BEFORE TRUNCATE ON tenantd.former_tenants
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.refuse_to_empty();

CREATE TRIGGER refuse_to_empty BEFORE TRUNCATE ON tenantd.rights
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.refuse_to_empty();

CREATE TRIGGER refuse_to_empty BEFORE DELETE OR TRUNCATE ON tenantd.counts
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.refuse_to_empty();

CREATE TRIGGER refuse_to_empty BEFORE TRUNCATE ON tenantd.count_deltas
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.refuse_to_empty();

CREATE TRIGGER refuse_to_empty BEFORE TRUNCATE ON tenantd.idempotency_keys
    FOR EACH STATEMENT EXECUTE FUNCTION tenantd.refuse_to_empty();
