#!/bin/sh
# Measures each page, each list of the API and the daemon's memory with 100,000 tenants, against
# private Postgres. Says how long each took at most of 20, and fails beyond 300 ms, or where one is an
# error.
#
# Needs curl and PostgreSQL's programs (make install-postgres). TENANTD is the program to measure,
# by default a release build.
. "$(dirname "$0")/../stage.sh"

if [ -n "${TENANTD:-}" ]; then tenantd=$TENANTD; else build --release; fi
database times
sql -f "$here/fleet.sql"
"$tenantd" keys generate --out "$work/keyring.json" >/dev/null
cat >"$work/tenantd.toml" <<TOML
vault.keyring_file = "$work/keyring.json"
http.listen = "127.0.0.1:0"
rotation.every = "45d"
# Nobody is asked anything: the fleet is paused, and nothing listens there.
qlik.connect_to = "127.0.0.1:9"
$(regions eu us)
TOML
"$tenantd" fleet pause --reason 'pages are measured' --config "$work/tenantd.toml" >/dev/null
start daemon "$tenantd" run --config "$work/tenantd.toml"
said daemon 'ready: claiming' >/dev/null
address=$(said daemon 'http://')
peak() { sed -n 's/^VmHWM: *//p' "/proc/$(cat "$work/daemon.pid")/status"; }

echo "idle: $(peak) at most"
slow=''
while read -r path; do
    for _ in $(seq 20); do
        curl --silent --show-error --output /dev/null --write-out '%{time_total} %{size_download} %{http_code}\n' "http://$address$path"
    done | sort -n | awk -v path="$path" '{ t[NR] = $1; bytes = $2; bad += $3 != 200 } END { printf "%-58s median %3.0f ms, at most %3.0f ms, %6d bytes\n", path, t[int((NR + 1) / 2)] * 1000, t[NR] * 1000, bytes; exit bad || t[NR] > 0.3 }' ||
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
[ -z "$slow" ] || { echo "page-times: longer than 300 ms, or an error:$slow" >&2 && exit 1; }
