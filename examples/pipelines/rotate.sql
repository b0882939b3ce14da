-- Rotate a customer's secret: ask for one version more than is asked for now.
-- Needs: tenantd_pipeline (deploy/postgres/roles.sql).
--
-- The daemon mints a second secret, proves it, and shows it in tenantd.credentials as
-- current. The old one stays there as previous and goes on working until rotation.overlap
-- is over, or until the web app says that all of it has switched:
--
--   SELECT tenantd.acknowledge('customer-42', 2);
--
-- Not harmless to repeat: every run asks for a rotation more. A pipeline that retries
-- should write the number it wants; a number that was asked for before changes nothing:
--
--   UPDATE tenantd.tenants SET desired_version = 2 WHERE external_id = 'customer-42';

UPDATE tenantd.tenants SET desired_version = desired_version + 1 WHERE external_id = 'customer-42';
