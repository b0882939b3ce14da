-- Wait until a customer can sign in: listen first, then look, then look again at every
-- notification. In this order nothing is missed in between.
-- Needs: tenantd_pipeline (deploy/postgres/roles.sql).
--
-- A notification reads {"external_id","event":"ready"|"parked"|"removed","phase","reason"};
-- ready comes with every new version. It is a hint, and anybody who may connect can send
-- one: believe the view. One that comes while nobody listens is lost, so look again every
-- minute or so as well. LISTEN needs a session of its own, not one of a transaction pooler.

LISTEN tenantd_events;

SELECT external_id, phase, ready, parked, reason, message, since, next_attempt_at
  FROM tenantd.status
 WHERE external_id = 'customer-42';
