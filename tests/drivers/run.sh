#!/bin/sh
# Proves that a pipeline's drivers write tenantd.tenants as it is: psycopg, asyncpg, SQLAlchemy,
# Django, node-postgres and postgres.js, without casts, as a login that has tenantd_pipeline alone.
#
# Needs node, npm, python3 with venv, PostgreSQL's programs (make install-postgres), and the
# registries for the first run. DRIVERS_DIR keeps the installed libraries from run to run;
# without it they live in a temporary directory. The database is a throw-away one.
. "$(dirname "$0")/../stage.sh"

DRIVERS_DIR=${DRIVERS_DIR:-$work/installed}
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
        --require-hashes --requirement requirements.txt
    cp requirements.txt installed-python
fi
rm -rf npm-cache

build
database drivers
sql -f "$repository/deploy/postgres/roles.sql"
sql -c 'CREATE ROLE onboarding LOGIN' -c 'GRANT tenantd_pipeline TO onboarding'

PGHOST=${STAGE_SERVER#*host=} PGUSER=onboarding PGDATABASE=drivers
export PGHOST PGUSER PGDATABASE
venv/bin/python drivers.py
venv/bin/python drivers_django.py
node drivers.mjs
