-- A fleet as the version before 20261201000000 left it, on its schema: every phase, with
-- leases of daemons that are gone or still at work, requests without an answer, pauses, drift,
-- rotations, removals and history.
--
-- {now} is the instant of the upgrade. {client NAME}, {hint NAME N} and {sealed NAME N} are the
-- client of a tenant at Qlik, and hint and sealed text of its Nth secret there.

-- Loaded as a dump is: no trigger mends what is written.
SET session_replication_role = replica;

CREATE TEMPORARY TABLE left_behind AS SELECT * FROM tenantd.tenants;

-- Nothing was sent.
INSERT INTO left_behind (external_id, phase, not_before, due_at) VALUES
    ('new', 'pending', NULL, {now}),
    ('early', 'pending', {now} + interval '1 hour', {now} + interval '1 hour');

-- A create without an answer: the holder may be alive, is dead, or gave the row back.
INSERT INTO left_behind (external_id, phase, unanswered, settles_at, wait_reason, message, recheck_at, due_at) VALUES
    ('sent', 'creating', 'create', NULL, NULL, NULL, NULL, {now} - interval '10 s'),
    ('unsent', 'creating', 'create', NULL, NULL, NULL, NULL, {now} - interval '5 min'),
    ('settling', 'creating', 'create', {now} + interval '1 min', 'Settling', 'a create went unanswered',
     {now} + interval '3 min', {now} + interval '1 min'),
    ('retrying', 'creating', NULL, NULL, 'Retrying', 'create: Qlik has trouble (status 503)', NULL, {now} + interval '30 s');
UPDATE left_behind SET failures = 3 WHERE external_id = 'retrying';

-- A client without a proven secret.
INSERT INTO left_behind (external_id, phase, client_id, unanswered, mint_snapshot, is_adopted, wait_reason, parked_reason,
                         message, failures, paused_at, paused_until, pause_reason, due_at) VALUES
    ('minting', 'creating', '{client minting}', 'mint', '{"{hint minting 1}"}', true, NULL, NULL, NULL, 0, NULL, NULL, NULL, {now}),
    ('created', 'created', '{client created}', NULL, NULL, false, NULL, NULL, NULL, 0, NULL, NULL, NULL, {now}),
    ('trusted', 'trusted', '{client trusted}', NULL, NULL, false, NULL, NULL, NULL, 0, NULL, NULL, NULL, {now}),
    ('blocked', 'trusted', '{client blocked}', NULL, NULL, false, 'Blocked', NULL, 'the tenant is deactivated', 2, NULL, NULL, NULL, {now} + interval '15 min'),
    ('paused', 'trusted', '{client paused}', NULL, NULL, false, NULL, NULL, NULL, 0, {now} - interval '1 hour', {now} + interval '10 min', 'maintenance', {now}),
    ('parked', 'trusted', '{client parked}', NULL, NULL, false, NULL, 'GaveUp', 'no progress for 24h', 40, NULL, NULL, NULL, NULL);

-- Consumers have a credential.
INSERT INTO left_behind (external_id, phase, client_id, current_version, desired_version, unanswered, mint_snapshot, drift,
                         drifted_at, repair_scope, edited_at, redirect_uris, retire_at, desired_state, removal_admitted_at, due_at) VALUES
    ('resting', 'ready', '{client resting}', 1, 1, NULL, NULL, '{}', NULL, NULL, NULL, NULL, NULL, 'present', NULL, NULL),
    ('stale', 'ready', '{client stale}', 1, 2, NULL, NULL, '{}', NULL, NULL, NULL, NULL, NULL, 'present', NULL, {now}),
    ('drifted', 'ready', '{client drifted}', 1, 1, NULL, NULL, '{consent}', {now} - interval '1 hour', 'consent', NULL, NULL, NULL, 'present', NULL, {now}),
    ('edited', 'ready', '{client edited}', 1, 1, NULL, NULL, '{}', NULL, NULL, {now} - interval '1 min', '{https://new.example.com/callback}', NULL, 'present', NULL, {now}),
    ('retiring', 'ready', '{client retiring}', 2, 2, NULL, NULL, '{}', NULL, NULL, NULL, NULL, {now} + interval '1 hour', 'present', NULL, {now} + interval '1 hour'),
    ('rotating', 'rotating', '{client rotating}', 1, 2, 'mint', '{"{hint rotating 1}"}', '{}', NULL, NULL, NULL, NULL, NULL, 'present', NULL, {now}),
    ('proving', 'proving', '{client proving}', 1, 2, NULL, NULL, '{}', NULL, NULL, NULL, NULL, NULL, 'present', NULL, {now}),
    ('unwanted', 'ready', '{client unwanted}', 1, 1, NULL, NULL, '{}', NULL, NULL, NULL, NULL, NULL, 'absent', NULL, NULL),
    ('admitted', 'ready', '{client admitted}', 1, 1, NULL, NULL, '{}', NULL, NULL, NULL, NULL, NULL, 'absent', {now} - interval '1 min', {now}),
    ('removing', 'removing', '{client removing}', 1, 1, NULL, NULL, '{}', NULL, NULL, NULL, NULL, NULL, 'absent', {now} - interval '1 min', {now});
UPDATE left_behind SET ready_at = {now} - interval '1 day' WHERE current_version IS NOT NULL;

-- Nothing is left, or nothing is known to be.
INSERT INTO left_behind (external_id, phase, desired_state, removal_admitted_at, must_look, recheck_at, due_at) VALUES
    ('gone', 'removed', 'absent', {now} - interval '1 day', true, NULL, NULL),
    ('looking', 'removed', 'absent', {now} - interval '1 min', true, {now} + interval '2 min', {now} + interval '2 min');

-- Of the leases one is over: its holder died. The others' holders may be at work.
UPDATE left_behind
   SET lease_holder = md5('holder')::uuid, lease_epoch = 7, lease_step = 2,
       leased_at = {now} - interval '10 s', lease_expires_at = {now} + interval '50 s'
 WHERE external_id IN ('sent', 'minting', 'created', 'rotating', 'removing');
UPDATE left_behind
   SET lease_holder = md5('dead')::uuid, lease_epoch = 3,
       leased_at = {now} - interval '5 min', lease_expires_at = {now} - interval '4 min'
 WHERE external_id = 'unsent';

INSERT INTO tenantd.tenants
SELECT (jsonb_populate_record(NULL::tenantd.tenants, to_jsonb(l) || jsonb_strip_nulls(jsonb_build_object(
       'tenant_id', md5(external_id)::uuid, 'host', external_id || '.us.qlikcloud.com', 'profile', 'default',
       'desired_state', coalesce(desired_state, 'present'), 'desired_version', coalesce(desired_version, 1),
       'priority', 0, 'labels', '{"crm": "left"}'::jsonb, 'region', CASE WHEN phase = 'pending' THEN '' ELSE 'us' END,
       'is_adopted', coalesce(is_adopted, false), 'is_minted_afresh', false, 'must_look', coalesce(must_look, false),
       'version_gap', 0, 'left_clients', '{}'::text[], 'drift', coalesce(drift, '{}'), 'failures', coalesce(failures, 0),
       'lease_epoch', coalesce(lease_epoch, 1), 'lease_step', coalesce(lease_step, 0),
       'claim_rank', '2000-01-01 00:00:00+00'::timestamptz, 'reason_since', {now} - interval '10 s',
       'progress_at', {now} - interval '10 s', 'created_at', {now} - interval '2 days', 'updated_at', {now} - interval '10 s',
       'turned_at', {now} - interval '1 min')))).*
  FROM left_behind AS l;

INSERT INTO tenantd.secrets (tenant_id, client_id, hint, standing, version, sealed, key_id, created_at, proven_at, retire_at)
SELECT md5(s.name)::uuid, t.client_id, s.hint, s.standing, s.version, s.sealed, '{key}', {now} - interval '1 day',
       CASE WHEN s.version IS NOT NULL THEN {now} - interval '1 day' END,
       CASE WHEN s.standing = 'previous' THEN {now} + interval '1 hour' END
  FROM (VALUES
        ('created', '{hint created 1}', '{sealed created 1}', 'unproven', NULL::integer),
        ('trusted', '{hint trusted 1}', '{sealed trusted 1}', 'unproven', NULL),
        ('blocked', '{hint blocked 1}', '{sealed blocked 1}', 'unproven', NULL),
        ('paused', '{hint paused 1}', '{sealed paused 1}', 'unproven', NULL),
        ('parked', '{hint parked 1}', '{sealed parked 1}', 'unproven', NULL),
        ('resting', '{hint resting 1}', '{sealed resting 1}', 'current', 1),
        ('stale', '{hint stale 1}', '{sealed stale 1}', 'current', 1),
        ('drifted', '{hint drifted 1}', '{sealed drifted 1}', 'current', 1),
        ('edited', '{hint edited 1}', '{sealed edited 1}', 'current', 1),
        ('retiring', '{hint retiring 1}', '{sealed retiring 1}', 'previous', 1),
        ('retiring', '{hint retiring 2}', '{sealed retiring 2}', 'current', 2),
        ('rotating', '{hint rotating 1}', '{sealed rotating 1}', 'current', 1),
        ('proving', '{hint proving 1}', '{sealed proving 1}', 'current', 1),
        ('proving', '{hint proving 2}', '{sealed proving 2}', 'unproven', NULL),
        ('unwanted', '{hint unwanted 1}', '{sealed unwanted 1}', 'current', 1),
        ('admitted', '{hint admitted 1}', '{sealed admitted 1}', 'current', 1),
        ('removing', '{hint removing 1}', '{sealed removing 1}', 'current', 1))
       AS s (name, hint, sealed, standing, version)
  JOIN tenantd.tenants AS t ON t.external_id = s.name;

INSERT INTO tenantd.attempts (tenant_id, phase, effect, outcome, started_at, duration_ms, holder)
SELECT tenant_id, phase, 'create', 'done', {now} - interval '1 day', 120, md5('holder')::uuid
  FROM tenantd.tenants WHERE client_id IS NOT NULL;

SET session_replication_role = DEFAULT;
DROP TABLE left_behind;
