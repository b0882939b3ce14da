#!/bin/sh
# Proves that a pipeline's drivers write tenantd.tenants as it is: psycopg, asyncpg, SQLAlchemy,
# Django, node-postgres and postgres.js, without casts, as a login that has tenantd_pipeline alone.
#
# Needs node, npm, python3 with venv, PostgreSQL's programs (make install-postgres), and the
# registries for the first run. DRIVERS_DIR keeps the installed libraries from run to run;
# without it they live in a temporary directory. The database is a throw-away one.
set -eu
umask 077

here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
if [ -z "${DRIVERS_SERVER:-}" ]; then
    # Runs this script again, beside a server that ends with it.
    exec "$repository/scripts/with-postgres" \
        sh -c 'DRIVERS_SERVER=$DATABASE_URL && export DRIVERS_SERVER && unset DATABASE_URL && exec "$0"' "$here/run.sh"
fi

if [ -z "${DRIVERS_DIR:-}" ]; then
    DRIVERS_DIR=$(mktemp -d)
    trap 'rm -rf "$DRIVERS_DIR"' EXIT
fi
mkdir -p "$DRIVERS_DIR"
cp "$here"/drivers* "$here"/package*.json "$here"/requirements.txt "$DRIVERS_DIR"
cd "$DRIVERS_DIR"

if ! cmp -s package-lock.json installed-node; then
    npm ci --silent --no-audit --no-fund --cache "$PWD/npm-cache"
    cp package-lock.json installed-node
fi
if ! cmp -s requirements.txt installed-python; then
    python3 -m venv venv
    PIP_ROOT_USER_ACTION=ignore venv/bin/pip install --quiet --no-cache-dir --disable-pip-version-check \
        --requirement requirements.txt
    cp requirements.txt installed-python
fi
rm -rf npm-cache

# The server's own database has the schema but not the migrator's table, which roles.sql names.
case $DRIVERS_SERVER in
*/tenantd\?*) ours=${DRIVERS_SERVER%%/tenantd\?*}/drivers?${DRIVERS_SERVER#*\?} ;;
*) echo "drivers: an address that with-postgres never made" >&2 && exit 1 ;;
esac
psql=$("$repository/scripts/find-postgres")/psql
[ -x "$psql" ] || psql=psql
sql() { "$psql" -X -q -v ON_ERROR_STOP=1 "$@"; }
sql -c 'CREATE DATABASE drivers' "$DRIVERS_SERVER"
TENANTD_DATABASE__URL=$ours SQLX_OFFLINE=true \
    cargo run --quiet --locked --manifest-path "$repository/Cargo.toml" --bin tenantd -- migrate
sql -f "$repository/deploy/postgres/roles.sql" "$ours"
sql -c 'CREATE ROLE onboarding LOGIN' -c 'GRANT tenantd_pipeline TO onboarding' "$ours"

PGHOST=${DRIVERS_SERVER#*host=} PGUSER=onboarding PGDATABASE=drivers
export PGHOST PGUSER PGDATABASE
venv/bin/python drivers.py
venv/bin/python drivers_django.py
node drivers.mjs
