-- A refused credential is corrected by a reload.
--
-- Why: a daemon reads its configuration anew while it runs, and whoever follows the advice to restart
-- does it to daemons that have work in hand. Where systemd or Docker hands out a copy of the file, a
-- reload reads that copy again, and only a restart helps.
--
-- Locks: the view, for a moment.
-- Safe while the previous version runs: it tells the sentence as it stands.

CREATE OR REPLACE VIEW tenantd.status AS
SELECT t.tenant_id,
       t.external_id,
       t.host,
       t.phase,
       r.is_ready AS ready,
       t.parked_reason IS NOT NULL AS parked,
       CASE WHEN t.parked_reason IS NOT NULL THEN t.parked_reason
            WHEN t.phase = 'removed'         THEN 'Removed'
            WHEN r.is_ready                  THEN NULL
            WHEN r.awaits_budget AND h.is_held_back THEN 'ChangesHeld'
            WHEN r.awaits_budget AND h.is_held THEN 'DeletionsHeld'
            -- What is paused is not let through, whatever the budget has left.
            WHEN r.is_paused                 THEN 'Paused'
            WHEN r.awaits_budget AND b.opened_at IS NOT NULL THEN 'BreakerOpen'
            WHEN r.awaits_budget             THEN 'AwaitingBudget'
            WHEN r.is_early                  THEN 'NotBefore'
            WHEN r.is_held                   THEN 'Working'
            WHEN b.opened_at IS NOT NULL     THEN 'BreakerOpen'
            ELSE coalesce(t.wait_reason, 'Queued')
       END AS reason,
       CASE WHEN t.parked_reason IS NOT NULL THEN t.message
            WHEN t.phase = 'removed'
                 AND (t.recheck_at IS NOT NULL
                      -- tenantd.is_unlooked, by the tables.
                      OR t.lease_epoch <> 0 AND t.region <> '' AND t.rejoin_epoch < h.rejoin_epoch)
            THEN coalesce(t.message, 'nothing of ours is known at Qlik: it is looked at once more, and until then the row is kept')
            WHEN t.phase = 'removed'         THEN coalesce(t.message, 'nothing of ours is left at Qlik: the row may be deleted, or set desired_state to present for a new life')
            WHEN r.is_ready                  THEN NULL
            WHEN r.awaits_budget AND h.is_held_back THEN 'this may be a copy of the real database: nothing is changed at Qlik until an operator has said that it is the real one, with `tenantd rejoin --confirm`'
            WHEN r.awaits_budget AND h.is_held THEN 'nothing is deleted at Qlik until an operator has read `tenantd rejoin --status` and agreed with `tenantd rejoin --agree`'
            WHEN o.is_paused                 THEN 'paused by an operator: ' || t.pause_reason || '; `tenantd tenant resume` ends it'
            WHEN r.is_paused                 THEN CASE WHEN p.is_of_fleet THEN 'the fleet is paused by an operator: ' || p.reason || '; `tenantd fleet resume` ends it'
                                                       ELSE 'the region is paused by an operator: ' || p.reason || '; `tenantd fleet resume --region ' || t.region || '` ends it'
                                                  END
            WHEN r.awaits_budget AND b.opened_at IS NOT NULL THEN 'the credential of region ' || t.region || ' is refused: correct it and reload, or restart where the daemon has a copy; `tenantd doctor` tests it'
            WHEN r.awaits_budget             THEN format('the removal waits for its place in [budget] removals_per_hour: %s let through in the last hour, %s waiting; `tenantd fleet status` shows the limit', h.admitted, h.waiting)
            WHEN r.is_early                  THEN 'nothing is sent before the row''s not_before'
            WHEN r.is_held                   THEN 'a daemon is working on it'
            WHEN b.opened_at IS NOT NULL     THEN 'the credential of region ' || t.region || ' is refused: correct it and reload, or restart where the daemon has a copy; `tenantd doctor` tests it'
            ELSE coalesce(t.message, 'waits for a daemon')
       END AS message,
       CASE WHEN t.parked_reason IS NOT NULL OR t.phase = 'removed' OR r.is_ready
                 OR r.awaits_budget AND (h.is_held OR NOT r.is_paused AND b.opened_at IS NULL)
            THEN t.reason_since
            WHEN o.is_paused             THEN t.paused_at
            WHEN r.is_paused             THEN p.paused_at
            WHEN r.is_early              THEN t.reason_since
            WHEN r.is_held               THEN t.leased_at
            WHEN b.opened_at IS NOT NULL THEN greatest(b.opened_at, t.reason_since)
            -- A pending row is queued only since its not_before came.
            WHEN t.phase = 'pending'     THEN greatest(t.reason_since, t.not_before)
            ELSE t.reason_since
       END AS since,
       CASE WHEN r.is_held THEN NULL
            WHEN t.due_at IS NULL THEN NULL
            -- Also while it is due because somebody has said something, for as long as it takes to look.
            WHEN t.parked_reason IS NOT NULL OR r.awaits_budget THEN NULL
            WHEN t.phase = 'removed' AND t.recheck_at IS NULL THEN NULL
            -- A pause without an end, of the row or of its region, outlasts one with.
            WHEN o.is_paused AND t.paused_until IS NULL THEN NULL
            WHEN p.paused_at IS NOT NULL AND p.paused_until IS NULL THEN NULL
            ELSE greatest(t.due_at, b.probe_at, p.paused_until,
                          CASE WHEN r.is_early THEN t.not_before END,
                          CASE WHEN r.is_backing_off THEN t.backoff_at END,
                          CASE WHEN o.is_paused THEN t.paused_until END)
       END AS next_attempt_at,
       t.failures,
       t.client_id,
       t.created_at,
       t.ready_at,
       t.updated_at,
       t.labels,
       t.current_version AS version,
       r.is_paused AS paused,
       t.drift,
       t.audited_at
  FROM tenantd.tenants AS t
  LEFT JOIN tenantd.regions AS b ON b.region = t.region
  -- tenantd.is_leased, by the tables: whoever reads the view may not read all of them.
  LEFT JOIN tenantd.lease_extensions AS e
    ON e.tenant_id = t.tenant_id AND e.lease_epoch = t.lease_epoch AND t.lease_holder IS NOT NULL
  LEFT JOIN LATERAL (
       SELECT min(x.paused_at) AS paused_at,
              CASE WHEN bool_and(x.paused_until IS NOT NULL) THEN max(x.paused_until) END AS paused_until,
              bool_or(x.region = '*') AS is_of_fleet,
              coalesce(min(x.reason) FILTER (WHERE x.region = '*'), min(x.reason)) AS reason
         FROM tenantd.pauses AS x
        WHERE x.region IN ('*', t.region) AND (x.paused_until IS NULL OR x.paused_until > tenantd.clock())
       ) AS p ON true
 CROSS JOIN (
       SELECT i.deletions_held_at IS NOT NULL AS is_held, i.changes_held_at IS NOT NULL AS is_held_back, i.rejoin_epoch,
              -- Counted once for all rows, and only where one waits.
              (SELECT count(*) FROM tenantd.changes AS c
                WHERE c.kind = 'removal' AND c.started_at > tenantd.clock() - interval '1 hour') AS admitted,
              (SELECT count(*) FROM tenantd.tenants AS w
                WHERE w.desired_state = 'absent' AND w.removal_admitted_at IS NULL
                  AND w.phase NOT IN ('removing', 'removed')) AS waiting
         FROM tenantd.installation AS i
       ) AS h
 CROSS JOIN LATERAL (
       SELECT t.paused_at IS NOT NULL AND coalesce(t.paused_until > tenantd.clock(), true) AS is_paused
       ) AS o
 CROSS JOIN LATERAL (
       SELECT t.current_version IS NOT NULL AND t.desired_state = 'present' AND t.phase <> 'removing' AS is_ready,
              t.desired_state = 'absent' AND t.removal_admitted_at IS NULL AND t.phase NOT IN ('removing', 'removed')
                                                                              AS awaits_budget,
              p.paused_at IS NOT NULL OR o.is_paused                          AS is_paused,
              t.phase = 'pending' AND coalesce(t.not_before > tenantd.clock(), false) AS is_early,
              -- What was let through goes, whatever Qlik answered before.
              t.backoff_at > tenantd.clock()
              AND (t.desired_state = 'present' OR t.removal_admitted_at IS NULL OR t.phase IN ('removing', 'removed'))
                                                                              AS is_backing_off,
              coalesce(greatest(t.lease_expires_at, e.expires_at) > tenantd.clock(), false) AS is_held
       ) AS r;
