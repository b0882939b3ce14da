-- What the pages show: many that become ready, some that wait for somebody, some that are tried
-- again and again, one that is paused, and names that somebody made up to do harm.
INSERT INTO tenantd.tenants (external_id, host, labels)
SELECT 'customer-' || lpad(n::text, 3, '0'),
       'customer-' || n || (ARRAY['.us', '.eu'])[n % 2 + 1] || '.qlikcloud.com',
       jsonb_build_object('tier', (ARRAY['gold', 'silver', 'bronze'])[n % 3 + 1])
  FROM generate_series(1, 120) AS n;
INSERT INTO tenantd.tenants (external_id, host)
SELECT 'typo-' || n, 'typo-' || n || '.us.qlikcluod.com' FROM generate_series(1, 7) AS n;
INSERT INTO tenantd.tenants (external_id, host, profile)
SELECT 'portal-' || n, 'portal-' || n || '.eu.qlikcloud.com', 'portal-v2' FROM generate_series(1, 2) AS n;
INSERT INTO tenantd.tenants (external_id, host)
SELECT 'slow-' || n, 'slow-' || n || '.us.qlikcloud.com' FROM generate_series(1, 3) AS n;
INSERT INTO tenantd.tenants (external_id, host, not_before)
VALUES ('next-month', 'next-month.eu.qlikcloud.com', tenantd.clock() + interval '20 days');
INSERT INTO tenantd.tenants (external_id, host, labels)
VALUES ('<script>alert(1)</script>', 'hostile.us.qlikcluod.com', '{"<b>": "<img src=x onerror=alert(2)>"}'),
       (E'a/b?c#d "e" \u202Efdp.exe', 'odd.us.qlikcloud.com', '{}');
