-- Rotate a customer's secret: ask for one version more than is asked for now.
-- Needs: tenantd_pipeline (deploy/postgres/roles.sql).
--
-- This version of tenantd notes the wish and does not rotate yet.
--
-- Not harmless to repeat: every run asks for a rotation more. A pipeline that retries
-- should write the number it wants; a number that was asked for before changes nothing:
--
--   UPDATE tenantd.tenants SET desired_version = 2 WHERE external_id = 'customer-42';

UPDATE tenantd.tenants SET desired_version = desired_version + 1 WHERE external_id = 'customer-42';
