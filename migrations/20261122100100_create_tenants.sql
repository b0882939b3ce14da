-- One row per tenant for its whole life. The row is the state machine.
--
-- Why a row and not a job queue: docs/decisions/0001-row-as-state-machine.md.
-- The schema refuses what the state machine forbids; constraint names read as
-- the reason, because a pipeline author meets them first.
--
-- Why domains: Postgres prepares every check of a table anew for every UPDATE, even
-- when none of its columns is assigned, but a domain's only where a value of it is
-- assigned. With all 45 checks on the table, an UPDATE of one row took 0.36 ms
-- (PostgreSQL 15); with the owner's 30 in domains, 0.11 ms; without any, 0.03 ms. The
-- daemon commits several times a tenant and writes none of the owner's columns.
--
-- Locks: none on existing tables.
-- Safe while the previous version runs: yes (creates only).

-- Adding minutes does not depend on the time zone, which is all that keeps
-- Postgres from calling `timestamptz - interval` immutable.
CREATE FUNCTION tenantd.rank_of(due_at timestamptz, priority integer) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN due_at - make_interval(mins => priority);

COMMENT ON FUNCTION tenantd.rank_of(timestamptz, integer) IS 'The order of claims: due_at less one minute per point of priority, so that nothing starves.';

CREATE FUNCTION tenantd.all_match(items text[], pattern text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT coalesce(bool_and(item ~ pattern), true) FROM unnest(items) AS item);

COMMENT ON FUNCTION tenantd.all_match(text[], text) IS 'Whether every item matches the regular expression.';

CREATE FUNCTION tenantd.are_unique(items text[]) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT count(DISTINCT item) = count(item) FROM unnest(items) AS item);

COMMENT ON FUNCTION tenantd.are_unique(text[]) IS 'Whether no item occurs twice.';

CREATE FUNCTION tenantd.longest(items text[]) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT coalesce(max(char_length(item)), 0) FROM unnest(items) AS item);

COMMENT ON FUNCTION tenantd.longest(text[]) IS 'Characters of the longest item.';

-- What the owner may write, one domain a column. NULL passes every check: whether a
-- column must be filled, and with what, stands in the table.
--
-- Postgres checks a domain's constraints by name, in the order of the alphabet: each is
-- written so that the first to refuse a value is the one that names what is wrong.

CREATE DOMAIN tenantd.external_id AS text
    CONSTRAINT external_id_is_1_to_200_bytes CHECK (octet_length(VALUE) BETWEEN 1 AND 200);

CREATE DOMAIN tenantd.host_name AS text
    CONSTRAINT host_has_no_path CHECK (replace(VALUE, '://', '') !~ '[/?#]')
    CONSTRAINT host_has_no_port CHECK (VALUE !~ ':[0-9]*$')
    CONSTRAINT host_has_no_scheme CHECK (VALUE !~ '://')
    CONSTRAINT host_has_no_space CHECK (VALUE !~ '[[:space:]]')
    CONSTRAINT host_has_no_trailing_dot CHECK (VALUE !~ '[.]$')
    CONSTRAINT host_has_no_upper_case CHECK (VALUE !~ '[A-Z]')
    CONSTRAINT host_has_no_wildcard CHECK (VALUE !~ '[*]')
    CONSTRAINT host_is_at_most_253_bytes CHECK (octet_length(VALUE) <= 253)
    CONSTRAINT host_is_no_international_name CHECK (VALUE !~ '(^|[.])xn--')
    -- A last label in digits or 0x... makes a URL parser read an IPv4 address
    -- (WHATWG URL standard, "ends in a number checker").
    CONSTRAINT host_is_no_ip_address CHECK (VALUE !~ '(^|[.])([0-9]+|0x[0-9a-f]*)$')
    CONSTRAINT host_labels_are_1_to_63_letters_digits_hyphens
        CHECK (VALUE ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?([.][a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$')
    CONSTRAINT host_labels_are_three_or_more CHECK (VALUE ~ '[.].*[.]');

CREATE DOMAIN tenantd.profile_name AS text
    CONSTRAINT profile_is_1_to_200_bytes CHECK (octet_length(VALUE) BETWEEN 1 AND 200);

CREATE DOMAIN tenantd.client_name AS text
    CONSTRAINT client_name_is_1_to_512_characters CHECK (char_length(VALUE) BETWEEN 1 AND 512);

CREATE DOMAIN tenantd.redirect_uris AS text[]
    CONSTRAINT redirect_uris_are_a_plain_list CHECK (array_ndims(VALUE) = 1)
    CONSTRAINT redirect_uris_are_at_most_256_characters CHECK (tenantd.longest(VALUE) <= 256)
    CONSTRAINT redirect_uris_are_at_most_5 CHECK (cardinality(VALUE) <= 5)
    -- Or plain http on localhost, which is all that Qlik allows.
    CONSTRAINT redirect_uris_are_https
        CHECK (tenantd.all_match(VALUE, '^(https://[^[:space:]/?#]|http://localhost([:/?]|$))'))
    CONSTRAINT redirect_uris_are_unique CHECK (tenantd.are_unique(VALUE))
    CONSTRAINT redirect_uris_have_no_null CHECK (array_position(VALUE, NULL) IS NULL)
    CONSTRAINT redirect_uris_have_no_space CHECK (tenantd.all_match(VALUE, '^[^[:space:][:cntrl:]]*$'));

CREATE DOMAIN tenantd.desired_state AS text
    CONSTRAINT desired_state_is_present_or_absent CHECK (VALUE IN ('present', 'absent'));

CREATE DOMAIN tenantd.desired_version AS integer
    CONSTRAINT desired_version_is_positive CHECK (VALUE >= 1);

CREATE DOMAIN tenantd.priority AS integer
    CONSTRAINT priority_is_minus_100_to_100 CHECK (VALUE BETWEEN -100 AND 100);

CREATE DOMAIN tenantd.not_before AS timestamptz
    -- Neither infinity nor five digits: RFC 3339 can't write them.
    CONSTRAINT not_before_is_before_year_10000 CHECK (VALUE < '10000-01-01 00:00:00+00');

-- So that one row's labels never make a list of all rows unreadable: common JSON
-- readers stop at 128 levels, and at what a double can hold.
CREATE DOMAIN tenantd.labels AS jsonb
    CONSTRAINT labels_are_an_object CHECK (jsonb_typeof(VALUE) = 'object')
    CONSTRAINT labels_are_at_most_16_kib CHECK (octet_length(VALUE::text) <= 16384)
    CONSTRAINT labels_are_at_most_64_levels_deep CHECK (NOT VALUE @? '$.**{65 to last}')
    CONSTRAINT labels_hold_no_number_beyond_1e300
        CHECK (NOT VALUE @? '$.** ? (@.type() == "number" && (@ > 1e300 || @ < -1e300))');

COMMENT ON DOMAIN tenantd.external_id IS 'The pipeline''s own key, 1 to 200 bytes.';
COMMENT ON DOMAIN tenantd.host_name IS 'A host name of three labels or more, in lower case: nothing before it and nothing after.';
COMMENT ON DOMAIN tenantd.profile_name IS 'The NAME of a [profiles.NAME] entry of the configuration.';
COMMENT ON DOMAIN tenantd.client_name IS 'The name that an OAuth client shows, 1 to 512 characters.';
COMMENT ON DOMAIN tenantd.redirect_uris IS 'What Qlik Cloud takes: at most 5 different URIs, https, 256 characters each.';
COMMENT ON DOMAIN tenantd.desired_state IS 'present or absent.';
COMMENT ON DOMAIN tenantd.desired_version IS 'The version of a secret, from 1.';
COMMENT ON DOMAIN tenantd.priority IS 'Minutes of waiting that a tenant is ahead of others, -100 to 100.';
COMMENT ON DOMAIN tenantd.not_before IS 'An instant that RFC 3339 can write.';
COMMENT ON DOMAIN tenantd.labels IS 'A JSON object that every reader can read: at most 16 KiB, 64 levels and numbers to 1e300.';

CREATE TABLE tenantd.tenants (
    tenant_id             uuid                    PRIMARY KEY DEFAULT gen_random_uuid(),

    -- What the pipeline writes.
    external_id           tenantd.external_id     NOT NULL,
    host                  tenantd.host_name       NOT NULL,
    profile               tenantd.profile_name    NOT NULL DEFAULT 'default',
    client_name           tenantd.client_name,
    redirect_uris         tenantd.redirect_uris,
    desired_state         tenantd.desired_state   NOT NULL DEFAULT 'present',
    desired_version       tenantd.desired_version NOT NULL DEFAULT 1,
    priority              tenantd.priority        NOT NULL DEFAULT 0,
    not_before            tenantd.not_before,
    labels                tenantd.labels          NOT NULL DEFAULT '{}',

    -- Where the row stands. Everything from here on belongs to the daemon.
    phase                 text                    NOT NULL DEFAULT 'pending',
    client_id             text,
    unanswered            text,
    settles_at            timestamptz,
    mint_snapshot         text[],
    is_adopted            boolean                 NOT NULL DEFAULT false,
    is_minted_afresh      boolean                 NOT NULL DEFAULT false,
    current_version       integer,
    acknowledged_version  integer,

    -- When to go on, and why not now.
    region                text                    NOT NULL DEFAULT '',
    due_at                timestamptz             DEFAULT tenantd.clock(),
    claim_rank            timestamptz             GENERATED ALWAYS AS (tenantd.rank_of(due_at, priority)) STORED,
    recheck_at            timestamptz,
    wait_reason           text,
    parked_reason         text,
    message               text,
    reason_since          timestamptz             NOT NULL DEFAULT tenantd.clock(),
    failures              integer                 NOT NULL DEFAULT 0,
    progress_at           timestamptz             NOT NULL DEFAULT tenantd.clock(),
    proof_refused_at      timestamptz,
    client_missing_at     timestamptz,
    credential_refused_at timestamptz,

    -- Who works on it.
    lease_holder          uuid,
    lease_epoch           bigint                  NOT NULL DEFAULT 0,
    lease_step            integer                 NOT NULL DEFAULT 0,
    leased_at             timestamptz,
    lease_expires_at      timestamptz,

    created_at            timestamptz             NOT NULL DEFAULT tenantd.clock(),
    ready_at              timestamptz,
    updated_at            timestamptz             NOT NULL DEFAULT tenantd.clock(),

    CONSTRAINT external_id_is_unique UNIQUE (external_id),
    CONSTRAINT host_is_unique UNIQUE (host),

    -- What the daemon's own writes must keep. These stay here: most look at several
    -- columns, and the others at one that every commit writes.
    CONSTRAINT phase_is_known CHECK (phase IN ('pending', 'creating', 'created', 'trusted', 'ready')),
    CONSTRAINT client_is_known_once_created
        CHECK (CASE phase WHEN 'pending' THEN client_id IS NULL WHEN 'creating' THEN true ELSE client_id IS NOT NULL END),
    CONSTRAINT unanswered_is_create_or_mint_while_creating
        CHECK (unanswered IS NULL
               OR phase = 'creating' AND unanswered = 'create' AND client_id IS NULL
               OR phase = 'creating' AND unanswered = 'mint' AND client_id IS NOT NULL AND mint_snapshot IS NOT NULL),
    CONSTRAINT only_the_unanswered_settles CHECK (settles_at IS NULL OR unanswered IS NOT NULL),
    CONSTRAINT ready_has_a_proven_version
        CHECK (phase <> 'ready' OR current_version IS NOT NULL AND ready_at IS NOT NULL),
    CONSTRAINT current_version_is_positive CHECK (current_version >= 1),
    CONSTRAINT acknowledged_version_is_not_ahead CHECK (acknowledged_version <= current_version),
    CONSTRAINT reasons_exclude_each_other CHECK (wait_reason IS NULL OR parked_reason IS NULL),
    CONSTRAINT reasons_are_pascal_case
        CHECK (wait_reason ~ '^[A-Z][A-Za-z]+$' AND parked_reason ~ '^[A-Z][A-Za-z]+$'),
    CONSTRAINT parked_says_what_to_do CHECK (parked_reason IS NULL OR message IS NOT NULL),
    CONSTRAINT parked_is_not_due CHECK (parked_reason IS NULL OR due_at IS NULL),
    CONSTRAINT nothing_waits_for_ever_in_silence
        CHECK (due_at IS NOT NULL OR parked_reason IS NOT NULL OR phase = 'ready' OR desired_state = 'absent'),
    CONSTRAINT failures_are_counted_from_0 CHECK (failures >= 0),
    CONSTRAINT lease_is_whole
        CHECK ((lease_holder IS NULL) = (leased_at IS NULL) AND (lease_holder IS NULL) = (lease_expires_at IS NULL)),
    CONSTRAINT lease_is_counted_from_0 CHECK (lease_epoch >= 0 AND lease_step >= 0)
) WITH (fillfactor = 70);  -- leaves room to update a row in its own page

-- The claim: per region, in order of rank, only what is due. Rows with nothing
-- to do are not in it.
CREATE INDEX tenants_due ON tenantd.tenants (region, claim_rank, due_at) WHERE due_at IS NOT NULL;

-- The breaker: how many tenants of a region were refused lately.
CREATE INDEX tenants_credential_refused ON tenantd.tenants (region, credential_refused_at)
    WHERE credential_refused_at IS NOT NULL;

COMMENT ON TABLE  tenantd.tenants IS 'One row per Qlik Cloud tenant that needs a credential. INSERT external_id and host; tenantd does the rest.';
COMMENT ON COLUMN tenantd.tenants.tenant_id IS 'Made at insert; part of the mark on the tenant''s client.';
COMMENT ON COLUMN tenantd.tenants.external_id IS 'The pipeline''s own key, 1 to 200 bytes. Set at insert, never changed.';
COMMENT ON COLUMN tenantd.tenants.host IS 'The tenant''s host name, such as acme42.us.qlikcloud.com. May change only before anything was sent.';
COMMENT ON COLUMN tenantd.tenants.profile IS 'Which [profiles.NAME] entry of the configuration the client is made from.';
COMMENT ON COLUMN tenantd.tenants.client_name IS 'Overrides the profile''s client name, 1 to 512 characters.';
COMMENT ON COLUMN tenantd.tenants.redirect_uris IS 'Overrides the profile''s redirect URIs: at most 5 different ones, https, 256 characters each.';
COMMENT ON COLUMN tenantd.tenants.desired_state IS 'present: the tenant should have a credential. absent: it should not.';
COMMENT ON COLUMN tenantd.tenants.desired_version IS 'Raise it to rotate the secret. Lowering is ignored.';
COMMENT ON COLUMN tenantd.tenants.priority IS '-100 to 100: each point is worth a minute of waiting.';
COMMENT ON COLUMN tenantd.tenants.not_before IS 'Nothing is sent before this instant.';
COMMENT ON COLUMN tenantd.tenants.labels IS 'A JSON object for the pipeline''s own use, at most 16 KiB and 64 levels, shown in tenantd.status.';
COMMENT ON COLUMN tenantd.tenants.phase IS 'How far the tenant is: pending, creating, created, trusted, ready.';
COMMENT ON COLUMN tenantd.tenants.client_id IS 'The committed OAuth client. A row that has one never creates again.';
COMMENT ON COLUMN tenantd.tenants.unanswered IS 'A create or mint that may have been sent and whose outcome is not recorded.';
COMMENT ON COLUMN tenantd.tenants.settles_at IS 'Until then the unanswered request may still land; null while it may be in flight under the lease.';
COMMENT ON COLUMN tenantd.tenants.mint_snapshot IS 'The secret hints visible when the first intent to mint of this series was recorded.';
COMMENT ON COLUMN tenantd.tenants.is_adopted IS 'The client was found after a lost create: its creation-time secrets were never known and are to be deleted.';
COMMENT ON COLUMN tenantd.tenants.is_minted_afresh IS 'A further secret was minted because its predecessor got no token.';
COMMENT ON COLUMN tenantd.tenants.current_version IS 'Version of the proven current credential; null before the first.';
COMMENT ON COLUMN tenantd.tenants.acknowledged_version IS 'The version every consumer has switched to, as told by tenantd.acknowledge.';
COMMENT ON COLUMN tenantd.tenants.region IS 'The [[regions]] entry that allows the host; empty until the first claim sorts the row.';
COMMENT ON COLUMN tenantd.tenants.due_at IS 'When somebody should go on; null when nothing is to be done by itself.';
COMMENT ON COLUMN tenantd.tenants.claim_rank IS 'Order of claims: due_at less priority minutes.';
COMMENT ON COLUMN tenantd.tenants.recheck_at IS 'When to look for a second client of ours, because a create was unknown or taken over.';
COMMENT ON COLUMN tenantd.tenants.wait_reason IS 'Why the row rests until due_at.';
COMMENT ON COLUMN tenantd.tenants.parked_reason IS 'Why the row waits for somebody to act.';
COMMENT ON COLUMN tenantd.tenants.message IS 'The reason in words, with what to do. Never holds anything of Qlik''s but status, error code and trace id.';
COMMENT ON COLUMN tenantd.tenants.reason_since IS 'Start of the present phase and stored reason.';
COMMENT ON COLUMN tenantd.tenants.failures IS 'Failures since the last progress; sets the backoff.';
COMMENT ON COLUMN tenantd.tenants.progress_at IS 'Last progress, moved forward by every wait that is not held against the row.';
COMMENT ON COLUMN tenantd.tenants.proof_refused_at IS 'When the new credential was first refused.';
COMMENT ON COLUMN tenantd.tenants.client_missing_at IS 'When our client was first not to be seen.';
COMMENT ON COLUMN tenantd.tenants.credential_refused_at IS 'When the region''s credential was last refused here; feeds the breaker.';
COMMENT ON COLUMN tenantd.tenants.lease_holder IS 'The daemon or command that works on the row; drawn anew at its every start.';
COMMENT ON COLUMN tenantd.tenants.lease_epoch IS 'The fencing epoch: counts the leases ever given.';
COMMENT ON COLUMN tenantd.tenants.lease_step IS 'Counts the commits under this lease, so that a repeated commit is recognised.';
COMMENT ON COLUMN tenantd.tenants.leased_at IS 'When the lease was given.';
COMMENT ON COLUMN tenantd.tenants.lease_expires_at IS 'After that anybody may claim the row.';
COMMENT ON COLUMN tenantd.tenants.created_at IS 'When the row was inserted.';
COMMENT ON COLUMN tenantd.tenants.ready_at IS 'When the tenant was first ready in this life.';
COMMENT ON COLUMN tenantd.tenants.updated_at IS 'When the row was last written.';
