-- Onboard a customer: one INSERT in the transaction in which the customer is born.
-- Needs: tenantd_pipeline (deploy/postgres/roles.sql).
--
-- Either both rows are there or neither is. tenantd wakes up at the commit, and on a
-- rollback Qlik never hears of it. Run it twice: nothing happens the second time.

BEGIN;

-- Your own table.
INSERT INTO customers (customer_id, name) VALUES ('customer-42', 'Acme')
ON CONFLICT (customer_id) DO NOTHING;

INSERT INTO tenantd.tenants (external_id, host) VALUES ('customer-42', 'acme42.us.qlikcloud.com')
ON CONFLICT (external_id) DO NOTHING;

COMMIT;
