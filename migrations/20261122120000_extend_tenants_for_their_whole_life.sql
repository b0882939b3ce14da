-- What a tenant's row needs after it was first ready: rotation, audits, repairs,
-- pauses, removal, and the distrust of a row that came out of a backup.
--
-- Why in the same row: the claim and the commit stay one statement each, which sees and
-- writes a tenant's whole story at once.
--
-- Locks: ACCESS EXCLUSIVE on tenantd.tenants and tenantd.secrets while the new checks
-- scan them: well under a second for a hundred thousand rows. New columns have
-- constant defaults, so no row is rewritten.
-- Safe while the previous version runs: yes. It passes by rows in phases it does not
-- know, and writes none of the new columns.

ALTER TABLE tenantd.tenants
    ADD COLUMN must_look           boolean NOT NULL DEFAULT false,
    ADD COLUMN version_gap         integer NOT NULL DEFAULT 0,
    ADD COLUMN edited_at           timestamptz,
    ADD COLUMN retire_at           timestamptz,
    ADD COLUMN audit_at            timestamptz,
    ADD COLUMN audited_at          timestamptz,
    ADD COLUMN drift               text[]  NOT NULL DEFAULT '{}',
    ADD COLUMN drifted_at          timestamptz,
    ADD COLUMN repair_scope        text,
    ADD COLUMN removal_admitted_at timestamptz,
    ADD COLUMN paused_at           timestamptz,
    ADD COLUMN paused_until        timestamptz,
    ADD COLUMN pause_reason        text,

    DROP CONSTRAINT phase_is_known,
    DROP CONSTRAINT client_is_known_once_created,
    DROP CONSTRAINT unanswered_is_create_or_mint_while_creating,
    DROP CONSTRAINT ready_has_a_proven_version,
    DROP CONSTRAINT nothing_waits_for_ever_in_silence;

ALTER TABLE tenantd.tenants
    ADD CONSTRAINT phase_is_known
        CHECK (phase IN ('pending', 'creating', 'created', 'trusted', 'ready', 'rotating', 'proving', 'removing',
                         'removed')),
    ADD CONSTRAINT client_is_known_once_created
        CHECK (CASE WHEN phase IN ('pending', 'removed') THEN client_id IS NULL
                    WHEN phase IN ('creating', 'removing') THEN true
                    ELSE client_id IS NOT NULL END),
    ADD CONSTRAINT unanswered_fits_the_phase
        CHECK (unanswered IS NULL
               OR unanswered = 'create' AND phase IN ('creating', 'removing') AND client_id IS NULL
               OR unanswered = 'mint' AND phase IN ('creating', 'rotating') AND client_id IS NOT NULL
                  AND mint_snapshot IS NOT NULL),
    ADD CONSTRAINT ready_has_a_proven_version
        CHECK (phase NOT IN ('ready', 'rotating', 'proving') OR current_version IS NOT NULL AND ready_at IS NOT NULL),
    ADD CONSTRAINT removed_keeps_nothing CHECK (phase <> 'removed' OR current_version IS NULL AND ready_at IS NULL),
    ADD CONSTRAINT nothing_waits_for_ever_in_silence
        CHECK (due_at IS NOT NULL OR parked_reason IS NOT NULL OR phase = 'removed'
               OR phase = 'ready' AND desired_state = 'present'
               OR desired_state = 'absent' AND removal_admitted_at IS NULL AND phase <> 'removing'),
    ADD CONSTRAINT repair_scope_is_known CHECK (repair_scope IN ('consent', 'all')),
    ADD CONSTRAINT drift_has_a_beginning CHECK ((drift = '{}') = (drifted_at IS NULL)),
    ADD CONSTRAINT a_pause_has_a_reason
        CHECK ((paused_at IS NULL) = (pause_reason IS NULL) AND (paused_until IS NULL OR paused_at IS NOT NULL));

-- What waits for the removal budget.
CREATE INDEX tenants_awaiting_removal ON tenantd.tenants (reason_since)
    WHERE desired_state = 'absent' AND removal_admitted_at IS NULL AND phase NOT IN ('removing', 'removed');

-- A promotion makes one secret current and another previous in one statement: the
-- check must wait for its end, which an index cannot.
DROP INDEX tenantd.secrets_one_current_one_unproven;
ALTER TABLE tenantd.secrets
    ADD CONSTRAINT one_current_one_unproven
        EXCLUDE USING btree (tenant_id WITH =, standing WITH =) WHERE (standing IN ('current', 'unproven'))
        DEFERRABLE INITIALLY IMMEDIATE;

-- A function of its own and no subquery: the commit calls it for the few decisions that
-- end a secret, and opens nothing for it otherwise.
CREATE FUNCTION tenantd.next_retirement(of_tenant uuid, after timestamptz, but_hint text) RETURNS timestamptz
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    RETURN (SELECT min(s.retire_at)
              FROM tenantd.secrets AS s
             WHERE s.tenant_id = of_tenant AND s.standing = 'previous'
               AND (after IS NULL OR s.retire_at > after)
               AND (but_hint IS NULL OR s.hint IS DISTINCT FROM but_hint));
END
$$;

COMMENT ON FUNCTION tenantd.next_retirement(uuid, timestamptz, text) IS 'When the next previous secret of a tenant is to go, but for those whose time is over and the one with this hint.';

COMMENT ON COLUMN tenantd.tenants.phase IS 'How far the tenant is: pending, creating, created, trusted, ready; rotating, proving; removing, removed.';
COMMENT ON COLUMN tenantd.tenants.must_look IS 'What the row says of Qlik may be out of date (a new life, or a restored backup): look before acting on it.';
COMMENT ON COLUMN tenantd.tenants.version_gap IS 'How many numbers the next version skips: after a restore, those that consumers may have seen and the backup forgot.';
COMMENT ON COLUMN tenantd.tenants.edited_at IS 'When the owner last changed profile, client_name or redirect_uris and the client does not follow yet.';
COMMENT ON COLUMN tenantd.tenants.retire_at IS 'When the next previous secret is to be deleted.';
COMMENT ON COLUMN tenantd.tenants.audit_at IS 'When the client is to be compared with Qlik; null until planned, or when audits are off.';
COMMENT ON COLUMN tenantd.tenants.audited_at IS 'When that was last done.';
COMMENT ON COLUMN tenantd.tenants.drift IS 'How the client differed at the last audit: name, consent, secret_missing, and so on.';
COMMENT ON COLUMN tenantd.tenants.drifted_at IS 'Since when it is known to differ.';
COMMENT ON COLUMN tenantd.tenants.repair_scope IS 'What of its drift may be mended now: consent, or all. Null until a budget or an operator lets a repair through.';
COMMENT ON COLUMN tenantd.tenants.removal_admitted_at IS 'When the removal budget let its removal through.';
COMMENT ON COLUMN tenantd.tenants.paused_at IS 'Since when an operator keeps the daemon away.';
COMMENT ON COLUMN tenantd.tenants.paused_until IS 'When the pause ends by itself.';
COMMENT ON COLUMN tenantd.tenants.pause_reason IS 'Why, in the operator''s words.';
