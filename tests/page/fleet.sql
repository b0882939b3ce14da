-- A fleet of 100,000 tenants for `times.sh`: most are ready for a while, some are parked for each
-- reason, some wait, some are to be removed; with their secrets and a history. Nothing is due, so
-- that the daemon lets the clock tell of the pages alone.
INSERT INTO tenantd.tenants (external_id, host, labels, not_before)
SELECT 'customer-' || lpad(n::text, 6, '0'),
       'customer-' || n || (ARRAY['.us', '.eu'])[n % 2 + 1] || '.qlikcloud.com',
       jsonb_build_object('tier', (ARRAY['gold', 'silver', 'bronze'])[n % 3 + 1], 'account', n),
       CASE WHEN n > 97000 THEN tenantd.clock() + interval '10 days' END
  FROM generate_series(1, 100000) AS n;
UPDATE tenantd.tenants
   SET phase = 'ready', client_id = 'client-' || external_id, current_version = 1, region = substr(host, strpos(host, '.') + 1, 2),
       created_at = tenantd.clock() - interval '40 days' + substr(external_id, 10)::integer * interval '30 seconds',
       ready_at = tenantd.clock() - interval '40 days' + substr(external_id, 10)::integer * interval '30 seconds' + interval '4 seconds',
       spent = ARRAY[900000, 200000, 1500000, 600000, 0], due_at = tenantd.clock() + interval '20 days', audit_at = tenantd.clock() + interval '20 days'
 WHERE external_id <= 'customer-094000';
UPDATE tenantd.tenants
   SET parked_reason = (ARRAY['NameTaken', 'GaveUp', 'HostNotAllowed', 'Rejected', 'ClientMissing'])[substr(external_id, 10)::integer % 5 + 1],
       message = 'Qlik answered 409: set another client_name', due_at = NULL
 WHERE external_id > 'customer-094000' AND external_id <= 'customer-097000';
UPDATE tenantd.tenants SET desired_state = 'absent' WHERE external_id <= 'customer-000500';
INSERT INTO tenantd.secrets (tenant_id, client_id, hint, sealed, key_id, standing, version, proven_at)
SELECT tenant_id, client_id, 'hint', repeat('e', 400) || '.a.b.c.d', 'kid', 'current', 1, ready_at
  FROM tenantd.tenants WHERE phase = 'ready';
INSERT INTO tenantd.attempts (tenant_id, phase, effect, outcome, started_at, duration_ms, holder)
SELECT t.tenant_id, a.phase, a.effect, 'done', t.ready_at - a.ago * interval '1 second', 300, t.tenant_id
  FROM tenantd.tenants AS t
 CROSS JOIN (VALUES ('created', 'create', 3), ('trusted', 'trust', 2), ('ready', 'prove', 1)) AS a (phase, effect, ago)
 WHERE t.phase = 'ready';
-- One tenant that was tried a thousand times.
INSERT INTO tenantd.attempts (tenant_id, phase, effect, outcome, http_status, message, started_at, duration_ms, holder)
SELECT t.tenant_id, 'creating', 'create', 'retry', 503, 'Qlik answered 503', tenantd.clock() - n * interval '1 minute', 300, t.tenant_id
  FROM tenantd.tenants AS t, generate_series(1, 1000) AS n
 WHERE t.external_id = 'customer-096000';
INSERT INTO tenantd.changes (kind, tenant_id, target_version, started_at, ended_at, outcome)
SELECT 'rotation', tenant_id, 2, tenantd.clock() - (n % 672) * interval '1 hour', tenantd.clock(), 'done'
  FROM (SELECT tenant_id, row_number() OVER () AS n FROM tenantd.tenants LIMIT 60000) AS t;
VACUUM ANALYZE;
