-- Makes secrets look older than this run, so that they come of age on different days.
UPDATE tenantd.secrets AS s
   SET created_at = s.created_at - make_interval(days => n % 27),
       proven_at = s.proven_at - make_interval(days => n % 27)
  FROM (SELECT secret_id, row_number() OVER (ORDER BY secret_id)::integer AS n FROM tenantd.secrets) AS numbered
 WHERE numbered.secret_id = s.secret_id AND s.standing = 'current' AND n % 3 > 0;
UPDATE tenantd.tenants SET desired_state = 'absent' WHERE external_id IN ('customer-118', 'customer-119');
