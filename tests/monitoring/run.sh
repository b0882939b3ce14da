#!/bin/sh
# Proves that what is in deploy/monitoring works: the rules are accepted, each alert fires and
# is silent as its cases say, and every query of dashboard and alerts returns data.
#
# For the last, a daemon is under load: a private PostgreSQL, a simulated Qlik Cloud that
# loses, spoils and refuses answers, and a Prometheus that scrapes every second; all on this
# machine, and gone when this ends. Needs cargo, python3, PostgreSQL's programs (make
# install-postgres) and Prometheus (scripts/install-prometheus).
set -eu
umask 077

here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
rules=$repository/deploy/monitoring
export SQLX_OFFLINE=true

if [ -z "${MONITORING_SERVER:-}" ]; then
    bin=$("$repository/scripts/install-prometheus")
    export PATH="$bin:$PATH"
    promtool check rules "$rules/alerts.yaml"
    (cd "$rules" && promtool test rules alerts_test.yaml alerts_slow_test.yaml)
    cargo build --quiet --locked --manifest-path "$repository/Cargo.toml" --bin tenantd
    # Runs this script again, beside a server that ends with it.
    exec "$repository/scripts/with-postgres" \
        sh -c 'MONITORING_SERVER=$DATABASE_URL && export MONITORING_SERVER && unset DATABASE_URL && exec "$0"' "$here/run.sh"
fi

# Settings of the caller's own must not lead this to a real tenant.
for setting in $(env | sed -n 's/^\(TENANTD_[A-Za-z0-9_]*\)=.*/\1/p'); do
    unset "$setting"
done

work=$(mktemp -d)
started=
finish() {
    status=$?
    trap - EXIT INT TERM HUP
    for process in $started; do
        kill "$process" 2>/dev/null || true
        wait "$process" 2>/dev/null || true
    done
    if [ "$status" -ne 0 ]; then
        for log in daemon prometheus simulator; do
            echo "---- the end of what $log said:" >&2
            [ ! -f "$work/$log.txt" ] || tail -n 15 "$work/$log.txt" >&2
        done
        echo "monitoring: failed" >&2
    fi
    rm -rf "$work"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

wait_for() { # PROCESS FILE SED-EXPRESSION: prints what the expression finds
    found=
    while [ -z "$found" ]; do
        kill -0 "$1" 2>/dev/null || {
            echo "monitoring: it ended before it said where it listens: $(cat "$work/$2.txt")" >&2
            return 1
        }
        sleep 0.1
        found=$(sed -n "$3" "$work/$2.txt" | head -n 1)
    done
    echo "$found"
}

tenantd=$(cargo metadata --quiet --no-deps --format-version 1 --manifest-path "$repository/Cargo.toml" |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')/debug/tenantd

# A database that the migrator made, on the server of the one that with-postgres did.
psql=$("$repository/scripts/find-postgres")/psql
[ -x "$psql" ] || psql=psql
ours=$(echo "$MONITORING_SERVER" | sed 's|/tenantd?|/monitoring?|')
"$psql" -X -q -v ON_ERROR_STOP=1 -c 'CREATE DATABASE monitoring' "$MONITORING_SERVER"
TENANTD_DATABASE__URL=$ours "$tenantd" migrate >/dev/null

"$tenantd" simulate --faults --listen 127.0.0.1:0 --suffix us.qlikcloud.com --write-ca "$work/ca.pem" >"$work/simulator.txt" 2>&1 &
started=$!
qlik=$(wait_for "$started" simulator 's/^listening on //p')

"$tenantd" keys generate --out "$work/keyring.json" >/dev/null
# As in the demo: it differs from production in waiting less.
cat >"$work/tenantd.toml" <<TOML
[database]
url = "$ours"
[worker]
lease = "10s"
poll = "250ms"
[retry]
base = "500ms"
cap = "2s"
[qlik]
connect_to = "$qlik"
ca_file = "$work/ca.pem"
request_timeout = "2s"
settle = "2s"
[[regions]]
name = "us"
hosts = ["*.us.qlikcloud.com"]
client_id = "region-client"
client_secret = "region-secret"
[vault]
keyring_file = "$work/keyring.json"
[objective]
ready_within = "5s"
[http]
listen = "127.0.0.1:0"
TOML
"$tenantd" run --config "$work/tenantd.toml" >"$work/daemon.txt" 2>&1 &
daemon=$!
started="$daemon $started"
pages=$(wait_for "$daemon" daemon 's|.*http://\(127[0-9.:]*\) serves.*|\1|p')

cat >"$work/prometheus.yml" <<YAML
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: ["$rules/alerts.yaml"]
scrape_configs:
  - job_name: tenantd
    static_configs: [{targets: ["$pages"]}]
YAML
promtool check config "$work/prometheus.yml" >/dev/null
prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/tsdb" \
    --web.listen-address=127.0.0.1:0 --log.format=logfmt >"$work/prometheus.txt" 2>&1 &
prometheus=$!
started="$prometheus $started"
api=$(wait_for "$prometheus" prometheus 's/.*msg="Listening on" address=//p')

python3 "$here/queries.py" "http://$api" "$rules" "$psql" "$ours"
