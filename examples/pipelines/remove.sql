-- Remove a customer: the row stays, and says what should be.
-- Needs: tenantd_pipeline (deploy/postgres/roles.sql).
--
-- tenantd.credentials shows nothing of the customer from this commit on. The daemon deletes
-- the client in Qlik, its tokens and its bot user, and then every sealed secret, as fast as
-- [budget] removals_per_hour lets it: until then tenantd.status says AwaitingBudget, and in
-- the end Removed (an event "removed" tells of it). A tenant to which nothing was ever sent
-- is removed at once.
--
-- Set back to 'present', the tenant starts a new life, under a higher version. A DELETE
-- before phase removed would leave a live credential behind in Qlik, and is refused; so is one
-- before the last look, some minutes later. After that the host is free for another key:
--
--   DELETE FROM tenantd.tenants WHERE external_id = 'customer-42';
--
-- Harmless to repeat.

UPDATE tenantd.tenants SET desired_state = 'absent' WHERE external_id = 'customer-42';
