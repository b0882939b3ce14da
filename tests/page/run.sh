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
. "$(dirname "$0")/../stage.sh"

PAGE_DIR=${PAGE_DIR:-$work/installed}
mkdir -p "$PAGE_DIR"
CHROMIUM=${CHROMIUM:-$("$repository/scripts/install-chromium")}
cp "$here/package.json" "$here/package-lock.json" "$here"/*.mjs "$PAGE_DIR"
if ! cmp -s "$here/package-lock.json" "$PAGE_DIR/installed"; then
    (cd "$PAGE_DIR" && npm ci --silent --no-audit --no-fund --cache "$work/npm-cache")
    cp "$here/package-lock.json" "$PAGE_DIR/installed"
fi

build
database page
simulated --suffix us.qlikcloud.com --suffix eu.qlikcloud.com --latency 5ms
# These go on being tried.
for number in 1 2 3; do
    printf '{"host": "slow-%s.us.qlikcloud.com", "status": "unreachable"}' "$number" |
        curl --silent --show-error --fail --output /dev/null --cacert "$work/ca.pem" --connect-to "::$qlik" \
            --header 'content-type: application/json' --data @- "https://localhost:${qlik##*:}/__simulator/tenants"
done
printf 'looks-at-it-only\n' >"$work/looks"
printf 'alice acts-on-all-tenants\n' >"$work/acts"
configured eu us <<TOML
http.token_file = "$work/looks"
http.act_token_file = "$work/acts"
rotation.every = "30d"
retry.base = "500ms"
retry.cap = "4s"
TOML
sql <"$here/tenants.sql"
start daemon "$tenantd" run --config "$work/tenantd.toml"
address=$(said daemon 'http://')
"$tenantd" tenant wait customer-001 customer-120 --config "$work/tenantd.toml" >/dev/null
# Secrets of some weeks: their calendar has more than one day.
sql <"$here/weeks.sql"

export CHROMIUM PSQL
PAGE_URL=http://$address PAGE_LOOKS=looks-at-it-only PAGE_ACTS=acts-on-all-tenants PAGE_PICTURE=${PAGE_PICTURE:-} \
    PAGE_REPOSITORY=$repository node --test --test-reporter spec "$PAGE_DIR/page.test.mjs" "$@"
if [ -n "${PAGE_PICTURE:-}" ] && command -v pngquant >/dev/null; then
    (cd "$repository" && pngquant --force --strip --speed 1 --output "$PAGE_PICTURE" "$PAGE_PICTURE")
fi
! grep -E 'ERROR|panicked|could not be made' "$work/daemon.log" || exit 1
