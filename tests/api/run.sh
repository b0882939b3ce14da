#!/bin/sh
# Holds a running daemon's HTTP API against its own OpenAPI document, with schemathesis: requests
# that the document allows and requests that it does not, against private Postgres and a simulated
# Qlik Cloud.
#
# Needs python3 with venv, PostgreSQL's programs (make install-postgres), and PyPI for the first
# run. API_DIR keeps the installed library from run to run; without it, it lives in a temporary
# directory. ARGS are more of schemathesis' own. The database is a throw-away one.
. "$(dirname "$0")/../stage.sh"

API_DIR=${API_DIR:-$work/installed}
mkdir -p "$API_DIR"
if ! cmp -s "$here/requirements.txt" "$API_DIR/installed"; then
    python3 -m venv "$API_DIR/venv"
    PIP_ROOT_USER_ACTION=ignore "$API_DIR/venv/bin/pip" install --quiet --no-cache-dir --disable-pip-version-check \
        --require-hashes --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$API_DIR/installed"
fi

build
database api
simulated --latency 5ms
printf 'looks-at-it-only\n' >"$work/looks"
printf 'schemathesis acts-on-all-tenants\n' >"$work/acts"
configured <<TOML
http.token_file = "$work/looks"
http.act_token_file = "$work/acts"
TOML
sql -c "INSERT INTO tenantd.tenants (external_id, host)
        SELECT 'customer-' || n, 't' || n || '.us.qlikcloud.com' FROM generate_series(1, 40) AS n"
start daemon "$tenantd" run --config "$work/tenantd.toml"
address=$(said daemon 'http://')
"$tenantd" tenant wait customer-1 --config "$work/tenantd.toml" >/dev/null

began=$(date +%s)
"$API_DIR/venv/bin/schemathesis" --config-file "$here/schemathesis.toml" run "http://$address/api/v1/openapi.json" \
    --header 'Authorization: Bearer acts-on-all-tenants' --seed 1 --no-color "$@"
! grep -E 'ERROR|panicked|could not answer' "$work/daemon.log" || exit 1
echo "api-test: held against its document in $(($(date +%s) - began)) s"
