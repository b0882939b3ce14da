-- The next tenant to probe is found by indexes, one look for each class of tenants.
--
-- Why: a breaker that is open is closed by a probe alone, and to choose one meant to sort the
-- whole region. At ten million tenants that took longer than the daemon waits for any answer.
--
-- Locks: none.
-- Safe while the previous version runs: yes (creates only).

CREATE FUNCTION tenantd.may_be_probed(t tenantd.tenants) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (t.lease_holder IS NULL
            OR t.lease_expires_at <= tenantd.clock() AND (t.unanswered IS NULL OR t.settles_at IS NOT NULL))
       AND t.parked_reason IS NULL
       AND (t.paused_at IS NULL OR t.paused_until <= tenantd.clock())
       AND t.desired_state = 'present'
       AND (t.phase <> 'pending' OR t.not_before IS NULL OR t.not_before <= tenantd.clock());
COMMENT ON FUNCTION tenantd.may_be_probed(tenantd.tenants) IS 'Whether a region whose breaker is open may be probed with this tenant.';
