-- Sealed secrets, one row each.
--
-- Why a table of its own: a client holds up to five secrets, and readers of the
-- tenants must not need the right to read sealed text.
--
-- Locks: none on existing tables but a short one on tenantd.tenants for the foreign key.
-- Safe while the previous version runs: yes (creates only).

CREATE TABLE tenantd.secrets (
    secret_id  bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id  uuid        NOT NULL REFERENCES tenantd.tenants,
    client_id  text        NOT NULL,
    hint       text,
    standing   text        NOT NULL DEFAULT 'unproven',
    version    integer,
    sealed     text        NOT NULL,
    key_id     text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT tenantd.clock(),
    proven_at  timestamptz,
    retire_at  timestamptz,

    CONSTRAINT standing_is_known CHECK (standing IN ('unproven', 'current', 'previous', 'discarded')),
    CONSTRAINT the_proven_has_a_version
        CHECK ((standing IN ('current', 'previous')) = (version IS NOT NULL AND proven_at IS NOT NULL)),
    CONSTRAINT version_is_positive CHECK (version >= 1),
    CONSTRAINT sealed_is_a_compact_jwe CHECK (sealed ~ '^[A-Za-z0-9_-]+([.][A-Za-z0-9_-]*){4}$'),
    CONSTRAINT version_is_unique UNIQUE (tenant_id, version)
);

CREATE UNIQUE INDEX secrets_one_current_one_unproven ON tenantd.secrets (tenant_id, standing)
    WHERE standing IN ('current', 'unproven');

COMMENT ON TABLE  tenantd.secrets IS 'Client secrets, sealed as compact JWE (RFC 7516). Read them through tenantd.credentials.';
COMMENT ON COLUMN tenantd.secrets.secret_id IS 'Only for ordering.';
COMMENT ON COLUMN tenantd.secrets.tenant_id IS 'Whose it is.';
COMMENT ON COLUMN tenantd.secrets.client_id IS 'The OAuth client it belongs to.';
COMMENT ON COLUMN tenantd.secrets.hint IS 'By which Qlik shows and deletes it; null when its answer gave none.';
COMMENT ON COLUMN tenantd.secrets.standing IS 'unproven, current, previous, or discarded (to be deleted at Qlik).';
COMMENT ON COLUMN tenantd.secrets.version IS 'Given when proven; rises with every rotation, numbers may skip.';
COMMENT ON COLUMN tenantd.secrets.sealed IS 'The JWE. Its plaintext names tenant, host and client, so that a moved one is caught.';
COMMENT ON COLUMN tenantd.secrets.key_id IS 'The kid of the key that sealed it.';
COMMENT ON COLUMN tenantd.secrets.created_at IS 'When it was sealed.';
COMMENT ON COLUMN tenantd.secrets.proven_at IS 'When it got its first token.';
COMMENT ON COLUMN tenantd.secrets.retire_at IS 'When a previous secret is to be deleted.';
