-- What the owner writes is of plain types, and one trigger checks it.
--
-- Why no domains: drivers stumble over them. They ask the server for the types of
-- parameters, know no arrays and no JSON of a domain, and reflection shows types that nobody
-- else has. Why no checks on the table: Postgres prepares each of them anew for every UPDATE,
-- also for the daemon's commits, which write none of these columns. A trigger's list of
-- columns is looked at only.
--
-- Why claim_rank is an index's expression: a column that another is generated from cannot
-- change its type, and a generated column cannot be added without writing every row anew.
--
-- Locks: ACCESS EXCLUSIVE on tenantd.tenants, tenantd.status and tenantd.credentials. No row
-- is written; the table is read three times, for two indexes and a check: some seconds for a
-- million rows. The views keep their rights, and what is built on them. A view of your own
-- over tenantd.tenants itself stops this before anything is changed: drop it first.
-- Safe while the previous version runs: yes, but it claims in no order until it is replaced,
-- and sorts all that is due in a region. What it had prepared fails once on each connection,
-- which it then gives up.

-- Nothing may hang on a column while its type changes. The views stay and show nothing for
-- the rest of this transaction.

CREATE OR REPLACE VIEW tenantd.status AS
SELECT NULL::uuid AS tenant_id, NULL::text AS external_id, NULL::text AS host, NULL::text AS phase,
       NULL::boolean AS ready, NULL::boolean AS parked, NULL::text AS reason, NULL::text AS message,
       NULL::timestamptz AS since, NULL::timestamptz AS next_attempt_at, NULL::integer AS failures,
       NULL::text AS client_id, NULL::timestamptz AS created_at, NULL::timestamptz AS ready_at,
       NULL::timestamptz AS updated_at, NULL::jsonb AS labels, NULL::integer AS version, NULL::boolean AS paused,
       NULL::text[] AS drift, NULL::timestamptz AS audited_at;

CREATE OR REPLACE VIEW tenantd.credentials WITH (security_barrier) AS
SELECT NULL::uuid AS tenant_id, NULL::text AS external_id, NULL::text AS host, NULL::text AS client_id,
       NULL::integer AS version, NULL::text AS stage, NULL::text AS sealed, NULL::timestamptz AS created_at;

DROP TRIGGER accept_update ON tenantd.tenants;
DROP TRIGGER refuse_host_of_removed_on_update ON tenantd.tenants;
DROP TRIGGER remember_versions ON tenantd.tenants;
DROP INDEX tenantd.tenants_due;

ALTER TABLE tenantd.tenants DROP COLUMN claim_rank;

ALTER TABLE tenantd.tenants
    ALTER COLUMN external_id     TYPE text,
    ALTER COLUMN host            TYPE text,
    ALTER COLUMN profile         TYPE text,
    ALTER COLUMN client_name     TYPE text,
    ALTER COLUMN redirect_uris   TYPE text[],
    ALTER COLUMN desired_state   TYPE text,
    ALTER COLUMN desired_version TYPE integer,
    ALTER COLUMN priority        TYPE integer,
    ALTER COLUMN not_before      TYPE timestamptz,
    ALTER COLUMN labels          TYPE jsonb;

-- Every row is due in the eyes of the previous version as soon as its due_at has come. Not
-- -infinity, which some drivers cannot read.
ALTER TABLE tenantd.tenants ADD COLUMN claim_rank timestamptz NOT NULL DEFAULT '2000-01-01 00:00:00+00';

COMMENT ON COLUMN tenantd.tenants.claim_rank IS 'Always the same: read by the version before alone. The order of claims is tenantd.rank_of(due_at, priority).';

DROP DOMAIN tenantd.external_id, tenantd.host_name, tenantd.profile_name, tenantd.client_name, tenantd.redirect_uris,
            tenantd.desired_state, tenantd.desired_version, tenantd.priority, tenantd.not_before, tenantd.labels;

DROP FUNCTION tenantd.all_match(text[], text);
DROP FUNCTION tenantd.are_unique(text[]);
DROP FUNCTION tenantd.longest(text[]);

-- The claim: per region, in order of rank, only what is due.
CREATE INDEX tenants_due ON tenantd.tenants (region, tenantd.rank_of(due_at, priority), due_at) WHERE due_at IS NOT NULL;

-- The rules. NULL passes them: whether a column must be filled stands in the table. The first
-- rule to refuse a value is the one that names what is wrong. No value is repeated, for the
-- log is no place for what somebody pasted into the wrong column. On an insert OLD is null.
CREATE FUNCTION tenantd.check_wants() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    -- Column, rule, what is wrong, what to write instead.
    broken text[];
BEGIN
    broken := CASE
        WHEN octet_length(NEW.external_id) NOT BETWEEN 1 AND 200
            THEN ARRAY['external_id', 'external_id_is_1_to_200_bytes', format('has %s bytes', octet_length(NEW.external_id)),
                       'Give the tenant a key of 1 to 200 bytes.']
        WHEN octet_length(NEW.profile) NOT BETWEEN 1 AND 200
            THEN ARRAY['profile', 'profile_is_1_to_200_bytes', format('has %s bytes', octet_length(NEW.profile)),
                       'Name a [profiles.NAME] of the configuration, or leave it out for default.']
        WHEN char_length(NEW.client_name) NOT BETWEEN 1 AND 512
            THEN ARRAY['client_name', 'client_name_is_1_to_512_characters',
                       format('has %s characters', char_length(NEW.client_name)),
                       'Choose another name of 1 to 512 characters, or leave it out for that of the profile.']
        WHEN NEW.desired_state NOT IN ('present', 'absent')
            THEN ARRAY['desired_state', 'desired_state_is_present_or_absent', 'is neither present nor absent',
                       'Write present or absent, in lower case.']
        WHEN NEW.desired_version < 1
            THEN ARRAY['desired_version', 'desired_version_is_positive', format('is %s', NEW.desired_version),
                       'Versions count from 1. To rotate: SET desired_version = desired_version + 1.']
        WHEN NEW.priority NOT BETWEEN -100 AND 100
            THEN ARRAY['priority', 'priority_is_minus_100_to_100', format('is %s', NEW.priority),
                       'Choose one from -100 to 100; 0 is usual.']
        -- Neither infinity nor five digits: RFC 3339 cannot write them.
        WHEN NEW.not_before >= '10000-01-01 00:00:00+00'
            THEN ARRAY['not_before', 'not_before_is_before_year_10000', 'is in the year 10000 or later',
                       'Write an earlier instant, or NULL for no limit.']
    END;
    -- One look at a host that is right; only of a wrong one is it asked what is wrong.
    IF broken IS NULL AND NEW.host IS DISTINCT FROM OLD.host
       AND (NEW.host !~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?([.][a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$'
            OR NEW.host !~ '[.].*[.]' OR NEW.host ~ '(^|[.])(xn--|([0-9]+|0x[0-9a-f]*)$)' OR octet_length(NEW.host) > 253) THEN
        broken := CASE
            WHEN replace(NEW.host, '://', '') ~ '[/?#]'
                THEN ARRAY['host', 'host_has_no_path', 'has a path', 'Leave out everything from the first slash on.']
            WHEN NEW.host ~ ':[0-9]*$'
                THEN ARRAY['host', 'host_has_no_port', 'has a port', 'Leave out the colon and the port.']
            WHEN NEW.host ~ '://'
                THEN ARRAY['host', 'host_has_no_scheme', 'has a scheme', 'Leave out https://.']
            WHEN NEW.host ~ '[[:space:]]'
                THEN ARRAY['host', 'host_has_no_space', 'has a space', 'Remove the space.']
            WHEN NEW.host ~ '[.]$'
                THEN ARRAY['host', 'host_has_no_trailing_dot', 'has a dot at the end', 'Remove the dot at the end.']
            WHEN NEW.host ~ '[A-Z]'
                THEN ARRAY['host', 'host_has_no_upper_case', 'has upper case', 'Write it in lower case.']
            WHEN NEW.host ~ '[*]'
                THEN ARRAY['host', 'host_has_no_wildcard', 'has a wildcard',
                           'Write the host of one tenant; patterns stand in the configuration.']
            WHEN octet_length(NEW.host) > 253
                THEN ARRAY['host', 'host_is_at_most_253_bytes', format('has %s bytes', octet_length(NEW.host)),
                           'Write the tenant''s real host name.']
            WHEN NEW.host ~ '(^|[.])xn--'
                THEN ARRAY['host', 'host_is_no_international_name', 'is an international name',
                           'Hosts of Qlik Cloud are plain ASCII names without xn--.']
            -- A last label in digits or 0x... makes a URL parser read an IPv4 address
            -- (WHATWG URL standard, "ends in a number checker").
            WHEN NEW.host ~ '(^|[.])([0-9]+|0x[0-9a-f]*)$'
                THEN ARRAY['host', 'host_is_no_ip_address', 'is an IP address', 'Write the tenant''s host name.']
            WHEN NEW.host ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?([.][a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$'
                THEN ARRAY['host', 'host_labels_are_three_or_more', 'has fewer than three labels',
                           'Write it in full, as in acme42.us.qlikcloud.com.']
            ELSE ARRAY['host', 'host_labels_are_1_to_63_letters_digits_hyphens', 'is no host name',
                       'Write it as in acme42.us.qlikcloud.com: labels of 1 to 63 letters, digits and hyphens.']
        END;
    END IF;
    -- What Qlik Cloud takes.
    IF broken IS NULL AND NEW.redirect_uris IS DISTINCT FROM OLD.redirect_uris THEN
        SELECT CASE
               WHEN array_ndims(NEW.redirect_uris) <> 1
                   THEN ARRAY['redirect_uris', 'redirect_uris_are_a_plain_list', 'are a list of lists', 'Give a list of URIs, not a list of lists.']
               WHEN max(char_length(u.uri)) > 256
                   THEN ARRAY['redirect_uris', 'redirect_uris_are_at_most_256_characters', format('hold one of %s characters', max(char_length(u.uri))),
                              'Qlik Cloud takes at most 256: shorten it.']
               WHEN cardinality(NEW.redirect_uris) > 5
                   THEN ARRAY['redirect_uris', 'redirect_uris_are_at_most_5', format('are %s', cardinality(NEW.redirect_uris)),
                              'Qlik Cloud takes no more than 5: leave some out.']
               -- Or plain http on localhost, which is all that Qlik allows.
               WHEN NOT bool_and(u.uri ~ '^(https://[^[:space:]/?#]|http://localhost([:/?]|$))')
                   THEN ARRAY['redirect_uris', 'redirect_uris_are_https', 'hold one that is not https',
                              'Write https://, or http://localhost for a test.']
               WHEN count(DISTINCT u.uri) <> count(u.uri)
                   THEN ARRAY['redirect_uris', 'redirect_uris_are_unique', 'hold one twice', 'Give each once.']
               WHEN count(*) <> count(u.uri)
                   THEN ARRAY['redirect_uris', 'redirect_uris_have_no_null', 'hold a null', 'Leave out the empty one.']
               WHEN NOT bool_and(u.uri ~ '^[^[:space:][:cntrl:]]*$')
                   THEN ARRAY['redirect_uris', 'redirect_uris_have_no_space', 'hold one with a space', 'Remove the space, or write it as %20.']
               END
          INTO broken
          FROM unnest(NEW.redirect_uris) AS u (uri);
    END IF;
    -- So that one row's labels never make a list of all rows unreadable: common JSON
    -- readers stop at 128 levels, and at what a double can hold.
    IF broken IS NULL AND NEW.labels IS DISTINCT FROM OLD.labels AND NEW.labels <> '{}' THEN
        broken := CASE
            WHEN jsonb_typeof(NEW.labels) <> 'object'
                THEN ARRAY['labels', 'labels_are_an_object', 'are no JSON object', 'Write an object, such as {"plan": "gold"}.']
            WHEN octet_length(NEW.labels::text) > 16384
                THEN ARRAY['labels', 'labels_are_at_most_16_kib', format('have %s bytes', octet_length(NEW.labels::text)),
                           'Write at most 16384 bytes; keep the rest in a table of your own.']
            WHEN NEW.labels @? '$.**{65 to last}'
                THEN ARRAY['labels', 'labels_are_at_most_64_levels_deep', 'are more than 64 levels deep', 'Write them flatter.']
            WHEN NEW.labels @? '$.** ? (@.type() == "number" && (@ > 1e300 || @ < -1e300))'
                THEN ARRAY['labels', 'labels_hold_no_number_beyond_1e300', 'hold a number beyond 1e300', 'Write that number as text.']
        END;
    END IF;
    IF broken IS NOT NULL THEN
        RAISE EXCEPTION '% of tenant % %', broken[1], left(NEW.external_id, 200), broken[3]
            USING ERRCODE = 'check_violation', SCHEMA = 'tenantd', TABLE = 'tenants', COLUMN = broken[1],
                  CONSTRAINT = broken[2], HINT = broken[4];
    END IF;
    RETURN NEW;
END
$$;

-- Postgres fires them in the order of their names: what is wrong in itself is refused before
-- accept_insert and accept_update weigh what follows from it.
CREATE TRIGGER accept_checked_insert BEFORE INSERT ON tenantd.tenants
    FOR EACH ROW EXECUTE FUNCTION tenantd.check_wants();

-- A higher version breaks no rule, so that the daemon's raises call nothing.
CREATE TRIGGER accept_checked_update
    BEFORE UPDATE OF external_id, host, profile, client_name, redirect_uris, desired_state, desired_version,
                     priority, not_before, labels
    ON tenantd.tenants
    FOR EACH ROW
    WHEN (NEW.desired_version < 1
          OR (NEW.external_id, NEW.host, NEW.profile, NEW.client_name, NEW.redirect_uris, NEW.desired_state,
              NEW.priority, NEW.not_before, NEW.labels)
             IS DISTINCT FROM
             (OLD.external_id, OLD.host, OLD.profile, OLD.client_name, OLD.redirect_uris, OLD.desired_state,
              OLD.priority, OLD.not_before, OLD.labels))
    EXECUTE FUNCTION tenantd.check_wants();

-- And all that hung on the columns, as it was. -------------------------------------------

CREATE TRIGGER accept_update
    BEFORE UPDATE OF external_id, host, profile, client_name, redirect_uris, desired_state, desired_version,
                     priority, not_before, labels
    ON tenantd.tenants
    FOR EACH ROW EXECUTE FUNCTION tenantd.accept_update();

CREATE TRIGGER refuse_host_of_removed_on_update BEFORE UPDATE OF host ON tenantd.tenants
    FOR EACH ROW WHEN (NEW.host <> OLD.host) EXECUTE FUNCTION tenantd.refuse_host_of_removed();

-- One that never had a secret has desired_version as it was inserted, or as raised in vain.
CREATE TRIGGER remember_versions AFTER DELETE ON tenantd.tenants
    FOR EACH ROW WHEN (OLD.desired_version > 1) EXECUTE FUNCTION tenantd.remember_versions();

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
            WHEN t.phase = 'removed' AND t.recheck_at IS NOT NULL
            THEN coalesce(t.message, 'nothing of ours is known at Qlik: it is looked at once more, and until then the row is kept')
            WHEN t.phase = 'removed'         THEN coalesce(t.message, 'nothing of ours is left at Qlik: the row may be deleted, or set desired_state to present for a new life')
            WHEN r.is_ready                  THEN NULL
            WHEN r.awaits_budget AND h.is_held_back THEN 'this may be a copy of the real database: nothing is changed at Qlik until an operator has said that it is the real one, with `tenantd rejoin --confirm`'
            WHEN r.awaits_budget AND h.is_held THEN 'nothing is deleted at Qlik until an operator has read `tenantd rejoin --status` and agreed with `tenantd rejoin --agree`'
            WHEN o.is_paused                 THEN 'paused by an operator: ' || t.pause_reason || '; `tenantd tenant resume` ends it'
            WHEN r.is_paused                 THEN 'the region is paused by an operator: ' || p.reason || '; `tenantd fleet resume` ends it'
            WHEN r.awaits_budget AND b.opened_at IS NOT NULL THEN 'the credential of region ' || t.region || ' is refused: correct it and restart; `tenantd doctor` tests it'
            WHEN r.awaits_budget             THEN format('the removal waits for its place in [budget] removals_per_hour: %s let through in the last hour, %s waiting; `tenantd fleet status` shows the limit', h.admitted, h.waiting)
            WHEN r.is_early                  THEN 'nothing is sent before the row''s not_before'
            WHEN r.is_held                   THEN 'a daemon is working on it'
            WHEN b.opened_at IS NOT NULL     THEN 'the credential of region ' || t.region || ' is refused: correct it and restart; `tenantd doctor` tests it'
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
            -- A pause without an end, of the row or of its region, outlasts one with.
            WHEN o.is_paused AND t.paused_until IS NULL THEN NULL
            WHEN p.paused_at IS NOT NULL AND p.paused_until IS NULL THEN NULL
            ELSE greatest(t.due_at, b.probe_at, CASE WHEN o.is_paused THEN t.paused_until END, p.paused_until)
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
  LEFT JOIN LATERAL (
       SELECT min(x.paused_at) AS paused_at,
              CASE WHEN bool_and(x.paused_until IS NOT NULL) THEN max(x.paused_until) END AS paused_until,
              min(x.reason) AS reason
         FROM tenantd.pauses AS x
        WHERE x.region IN ('*', t.region) AND (x.paused_until IS NULL OR x.paused_until > tenantd.clock())
       ) AS p ON true
 CROSS JOIN (
       SELECT i.deletions_held_at IS NOT NULL AS is_held, i.changes_held_at IS NOT NULL AS is_held_back,
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
              coalesce(t.lease_expires_at > tenantd.clock(), false)           AS is_held
       ) AS r;

CREATE OR REPLACE VIEW tenantd.credentials WITH (security_barrier) AS
SELECT t.tenant_id,
       t.external_id,
       t.host,
       s.client_id,
       s.version,
       s.standing AS stage,
       s.sealed,
       s.created_at
  FROM tenantd.secrets AS s
  JOIN tenantd.tenants AS t ON t.tenant_id = s.tenant_id
 WHERE s.standing IN ('current', 'previous')
   AND t.desired_state = 'present'
   AND t.phase <> 'removing';
