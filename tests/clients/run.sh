#!/bin/sh
# Holds the client libraries of clients/ against the real daemon and a simulated Qlik Cloud: their
# own checks and tests, then users who sign in all the time while secrets rotate, connections end,
# the database stops and crashes, and tenants are removed. No sign-in may fail that could have worked.
#
#   tests/clients/run.sh [--long]
#
# Needs node, npm, python3 with venv, PostgreSQL's programs (make install-postgres), and the
# registries for the first run. CLIENTS_DIR keeps the installed libraries from run to run; without
# it they live in a temporary directory. The database is a throw-away one.
#
# --long: more tenants, connections that are ended, more outages, and apps behind PgBouncer in transaction mode.
. "$(dirname "$0")/../stage.sh"

long=no
[ "${1:-}" != --long ] || long=yes
CLIENTS_DIR=${CLIENTS_DIR:-$work/installed}
(umask 022 && mkdir -p "$CLIENTS_DIR/clients/node")
CLIENTS_DIR=$(cd "$CLIENTS_DIR" && pwd)
# As the package of an earlier version, which must not be unpacked instead of this one.
: >"$CLIENTS_DIR/clients/node/tenantd-client-0.0.0.tgz"
(umask 022 && "$repository/examples/install" "$CLIENTS_DIR")
python=$CLIENTS_DIR/python
wanted=$CLIENTS_DIR/clients/python/requirements-dev.txt
if ! cmp -s "$wanted" "$CLIENTS_DIR/installed-dev"; then
    PIP_ROOT_USER_ACTION=ignore "$python" -m pip install --quiet --no-cache-dir --disable-pip-version-check \
        --require-hashes --requirement "$wanted"
    cp "$wanted" "$CLIENTS_DIR/installed-dev"
fi

# ------------------------------------------------------------------ each by itself

# As `npm test`, and told in the same way by any node.
(cd "$CLIENTS_DIR/clients/node" && node_modules/.bin/tsc && node --test --test-reporter=tap build/test/*.test.js) \
    >"$work/node-tests.log"
grep -E '^# (pass|fail)' "$work/node-tests.log"
(
    cd "$CLIENTS_DIR/clients/python"
    "$python" -m ruff format --check --quiet .
    "$python" -m ruff check --quiet .
    "$python" -m mypy
    PYTHONPATH=src "$python" -m pytest --quiet -p no:cacheprovider
    "$python" -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir "$work" .
    "$python" -m zipfile --list "$work"/tenantd_client-*.whl >"$work/wheel"
    grep -q 'tenantd_client/py.typed' "$work/wheel"
)

# ------------------------------------------------------- both, with the real thing

case $long in
yes) tenants=60 per_second=25 outage_sign_ins=250 deaf_switch=60 outages='"stop", "crash", "stop"' ;;
no) tenants=20 per_second=20 outage_sign_ins=40 deaf_switch=3 outages='' ;;
esac

build
database clients
sql -f "$repository/deploy/postgres/roles.sql"
sql -c 'CREATE ROLE webapp LOGIN' -c 'GRANT tenantd_consumer TO webapp'
simulated --latency 5ms
configured </dev/null
sql -c "INSERT INTO tenantd.tenants (external_id, host)
        SELECT 'customer-' || n, 't' || n || '.us.qlikcloud.com' FROM generate_series(1, $tenants) AS n"
start daemon "$tenantd" run --config "$work/tenantd.toml"
said daemon 'http://' >/dev/null
NODE_EXTRA_CA_CERTS="$work/ca.pem" node "$here/users.mjs" "https://$qlik" "$tenants" >"$work/tenants.json"

SERVER_DIR=${STAGE_SERVER#*host=} SERVER_BIN=$("$repository/scripts/find-postgres")
export SERVER_DIR SERVER_BIN

pooled=
if [ "$long" = yes ]; then
    pooled=$work/pooler
    mkdir "$pooled"
    cat >"$pooled/pgbouncer.ini" <<INI
[databases]
clients = host=$SERVER_DIR user=webapp
[pgbouncer]
listen_addr =
unix_socket_dir = $pooled
listen_port = 5432
auth_type = any
pool_mode = transaction
server_login_retry = 1
INI
    PATH=$PATH:/usr/sbin:/usr/local/sbin
    pooler='pgbouncer'
    if [ "$(id -u)" -eq 0 ]; then
        # It refuses to run as root, and the server's socket is for the server's owner.
        owner=$(stat -c %U "$SERVER_DIR/data")
        chown -R "$owner" "$pooled" && chmod a+x "$work"
        pooler="pgbouncer --user=$owner"
    fi
    # shellcheck disable=SC2086
    start pooler $pooler "$pooled/pgbouncer.ini"
    said pooler 'process up' >/dev/null
fi

cp "$here/load.mjs" "$CLIENTS_DIR/impersonate"
CONDUCT=$(
    cat <<JSON
{"work": "$work", "host": "$SERVER_DIR", "dbname": "clients", "pooled_host": "$pooled",
 "keyring_file": "$work/keyring.json", "tenants_file": "$work/tenants.json",
 "connect_to": "$qlik", "ca_file": "$work/ca.pem", "postgres": "$here/postgres",
 "per_second": $per_second, "outage_sign_ins": $outage_sign_ins, "outages": [$outages], "deaf_switch": $deaf_switch,
 "apps": {"node": ["node", "$CLIENTS_DIR/impersonate/load.mjs"], "python": ["$python", "$here/load.py"]}}
JSON
)
export CONDUCT
# The server that was started anew ends here, before whatever made its directory removes that.
finish() {
    ended_with=$?
    "$here/postgres" stop >/dev/null 2>&1 || true
    set +e
    (exit "$ended_with")
    end
}
trap finish EXIT
"$python" "$here/conduct.py"
! grep -E 'panicked|could not answer' "$work/daemon.log" || exit 1
