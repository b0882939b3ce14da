#!/bin/sh
# Runs every command, statement and example that the README, the how-to pages and the other pages named
# below show, on a private Postgres, with a simulated Qlik Cloud and a real daemon; and holds docs/sql.md
# against the catalogue. `run.sh --write` writes that page instead. ARGS name pages; without any, it is
# all of them.
#
# Needs bash, python3 with venv, node, npm, curl, openssl, PostgreSQL's programs (make install-postgres),
# PgBouncer, and the registries for the first run. BOOK_LIBRARIES keeps what the examples need.
. "$(dirname "$0")/../stage.sh"

build
database book_catalogue
sql -f "$repository/deploy/postgres/roles.sql" >/dev/null
sql -At -f "$here/sql_page.sql" >"$work/sql.md"
if [ "${1:-}" = --write ]; then
    cp "$work/sql.md" "$repository/docs/sql.md"
    exit
fi
diff -u "$repository/docs/sql.md" "$work/sql.md" || {
    echo "docs/sql.md is not what the catalogue says: run make book-pages and commit it" >&2
    exit 1
}

[ $# -gt 0 ] || set -- README.md docs/first-ten-minutes.md docs/operations.md docs/api.md docs/monitoring.md docs/consumers.md \
    examples/README.md clients/node/README.md clients/python/README.md $(cd "$repository" && ls docs/how-to/*.md)
BOOK_LIBRARIES=${BOOK_LIBRARIES:-$work/installed}
(umask 022 && mkdir -p "$BOOK_LIBRARIES" && "$repository/examples/install" "$BOOK_LIBRARIES")
unset TENANTD_DATABASE__URL
mkdir "$work/bin"
ln -s "$tenantd" "$work/bin/tenantd"
for program in psql pg_dump pg_restore createdb; do
    ln -s "$(dirname "$PSQL")/$program" "$work/bin/$program"
done
export BOOK_LIBRARIES BOOK_WORK="$work" BOOK_BIN="$work/bin" STAGE_SERVER
began=$(date +%s)
python3 "$here/run.py" "$@"
echo "book-test: $(($(date +%s) - began)) s"
