#!/bin/sh
# Measures each page, each list of the API and the daemon's memory with 100,000 tenants, against
# private Postgres. Says how long each took at most of 20, and fails beyond 300 ms.
#
# Needs curl and PostgreSQL's programs (make install-postgres). TENANTD is the program to measure,
# by default a release build.
set -eu
umask 077

here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
if [ -z "${PAGE_SERVER:-}" ]; then
    exec "$repository/scripts/with-postgres" \
        sh -c 'PAGE_SERVER=$DATABASE_URL && export PAGE_SERVER && unset DATABASE_URL && exec "$0" "$@"' "$here/times.sh" "$@"
fi

work=$(mktemp -d)
daemon=''
end() {
    for process in $daemon; do kill "$process" 2>/dev/null && wait "$process" || true; done
    rm -rf "$work"
}
trap end EXIT
cd "$repository"
if [ -z "${TENANTD:-}" ]; then
    SQLX_OFFLINE=true cargo build --quiet --locked --release --bin tenantd
    TENANTD=${CARGO_TARGET_DIR:-$repository/target}/release/tenantd
fi

case $PAGE_SERVER in
*/tenantd\?*) TENANTD_DATABASE__URL=${PAGE_SERVER%%/tenantd\?*}/times?${PAGE_SERVER#*\?} ;;
*) echo "page-times: an address that with-postgres never made" >&2 && exit 1 ;;
esac
export TENANTD_DATABASE__URL
PSQL=$(scripts/find-postgres)/psql
[ -x "$PSQL" ] || PSQL=psql
"$PSQL" -X -q -c 'CREATE DATABASE times' "$PAGE_SERVER"
"$TENANTD" migrate >/dev/null
"$PSQL" -X -q -v ON_ERROR_STOP=1 -f "$here/fleet.sql" "$TENANTD_DATABASE__URL"
"$TENANTD" keys generate --out "$work/keyring.json" >/dev/null
cat >"$work/tenantd.toml" <<TOML
vault.keyring_file = "$work/keyring.json"
http.listen = "127.0.0.1:0"
rotation.every = "45d"
# Nobody is asked anything: the fleet is paused, and nothing listens there.
qlik.connect_to = "127.0.0.1:9"
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
"$TENANTD" fleet pause --reason 'pages are measured' --config "$work/tenantd.toml" >/dev/null
"$TENANTD" run --config "$work/tenantd.toml" >"$work/daemon.log" 2>&1 &
daemon=$!
for _ in $(seq 300); do
    grep -q 'ready: claiming' "$work/daemon.log" && break
    sleep 0.2
done
address=$(grep -m 1 'http://' "$work/daemon.log" | sed 's|.*http://||; s|[^0-9.:].*||')
peak() { sed -n 's/^VmHWM: *//p' "/proc/$daemon/status"; }

echo "idle: $(peak) at most"
slow=''
while read -r path; do
    for _ in $(seq 20); do
        curl --silent --show-error --fail --output /dev/null --write-out '%{time_total} %{size_download}\n' "http://$address$path"
    done | sort -n | awk -v path="$path" '{ t[NR] = $1; bytes = $2 } END { printf "%-58s median %3.0f ms, at most %3.0f ms, %6d bytes\n", path, t[int((NR + 1) / 2)] * 1000, t[NR] * 1000, bytes; exit t[NR] > 0.3 }' ||
        slow="$slow $path"
done <<PATHS
/status
/status/attention
/status/attention/NameTaken/retry
/status/tenants
/status/tenants?filter=ready%3Ano
/status/tenants?filter=parked%3Ayes
/status/tenants?filter=reason%3ANameTaken
/status/tenants?filter=phase%3Aready+region%3Aus
/status/tenants?filter=label.tier%3Agold&after=customer-090000
/status/tenants?filter=region%3Anowhere
/status/tenants?filter=label.tier%3Anone
/status/tenants/customer-050000
/status/tenants/customer-096000
/status/calendar
/api/v1/tenants
/api/v1/tenants?limit=500
/api/v1/tenants/customer-096000?attempts=1000
/api/v1/fleet
/api/v1/regions
/api/v1/workers
PATHS
echo "after all of it: $(peak) at most"
[ -z "$slow" ] || { echo "page-times: longer than 300 ms:$slow" >&2 && exit 1; }
