#!/bin/sh
# Imports a file of 1,000,000 tenants of which 1,000 are bad, kills it in the middle, goes on,
# mends what was rejected and gives it again. Says how long each took and how much memory, and
# fails where a line is lost, where memory is not bounded, or where a daemon beside it is held up.
#
# Needs PostgreSQL's programs (make install-postgres). TENANTD is the program to measure, by
# default a release build; LINES and BAD say how many.
. "$(dirname "$0")/../stage.sh"

LINES=${LINES:-1000000} BAD=${BAD:-1000}
# In kB: batches that are read ahead, and no more for a longer file.
MOST=${MOST:-131072}

if [ -n "${TENANTD:-}" ]; then tenantd=$TENANTD; else build --release; fi
# Of every so many lines one is bad, in turn by its host, its priority and a host that is taken.
awk -v lines="$LINES" -v each=$((LINES / BAD)) 'BEGIN {
    print "external_id,host,profile,priority,labels"
    for (n = 1; n <= lines; n++) {
        host = "t" n ".us.qlikcloud.com"; priority = ""
        if (n % each == 0) {
            kind = n / each % 3
            if (kind == 0) host = "T" n ".us.qlikcloud.com"
            if (kind == 1) priority = "500"
            if (kind == 2) host = "t" (n - 1) ".us.qlikcloud.com"
        }
        printf "customer-%d,%s,default,%s,\"{\"\"team\"\":\"\"%d\"\"}\"\n", n, host, priority, n % 7
    }
}' >"$work/fleet.csv"
echo "a file of $(wc -c <"$work/fleet.csv") bytes"

# peak PID: the most memory it ever had, asked for until it ends.
peak() {
    most=0
    while now=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$1/status" 2>/dev/null) && [ -n "$now" ]; do
        most=$now
        sleep 0.2
    done
    echo "$most"
}

# import NAME WORDS...: runs it and leaves its end in $code and its figures on standard output.
import() {
    name=$1
    shift
    began=$(date +%s)
    "$tenantd" tenant import "$@" >"$work/$name.out" 2>"$work/$name.said" &
    pid=$!
    most=$(peak "$pid")
    code=0
    wait "$pid" || code=$?
    echo "$name: $(cat "$work/$name.out") ($(($(date +%s) - began)) s, $most kB at most)"
    [ "$most" -lt "$MOST" ] || { echo "import: more memory than $MOST kB" >&2 && exit 1; }
}

# expect CODE TEXT: how the last one ended.
expect() {
    [ "$code" = "$1" ] && grep -q "$2" "$work/$name.out" ||
        { echo "import: $name ended with $code: $(cat "$work/$name.out" && tail -n 3 "$work/$name.said")" >&2 && exit 1; }
}
count() { sql -At -c 'SELECT count(*) FROM tenantd.tenants'; }

good=$((LINES - BAD))
database whole
sql -f "$repository/deploy/postgres/roles.sql" -c 'CREATE ROLE onboarding LOGIN' -c 'GRANT tenantd_pipeline TO onboarding'
echo "== whole, as a login that has tenantd_pipeline alone, beside a daemon that claims all it inserts"
"$tenantd" keys generate --out "$work/keyring.json" >/dev/null
cat >"$work/tenantd.toml" <<TOML
vault.keyring_file = "$work/keyring.json"
http.listen = "127.0.0.1:0"
# Nothing listens there: every tenant is tried, and waits.
qlik.connect_to = "127.0.0.1:9"
$(regions us)
TOML
start daemon "$tenantd" run --config "$work/tenantd.toml"
said daemon 'ready: claiming' >/dev/null
owner=$TENANTD_DATABASE__URL
case $owner in
*://*@*) login=${owner%%://*}://onboarding@${owner#*@} ;;
*) login=${owner%%://*}://onboarding@${owner#*://} ;;
esac
export TENANTD_DATABASE__URL="$login"
import whole "$work/fleet.csv" --rejects "$work/whole.csv"
export TENANTD_DATABASE__URL="$owner"
expect 3 "^$LINES lines: $good inserted, 0 there already, $BAD rejected$"
[ "$(count)" = "$good" ]
[ "$(grep -c '^line [0-9]*: the row breaks the rule' "$work/whole.said")" = "$BAD" ]
claims=$(sql -At -c 'SELECT count(*) FROM tenantd.tenants WHERE lease_epoch > 0')
echo "the daemon took up $claims tenants meanwhile, and said:"
grep -c 'WARN' "$work/daemon.log" || true
[ "$claims" -gt 0 ] || { echo "import: the daemon took up nobody" >&2 && exit 1; }
kill "$(cat "$work/daemon.pid")"

echo "== mended, and given again"
sed -e '1!s/,T\([0-9]*\)[.]/,t\1./' -e 's/,500,/,5,/' "$work/whole.csv" |
    sed 's/,customer-\([0-9]*\),t[0-9]*[.]/,customer-\1,t\1./' >"$work/mended.csv"
import mended "$work/mended.csv" --rejects "$work/mended-rejects.csv"
expect 0 "^$BAD lines: $BAD inserted, 0 there already, 0 rejected$"
[ "$(count)" = "$LINES" ] && [ ! -e "$work/mended-rejects.csv" ]

echo "== all of it once more"
import again "$work/fleet.csv" --rejects "$work/again.csv"
expect 3 "^$LINES lines: 0 inserted, "

echo "== killed in the middle, and gone on with"
database killed
"$tenantd" tenant import "$work/fleet.csv" --rejects "$work/killed.csv" >/dev/null 2>&1 &
pid=$!
for _ in $(seq 3000); do
    [ "$(count)" -lt $((LINES / 3)) ] || break
    sleep 0.2
done
kill -9 "$pid"
wait "$pid" 2>/dev/null || true
there=$(count)
echo "killed with $there tenants there"
[ "$there" -gt 0 ] && [ "$there" -lt "$good" ]
import gone-on "$work/fleet.csv" --rejects "$work/gone-on.csv"
expect 3 "^$LINES lines: [0-9]* inserted, [0-9]* there already, $BAD rejected$"
[ "$(count)" = "$good" ]
cmp "$work/whole.csv" "$work/gone-on.csv"

echo "== a dry run on an empty database"
database dry
MOST=$((MOST + 131072))
import dry "$work/fleet.csv" --dry-run
expect 3 "^$LINES lines: $good would be inserted, 0 there already, $BAD would be rejected; nothing is changed$"
[ "$(count)" = 0 ]
echo "import: all is as it should be"
