#!/bin/sh
# Holds a running daemon's HTTP API against its own OpenAPI document, with schemathesis: requests
# that the document allows and requests that it does not, against private Postgres and a simulated
# Qlik Cloud.
#
# Needs python3 with venv, PostgreSQL's programs (make install-postgres), and PyPI for the first
# run. API_DIR keeps the installed library from run to run; without it, it lives in a temporary
# directory. ARGS are more of schemathesis' own. The database is a throw-away one.
set -eu
umask 077

here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
if [ -z "${API_SERVER:-}" ]; then
    # Runs this script again, beside a server that ends with it.
    exec "$repository/scripts/with-postgres" \
        sh -c 'API_SERVER=$DATABASE_URL && export API_SERVER && unset DATABASE_URL && exec "$0" "$@"' "$here/run.sh" "$@"
fi

work=$(mktemp -d)
simulator='' daemon=''
end() {
    for process in $daemon $simulator; do kill "$process" 2>/dev/null && wait "$process" || true; done
    rm -rf "$work"
}
trap end EXIT
API_DIR=${API_DIR:-$work}
mkdir -p "$API_DIR"
if ! cmp -s "$here/requirements.txt" "$API_DIR/installed"; then
    python3 -m venv "$API_DIR/venv"
    PIP_ROOT_USER_ACTION=ignore "$API_DIR/venv/bin/pip" install --quiet --no-cache-dir --disable-pip-version-check \
        --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$API_DIR/installed"
fi

cd "$repository"
SQLX_OFFLINE=true cargo build --quiet --locked --bin tenantd
tenantd=${CARGO_TARGET_DIR:-$repository/target}/debug/tenantd

# The server's own database has the schema but not the migrator's table, which the daemon asks.
case $API_SERVER in
*/tenantd\?*) TENANTD_DATABASE__URL=${API_SERVER%%/tenantd\?*}/api?${API_SERVER#*\?} ;;
*) echo "api: an address that with-postgres never made" >&2 && exit 1 ;;
esac
export TENANTD_DATABASE__URL
psql=$(scripts/find-postgres)/psql
[ -x "$psql" ] || psql=psql
"$psql" -X -q -c 'CREATE DATABASE api' "$API_SERVER"
"$tenantd" migrate >/dev/null

# Waits until a line of a log has this, and prints what stands behind it.
said() {
    for _ in $(seq 300); do
        if line=$(grep -m 1 "$2" "$1"); then printf '%s\n' "$line" | sed "s|.*$2||; s|[^0-9.:].*||" && return; fi
        sleep 0.1
    done
    echo "api: $2 was never said:" >&2
    cat "$1" >&2
    exit 1
}

"$tenantd" simulate --listen 127.0.0.1:0 --write-ca "$work/ca.pem" --latency 5ms >"$work/simulator.log" 2>&1 &
simulator=$!
qlik=$(said "$work/simulator.log" 'listening on ')
"$tenantd" keys generate --out "$work/keyring.json" >/dev/null
printf 'looks-at-it-only\n' >"$work/looks"
printf 'schemathesis acts-on-all-tenants\n' >"$work/acts"
cat >"$work/tenantd.toml" <<EOF
vault.keyring_file = "$work/keyring.json"
qlik.connect_to = "$qlik"
qlik.ca_file = "$work/ca.pem"
http.listen = "127.0.0.1:0"
http.token_file = "$work/looks"
http.act_token_file = "$work/acts"
[[regions]]
name = "us"
hosts = ["*.us.qlikcloud.com"]
client_id = "region-client"
client_secret = "region-secret"
EOF
for number in $(seq 1 40); do echo "('customer-$number', 't$number.us.qlikcloud.com')"; done | paste -s -d , |
    sed 's/^/INSERT INTO tenantd.tenants (external_id, host) VALUES /' | "$psql" -X -q "$TENANTD_DATABASE__URL"
"$tenantd" run --config "$work/tenantd.toml" >"$work/daemon.log" 2>&1 &
daemon=$!
address=$(said "$work/daemon.log" 'http://')
"$tenantd" tenant wait customer-1 --config "$work/tenantd.toml" >/dev/null

began=$(date +%s)
"$API_DIR/venv/bin/schemathesis" --config-file "$here/schemathesis.toml" run "http://$address/api/v1/openapi.json" \
    --header 'Authorization: Bearer acts-on-all-tenants' --seed 1 --no-color "$@" || { cat "$work/daemon.log" >&2; exit 1; }
! grep -E 'ERROR|panicked|could not answer' "$work/daemon.log" || exit 1
echo "api-test: held against its document in $(($(date +%s) - began)) s"
