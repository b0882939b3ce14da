#!/bin/sh
# Runs every command and statement that the how-to pages, the first ten minutes, operations and the
# page of the HTTP API show, on a private Postgres, with a simulated Qlik Cloud and a real daemon; and
# holds docs/sql.md against the catalogue. `run.sh --write` writes that page instead. ARGS name pages;
# without any, it is all of them.
#
# Needs bash, python3, curl, openssl, PostgreSQL's programs (make install-postgres) and PgBouncer.
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

[ $# -gt 0 ] || set -- docs/first-ten-minutes.md docs/operations.md docs/api.md $(cd "$repository" && ls docs/how-to/*.md)
unset TENANTD_DATABASE__URL
mkdir "$work/bin"
ln -s "$tenantd" "$work/bin/tenantd"
for program in psql pg_dump pg_restore createdb; do
    ln -s "$(dirname "$PSQL")/$program" "$work/bin/$program"
done
export BOOK_WORK="$work" BOOK_BIN="$work/bin" STAGE_SERVER
began=$(date +%s)
python3 "$here/run.py" "$@"
echo "book-test: $(($(date +%s) - began)) s"
