-- Candidates for rows of tenantd.tenants: the whole product of the facts that decide whether a row
-- is claimed, and in which places it stands. The constraints of the table say later which of
-- them can be. {now}, {phases} and {epochs} are filled in.
CREATE TABLE tenantd_test.candidates (LIKE tenantd.tenants INCLUDING DEFAULTS);
ALTER TABLE tenantd_test.candidates ADD lease text, ADD place text;

CREATE VIEW tenantd_test.products AS
WITH phases (phase, client_id, unanswered, settles) AS (VALUES
    ('pending', NULL, NULL, NULL),
    ('creating', NULL, NULL, NULL),
    ('creating', NULL, 'create', NULL), ('creating', NULL, 'create', '-1 h'), ('creating', NULL, 'create', '1 h'),
    ('creating', 'c', NULL, NULL),
    ('creating', 'c', 'mint', NULL), ('creating', 'c', 'mint', '-1 h'), ('creating', 'c', 'mint', '1 h'),
    ('created', 'c', NULL, NULL),
    ('trusted', 'c', NULL, NULL),
    ('ready', 'c', NULL, NULL),
    ('rotating', 'c', NULL, NULL),
    ('rotating', 'c', 'mint', NULL), ('rotating', 'c', 'mint', '-1 h'), ('rotating', 'c', 'mint', '1 h'),
    ('proving', 'c', NULL, NULL),
    ('removing', NULL, NULL, NULL), ('removing', 'c', NULL, NULL),
    ('removing', NULL, 'create', NULL), ('removing', NULL, 'create', '-1 h'), ('removing', NULL, 'create', '1 h'),
    ('removed', NULL, NULL, NULL)
), wants AS (
    SELECT *
      FROM phases
     CROSS JOIN (VALUES ('present'), ('absent')) AS d (desired_state)
     CROSS JOIN (VALUES (false), (true)) AS a (is_admitted)
     CROSS JOIN (VALUES ('none'), ('running'), ('expired'), ('extended'), ('of another claim')) AS l (lease)
     CROSS JOIN (VALUES (NULL), ('-1 min'), ('2 h')) AS u (due)
     CROSS JOIN (VALUES {epochs}) AS e (rejoin_epoch, lease_epoch)
     -- Nobody ever claimed it.
     WHERE e.lease_epoch <> 0 OR phase = 'pending' AND lease = 'none'
)
-- What a row says, in a place where nothing stands in its way.
SELECT w.*, p.pause, s.not_before, r.is_parked, b.backoff, m.must_look, k.profile, c.recheck,
       'us' AS suffix, '' AS region, 'open' AS place
  FROM wants AS w
 CROSS JOIN (VALUES (NULL), ('-1 min'), ('3 h'), ('open')) AS p (pause)
 CROSS JOIN (VALUES (NULL), ('-1 h'), ('5 h')) AS s (not_before)
 CROSS JOIN (VALUES (false), (true)) AS r (is_parked)
 CROSS JOIN (VALUES (NULL), ('-1 min'), ('4 h')) AS b (backoff)
 CROSS JOIN (VALUES (false), (true)) AS m (must_look)
 CROSS JOIN (VALUES ('default'), ('nobody')) AS k (profile)
 CROSS JOIN (VALUES (NULL), ('10 h')) AS c (recheck)
 WHERE w.phase IN ({phases})
   -- Where they decide something, and there alone in every combination.
   AND (s.not_before IS NULL OR w.phase = 'pending' OR s.not_before = '5 h' AND w.lease = 'none' AND w.due = '-1 min')
   AND (w.phase = 'pending' OR NOT m.must_look AND k.profile = 'default')
   AND (c.recheck IS NULL OR w.phase IN ('creating', 'removing', 'removed') OR w.lease = 'none' AND p.pause IS NULL)
UNION ALL
-- The same in every place.
SELECT w.*, p.pause, NULL, false, b.backoff, false, 'default', NULL, q.suffix, q.region, q.place
  FROM wants AS w
 CROSS JOIN (VALUES (NULL), ('3 h'), ('open')) AS p (pause)
 CROSS JOIN (VALUES (NULL), ('4 h')) AS b (backoff)
 CROSS JOIN (VALUES
       ('eu', '', 'unsorted, of a region with an open breaker'),
       ('ap', '', 'unsorted, of a paused region'),
       ('nowhere', '', 'unsorted, and allowed by no region'),
       ('us', 'us', 'sorted'),
       ('eu', 'eu', 'sorted into one with an open breaker'),
       ('ap', 'ap', 'sorted into a paused one'),
       ('jp', 'jp', 'sorted into a paused one with an open breaker'),
       ('sg', 'sg', 'sorted into one whose pause is over'),
       ('us', 'gone', 'sorted into one that nobody has configured'),
       ('eu', 'us', 'sorted before into another that is open'),
       ('us', 'eu', 'sorted before into another with an open breaker'),
       ('nowhere', 'us', 'sorted before it was allowed by no region')) AS q (suffix, region, place)
 WHERE w.phase IN ({phases}) AND w.settles IS NULL AND w.due IS NOT NULL;

INSERT INTO tenantd_test.candidates
       (external_id, host, region, phase, client_id, unanswered, settles_at, mint_snapshot, desired_state, removal_admitted_at,
        due_at, paused_at, paused_until, pause_reason, not_before, parked_reason, wait_reason, message, backoff_at, must_look,
        profile, recheck_at, current_version, ready_at, rejoin_epoch, lease_epoch, lease_holder, leased_at, lease_expires_at, reason_since,
        lease, place)
SELECT 'n' || row_number() OVER (), 'n' || row_number() OVER () || '.' || suffix || '.qlikcloud.com', region, phase, client_id,
       unanswered, {now} + settles::interval, CASE WHEN unanswered = 'mint' THEN '{}'::text[] END, desired_state,
       CASE WHEN is_admitted THEN {now} END, {now} + due::interval,
       CASE WHEN pause IS NOT NULL THEN {now} - interval '1 h' END,
       CASE WHEN pause <> 'open' THEN {now} + nullif(pause, 'open')::interval END,
       CASE WHEN pause IS NOT NULL THEN 'why' END, {now} + not_before::interval,
       CASE WHEN is_parked THEN 'GaveUp' END, CASE WHEN NOT is_parked AND backoff IS NOT NULL THEN 'Retrying' END, 'm',
       {now} + backoff::interval, must_look, profile, {now} + recheck::interval,
       CASE WHEN phase IN ('ready', 'rotating', 'proving') THEN 1 END,
       CASE WHEN phase IN ('ready', 'rotating', 'proving') THEN {now} END,
       rejoin_epoch, lease_epoch, CASE WHEN lease <> 'none' THEN gen_random_uuid() END, CASE WHEN lease <> 'none' THEN {now} - interval '2 min' END,
       CASE WHEN lease = 'running' THEN {now} + interval '1 min' WHEN lease <> 'none' THEN {now} - interval '1 min' END,
       {now} - interval '1 h', lease, place
  FROM tenantd_test.products;
