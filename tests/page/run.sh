#!/bin/sh
# Looks at the status page of a running daemon with headless Chromium: every page, narrow and wide,
# light and dark, with and without JavaScript, by keyboard alone; beside private Postgres and a
# simulated Qlik Cloud.
#
# Needs node, npm, PostgreSQL's programs (make install-postgres), npm's registry for the first run,
# and Chromium, which is installed where it is missing (CHROMIUM names another). PAGE_DIR keeps the
# installed libraries and the pictures from run to run; without it they live in a temporary
# directory. PAGE_PICTURE=docs/status-page.png writes the README's picture, small where there is
# pngquant. The database is a throw-away one.
set -eu
umask 077

here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
if [ -z "${PAGE_SERVER:-}" ]; then
    # Runs this script again, beside a server that ends with it.
    exec "$repository/scripts/with-postgres" \
        sh -c 'PAGE_SERVER=$DATABASE_URL && export PAGE_SERVER && unset DATABASE_URL && exec "$0" "$@"' "$here/run.sh" "$@"
fi

work=$(mktemp -d)
simulator='' daemon=''
end() {
    for process in $daemon $simulator; do kill "$process" 2>/dev/null && wait "$process" || true; done
    rm -rf "$work"
}
trap end EXIT
PAGE_DIR=${PAGE_DIR:-$work}
mkdir -p "$PAGE_DIR"
CHROMIUM=${CHROMIUM:-$("$repository/scripts/install-chromium")}
cp "$here/package.json" "$here/package-lock.json" "$here"/*.mjs "$PAGE_DIR"
if ! cmp -s "$here/package-lock.json" "$PAGE_DIR/installed"; then
    (cd "$PAGE_DIR" && npm ci --silent --no-audit --no-fund --cache "$work/npm-cache")
    cp "$here/package-lock.json" "$PAGE_DIR/installed"
fi

cd "$repository"
SQLX_OFFLINE=true cargo build --quiet --locked --bin tenantd
tenantd=${CARGO_TARGET_DIR:-$repository/target}/debug/tenantd

# The server's own database has the schema but not the migrator's table, which the daemon asks.
case $PAGE_SERVER in
*/tenantd\?*) TENANTD_DATABASE__URL=${PAGE_SERVER%%/tenantd\?*}/page?${PAGE_SERVER#*\?} ;;
*) echo "page-test: an address that with-postgres never made" >&2 && exit 1 ;;
esac
export TENANTD_DATABASE__URL
PSQL=$(scripts/find-postgres)/psql
[ -x "$PSQL" ] || PSQL=psql
sql() { "$PSQL" -X -q -v ON_ERROR_STOP=1 "$TENANTD_DATABASE__URL" "$@"; }
"$PSQL" -X -q -c 'CREATE DATABASE page' "$PAGE_SERVER"
"$tenantd" migrate >/dev/null

# Waits until a line of a log has this, and prints what stands behind it.
said() {
    for _ in $(seq 300); do
        if line=$(grep -m 1 "$2" "$1"); then printf '%s\n' "$line" | sed "s|.*$2||; s|[^0-9.:].*||" && return; fi
        sleep 0.1
    done
    echo "page-test: $2 was never said:" >&2
    cat "$1" >&2
    exit 1
}

"$tenantd" simulate --suffix us.qlikcloud.com --suffix eu.qlikcloud.com --listen 127.0.0.1:0 --write-ca "$work/ca.pem" --latency 5ms >"$work/simulator.log" 2>&1 &
simulator=$!
qlik=$(said "$work/simulator.log" 'listening on ')
# These go on being tried.
for number in 1 2 3; do
    printf '{"host": "slow-%s.us.qlikcloud.com", "status": "unreachable"}' "$number" |
        curl --silent --show-error --fail --output /dev/null --cacert "$work/ca.pem" --connect-to "::$qlik" \
            --header 'content-type: application/json' --data @- "https://localhost:${qlik##*:}/__simulator/tenants"
done
"$tenantd" keys generate --out "$work/keyring.json" >/dev/null
printf 'looks-at-it-only\n' >"$work/looks"
printf 'alice acts-on-all-tenants\n' >"$work/acts"
cat >"$work/tenantd.toml" <<TOML
vault.keyring_file = "$work/keyring.json"
qlik.connect_to = "$qlik"
qlik.ca_file = "$work/ca.pem"
http.listen = "127.0.0.1:0"
http.token_file = "$work/looks"
http.act_token_file = "$work/acts"
rotation.every = "30d"
retry.base = "500ms"
retry.cap = "4s"
[[regions]]
name = "eu"
hosts = ["*.eu.qlikcloud.com"]
client_id = "region-client"
client_secret = "region-secret"
[[regions]]
name = "us"
hosts = ["*.us.qlikcloud.com"]
client_id = "region-client"
client_secret = "region-secret"
TOML
sql <"$here/tenants.sql"
"$tenantd" run --config "$work/tenantd.toml" >"$work/daemon.log" 2>&1 &
daemon=$!
address=$(said "$work/daemon.log" 'http://')
"$tenantd" tenant wait customer-001 customer-120 --config "$work/tenantd.toml" >/dev/null
# Secrets of some weeks: their calendar has more than one day.
sql <"$here/weeks.sql"

export CHROMIUM PSQL
PAGE_URL=http://$address PAGE_LOOKS=looks-at-it-only PAGE_ACTS=acts-on-all-tenants PAGE_PICTURE=${PAGE_PICTURE:-} \
    PAGE_REPOSITORY=$repository node --test --test-reporter spec "$PAGE_DIR/page.test.mjs" "$@" || {
    tail -n 40 "$work/daemon.log" >&2
    exit 1
}
if [ -n "${PAGE_PICTURE:-}" ] && command -v pngquant >/dev/null; then
    pngquant --force --strip --speed 1 --output "$PAGE_PICTURE" "$PAGE_PICTURE"
fi
! grep -E 'ERROR|panicked|could not be made' "$work/daemon.log" || exit 1
