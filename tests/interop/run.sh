#!/bin/sh
# Proves that what tenantd seals is opened by npm's `jose` and PyPI's `jwcrypto`,
# that tenantd opens what they seal, and that they refuse a moved row.
#
# Needs node, npm, python3 and cargo, and the registries for the first run.
# INTEROP_DIR keeps the installed libraries from run to run; without it they
# live in a temporary directory.
set -eu
umask 077

repository=$(cd "$(dirname "$0")/../.." && pwd)
if [ -z "${INTEROP_DIR:-}" ]; then
    INTEROP_DIR=$(mktemp -d)
    trap 'rm -rf "$INTEROP_DIR"' EXIT
fi
"$repository/examples/install" "$INTEROP_DIR"
cp "$repository"/tests/interop/seal.* "$INTEROP_DIR/open-secret"
python=$(cd "$INTEROP_DIR" && pwd)/python

# The database of a caller's own must not decide how the SQL macros compile.
export SQLX_OFFLINE=true
cargo build --quiet --locked --manifest-path "$repository/Cargo.toml" --example jwe_tool
target=$(cargo metadata --quiet --no-deps --format-version 1 --manifest-path "$repository/Cargo.toml" |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
tool=$target/debug/examples/jwe_tool
cd "$INTEROP_DIR/open-secret"

secret='s3cret "ü" \ 42'
row='{"tenant_id":"6f1c3a52-8d1b-4c55-9d0e-2b7f6f6f0a01","external_id":"customer-42","host":"acme42.us.qlikcloud.com","client_id":"01a0","version":1,"stage":"current","client_secret":"s3cret \"ü\" \\ 42"}'

seal() { # by keyring
    case $1 in
    tenantd) "$tool" seal "$2" ;;
    jose) node seal.mjs "$2" ;;
    jwcrypto) "$python" seal.py "$2" ;;
    esac
}

open() { # by keyring
    case $1 in
    tenantd) "$tool" open "$2" ;;
    jose) node open_secret.mjs "$2" --print ;;
    jwcrypto) "$python" open_secret.py "$2" --print ;;
    esac
}

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

"$tool" generate oct >oct.json
"$tool" generate p256 >p256.json
"$tool" public p256.json >p256-public.json

# Each line: the keyring that seals, the keyring that opens.
while read -r sealing opening; do
    for sealer in tenantd jose jwcrypto; do
        printf '%s\n' "$row" | seal "$sealer" "$sealing" >sealed.json || fail "$sealer seals with $sealing"
        sed 's/acme42/acme43/' sealed.json >moved.json
        for opener in tenantd jose jwcrypto; do
            what="$sealer seals with $sealing, $opener opens with $opening"
            opened=$(open "$opener" "$opening" <sealed.json) || fail "$what"
            [ "$opened" = "$secret" ] || fail "$what: another secret came out"
            if open "$opener" "$opening" <moved.json >/dev/null 2>refusal.txt; then
                fail "$what: a moved row opened"
            fi
            grep -q 'another row: its host' refusal.txt || fail "$what: $(cat refusal.txt)"
            echo "ok: $what"
        done
    done
done <<RINGS
oct.json oct.json
p256.json p256.json
p256-public.json p256.json
RINGS
