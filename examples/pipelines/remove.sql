-- Remove a customer: the row stays, and says what should be.
-- Needs: tenantd_pipeline (deploy/postgres/roles.sql).
--
-- This version of tenantd does not delete the client in Qlik yet: tenantd.status says
-- NotYetSupported.
--
-- tenantd.credentials shows nothing of the customer from this commit on. A DELETE would
-- leave a live credential behind in Qlik, and is refused. Harmless to repeat.

UPDATE tenantd.tenants SET desired_state = 'absent' WHERE external_id = 'customer-42';
