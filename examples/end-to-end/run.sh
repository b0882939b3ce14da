#!/bin/sh
# From an INSERT to a signed-in user: the whole way, with the programs as they are.
#
#   examples/end-to-end/run.sh
#
# Read it from top to bottom as a walk through tenantd; each step says PASS when
# it holds. Qlik Cloud is simulated on this machine and the database is a
# throw-away one, so that nothing has to be set up and nothing is left behind.
#
# Needs cargo, node, npm, python3, and PostgreSQL's programs (make
# install-postgres). INTEROP_DIR keeps the installed libraries from run to run.
# With TEST_DATABASE_URL, a database of its own on that server is made and dropped.
set -eu
umask 077

here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
export SQLX_OFFLINE=true

if [ -z "${TEST_DATABASE_URL:-}" ]; then
    # Runs this script again, beside a server that ends with it.
    exec "$repository/scripts/with-postgres" \
        sh -c 'TEST_DATABASE_URL=$DATABASE_URL && export TEST_DATABASE_URL && unset DATABASE_URL && exec "$0"' "$here/run.sh"
fi

# Settings of the caller's own must not lead this to a real tenant.
for setting in $(env | sed -n 's/^\(TENANTD_[A-Za-z0-9_]*\)=.*/\1/p'); do
    unset "$setting"
done

# ---------------------------------------------------------------- housekeeping

steps=0
pass() {
    steps=$((steps + 1))
    echo "PASS $steps: $*"
}
fail() {
    echo "FAILED: $*" >&2
    exit 1
}
quietly() { # COMMAND...: what it says goes to a log, and is shown when it fails
    "$@" >"$work/said.txt" 2>&1 || fail "$* (exit code $?): $(cat "$work/said.txt")"
    cat "$work/said.txt" >>"$work/log.txt"
}

work=$(mktemp -d)
libraries=${INTEROP_DIR:-$work/libraries}
database=tenantd_end_to_end_$$
simulator=
finish() {
    status=$?
    trap - EXIT INT TERM HUP
    if [ -n "$simulator" ]; then
        kill "$simulator" 2>/dev/null || true
        wait "$simulator" || true
    fi
    admin "DROP DATABASE IF EXISTS $database WITH (FORCE)" || status=1
    rm -rf "$work"
    [ "$status" -eq 0 ] || echo "end to end: failed after $steps steps" >&2
    exit "$status"
}

# A password reaches psql and tenantd by the environment, never as an argument.
password=$(python3 -c 'import os, urllib.parse as url
print(url.unquote(url.urlsplit(os.environ["TEST_DATABASE_URL"]).password or ""))')
[ -z "$password" ] || export PGPASSWORD="$password"
server=$(echo "$TEST_DATABASE_URL" | sed 's|//\([^:@/]*\):[^@]*@|//\1@|')
ours=$(echo "$server" | sed "s|^\([a-z]*://[^/]*/\)[^?]*|\1$database|")
psql=$("$repository/scripts/find-postgres" || true)/psql
[ -x "$psql" ] || psql=psql
admin() { "$psql" -X -q -v ON_ERROR_STOP=1 -c "SET client_min_messages = warning" -c "$1" "$server"; }
sql() { "$psql" -X -q -At -v ON_ERROR_STOP=1 "$ours"; } # statements on stdin

trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
admin "CREATE DATABASE $database"

"$repository/examples/install" "$libraries"
# shellcheck disable=SC2086 # BESIDE is words, or nothing: see the Makefile
cargo build --quiet --locked --manifest-path "$repository/Cargo.toml" --bin tenantd ${BESIDE:-}
tenantd=$(cargo metadata --quiet --no-deps --format-version 1 --manifest-path "$repository/Cargo.toml" |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')/debug/tenantd

# ------------------------------------------------ the operator sets tenantd up

# Instead of Qlik Cloud: every host under us.qlikcloud.com is a tenant, over TLS.
"$tenantd" simulate --listen 127.0.0.1:0 --suffix us.qlikcloud.com --write-ca "$work/ca.pem" \
    >"$work/simulator.txt" &
simulator=$!
address=
while [ -z "$address" ]; do
    kill -0 "$simulator" 2>/dev/null || fail "the simulator did not start"
    sleep 0.1
    address=$(sed -n '1s/^listening on //p' "$work/simulator.txt")
done
pass "a simulated Qlik Cloud listens on $address"

quietly "$tenantd" keys generate --out "$work/keyring.json"
# For the real Qlik Cloud, leave [qlik] out and name your region's own client.
cat >"$work/tenantd.toml" <<TOML
[database]
url = "$ours"

[qlik]
connect_to = "$address"
ca_file = "$work/ca.pem"

[[regions]]
name = "us"
hosts = ["*.us.qlikcloud.com"]
client_id = "region-client"
client_secret = "region-secret"

[vault]
keyring_file = "$work/keyring.json"
TOML
quietly "$tenantd" migrate --config "$work/tenantd.toml"
pass "tenantd has a keyring, a configuration and a schema"

# --------------------------------------- the pipeline asks, tenantd does its work

sql <<SQL
INSERT INTO tenantd.tenants (external_id, host) VALUES ('customer-42', 'acme42.us.qlikcloud.com')
ON CONFLICT (external_id) DO NOTHING;
INSERT INTO tenantd.tenants (external_id, host) VALUES ('customer-43', 'acme43.us.qlikcloud.com')
ON CONFLICT (external_id) DO NOTHING;
SQL
# Now that the region has a tenant to ask, its credential can be tested too.
quietly "$tenantd" doctor --config "$work/tenantd.toml"
grep -q '^ok  *region' "$work/said.txt" || fail "tenantd doctor: $(cat "$work/said.txt")"
pass "tenantd's doctor finds all well, the region's credential too"

quietly "$tenantd" run --once --config "$work/tenantd.toml"
ready=$(echo "SELECT string_agg(external_id, ' ' ORDER BY external_id) FROM tenantd.status WHERE ready" | sql)
[ "$ready" = 'customer-42 customer-43' ] || fail "ready should be both customers, not only: $ready"
pass "two inserted tenants are ready"

# ------------------------------------- the web app opens the secret of its tenant

sql >"$work/row.json" <<SQL
SELECT row_to_json(c) FROM tenantd.credentials AS c WHERE external_id = 'customer-42' AND stage = 'current';
SQL
open_with() { # LIBRARY < ROWS
    case $1 in
    jose) node "$libraries/open-secret/open_secret.mjs" "$work/keyring.json" --print ;;
    jwcrypto) "$libraries/python" "$libraries/open-secret/open_secret.py" "$work/keyring.json" --print ;;
    esac
}
secret=$(open_with jose <"$work/row.json") || fail "jose does not open the secret"
[ -n "$secret" ] || fail "jose found no secret"
[ "$secret" = "$(open_with jwcrypto <"$work/row.json")" ] || fail "jwcrypto does not find the secret that jose finds"
pass "npm's jose and PyPI's jwcrypto open the same secret"

# What somebody with the right to write could try: the secret of another tenant.
sql >"$work/moved.json" <<SQL
SELECT row_to_json(moved)
  FROM (SELECT into_row.*, from_row.sealed
          FROM tenantd.credentials AS from_row,
               (SELECT tenant_id, external_id, host, client_id, version, stage, created_at
                  FROM tenantd.credentials WHERE external_id = 'customer-43') AS into_row
         WHERE from_row.external_id = 'customer-42') AS moved;
SQL
[ -s "$work/moved.json" ] || fail "there is no moved row to try"
for library in jose jwcrypto; do
    if open_with "$library" <"$work/moved.json" >/dev/null 2>"$work/refusal.txt"; then
        fail "$library opens a secret that was moved to another tenant's row"
    fi
    grep -q 'sealed for another row' "$work/refusal.txt" || fail "$library: $(cat "$work/refusal.txt")"
done
pass "both refuse that secret in another tenant's row"

# ----------------------------------------------- the web app signs its user in

user=$(
    NODE_EXTRA_CA_CERTS="$work/ca.pem" node --input-type=module - "https://$address/__simulator/users" <<'JS'
const body = { host: 'acme42.us.qlikcloud.com', subject: 'ada', name: 'Ada Lovelace' };
const answer = await fetch(process.argv[2], { method: 'POST', body: JSON.stringify(body) });
if (answer.status !== 201) throw new Error(`the simulator makes no user: status ${answer.status}`);
console.log((await answer.json()).id);
JS
) || fail "the simulated tenant has no user"

# What it takes is a login, the keyring and whom to sign in: the libraries of clients/ find the credential by themselves.
# (A web app's own login has tenantd_consumer and no more: make clients.)
impersonate() { # LANGUAGE USER_ID
    case $1 in
    node) set -- node "$libraries/impersonate/impersonate.mjs" "$2" ;;
    python) set -- "$libraries/python" "$libraries/impersonate/impersonate.py" "$2" ;;
    esac
    DATABASE_URL="$ours" KEYRING_FILE="$work/keyring.json" CONNECT_TO="$address" \
        NODE_EXTRA_CA_CERTS="$work/ca.pem" CA_FILE="$work/ca.pem" "$1" "$2" customer-42 "$3"
}
for language in node python; do
    me=$(impersonate "$language" "$user") || fail "the library for $language signs nobody in"
    [ "$me" = "{\"id\":\"$user\",\"name\":\"Ada Lovelace\",\"subject\":\"ada\"}" ] || fail "users/me is somebody else: $me"
done
pass "with it, the libraries for Node (and npm's @qlik/api) and Python sign Ada Lovelace in at acme42.us.qlikcloud.com"

for language in node python; do
    if impersonate "$language" nobody >/dev/null 2>"$work/refusal.txt"; then
        fail "whoever is not there is signed in too"
    fi
    grep -q 'OAUTH-5' "$work/refusal.txt" || fail "nobody: $(cat "$work/refusal.txt")"
    ! grep -q 'title\|errors' "$work/refusal.txt" || fail "more is shown of Qlik's answer: $(cat "$work/refusal.txt")"
done
pass "whoever is not there is refused with Qlik's code OAUTH-5, and nothing else of its answer is shown"

# ------------------------------------------------------- and nobody else has it

if printf '%s\n' "$secret" | grep -qF -f - "$work"/*.*; then
    fail "a log or a file holds the secret in plain text"
fi
pass "the secret is in no log and no file"
echo "end to end: all $steps steps passed"
