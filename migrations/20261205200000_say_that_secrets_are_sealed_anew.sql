-- Columns of secrets that may be sealed anew say so.
--
-- Why: `tenantd keys rekey` changes `sealed` and `key_id` of what is stored, and nothing else.
--
-- Locks: comments only, each for a moment.
-- Safe while the previous version runs: yes (no statement changes).

COMMENT ON COLUMN tenantd.secrets.sealed IS
    'The JWE. Its plaintext names tenant, host and client, so that a moved one is caught. The same plaintext may be sealed anew under another key.';
COMMENT ON COLUMN tenantd.secrets.key_id IS 'The kid of the key that sealed it; changes together with sealed.';
COMMENT ON COLUMN tenantd.secrets.created_at IS 'When it was stored; it stays when the secret is sealed anew.';
COMMENT ON COLUMN tenantd.credentials.created_at IS 'When it was stored; it stays when the secret is sealed anew.';
COMMENT ON COLUMN tenantd.credentials.sealed IS
    'A compact JWE (RFC 7516) of {"tenant_id","host","client_id","client_secret"}; compare what it names with the row. The same plaintext may be sealed anew under another key, without an event and with the same version.';
