# The stage of one page of the book; the script that run.py makes of a page sources this first.
#
# The rule: what a page shows runs as it stands. What it finds elsewhere (a server, a service manager,
# Qlik Cloud) is put in its place here; `systemctl` is a stand-in that starts and ends the stage's daemon.
set -euo pipefail
umask 077
block=stage
at=/dev/null
etc=$BOOK_PAGE/etc
mkdir -p "$etc"
export PATH="$BOOK_BIN:$PATH"

leave() {
    status=$?
    trap - EXIT
    echo "$block" >"$BOOK_PAGE/block"
    [ ! -f "$at" ] || cp "$at" "$BOOK_PAGE/said.last"
    for pid in "$BOOK_PAGE"/*.pid; do
        [ ! -f "$pid" ] || kill "$(cat "$pid")" 2>/dev/null || true
    done
    for job in $(jobs -p); do kill "$job" 2>/dev/null || true; done
    [ "$status" -eq 0 ] || { echo "the daemon said:" && tail -n 15 "$BOOK_PAGE/daemon.log"; } >&2 2>/dev/null || true
    exit "$status"
}
trap leave EXIT

# said FILE TEXT: waits until it says this.
said() {
    for _ in $(seq 300); do
        ! grep -q -e "$2" "$1" 2>/dev/null || return 0
        sleep 0.1
    done
    echo "never said: $2" >&2
    cat "$1" >&2
    return 1
}

# until_true COMMAND...: waits for it.
until_true() {
    for _ in $(seq 300); do
        ! "$@" >/dev/null 2>&1 || return 0
        sleep 0.1
    done
    echo "never true: $*" >&2
    return 1
}

expect() {
    [ "$1" -eq "$2" ] || { echo "exit code $1, not $2" >&2 && return 1; }
}

put() {
    mkdir -p "$(dirname "$2")"
    cp "$1" "$2"
}

# The address of a database of this name on the stage's server.
address() {
    printf '%s' "${STAGE_SERVER%%/tenantd\?*}/$1?${STAGE_SERVER#*\?}"
}

# run_sql ROLE: psql with the rights of tenantd_ROLE, or the owner's, in the page's database.
run_sql() {
    rights=''
    [ "$1" = owner ] || rights="-c role=tenantd_$1"
    PGOPTIONS="-c client_min_messages=warning $rights" psql -X -v ON_ERROR_STOP=1 "$OWNER_URL"
}

simulator() {
    start_in_background simulator tenantd simulate --listen "$BOOK_QLIK" --write-ca "$etc/ca.pem" --latency 2ms \
        --suffix us.qlikcloud.com --suffix eu.qlikcloud.com
    said "$BOOK_PAGE/simulator.log" 'listening on '
}

start_in_background() {
    name=$1
    shift
    "$@" >"$BOOK_PAGE/$name.log" 2>&1 </dev/null &
    echo $! >"$BOOK_PAGE/$name.pid"
}

# What a web app has: a login of its own, the keyring in a file, and a user in customer-42, of the id $ADA.
an_app_is_there() {
    app=$BOOK_PAGE/app
    [ ! -d "$app" ] || return 0
    mkdir "$app"
    ln -s "$BOOK_LIBRARIES/impersonate/node_modules" "$app/node_modules"
    KEYRING_FILE=$BOOK_PAGE/run/secrets/keyring.json
    put "$etc/secrets/keyring" "$KEYRING_FILE"
    psql -X -q -c "CREATE ROLE app_$BOOK_NAME LOGIN" -c "GRANT tenantd_consumer TO app_$BOOK_NAME" "$OWNER_URL"
    DATABASE_URL=$(printf '%s' "$OWNER_URL" | sed "s|//postgres@|//app_$BOOK_NAME@|")
    ADA=$(curl --silent --show-error --fail --cacert "$etc/ca.pem" "https://$BOOK_QLIK/__simulator/users" \
        --data '{"host": "acme42.us.qlikcloud.com", "subject": "ada", "name": "Ada Lovelace"}' |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["id"])')
    export DATABASE_URL KEYRING_FILE
}

# an_app LANGUAGE FILE: runs an example of a web app. It says no more than that of what it finds: the rest is in
# app.mjs and app.py.
an_app() {
    an_app_is_there
    BOOK_ROW=$(psql -X -At -c "SELECT row_to_json(c) FROM tenantd.credentials AS c WHERE external_id = 'customer-42'
                               ORDER BY version DESC LIMIT 1" "$DATABASE_URL")
    export BOOK_ROW
    case $1 in
    js)
        # The last line is for an example that opens a secret and signs nobody in.
        { cat "$2" && echo "if (typeof secret === 'object') console.log(\`opened for \${secret.host}\`);"; } >"$app/example.mjs"
        NODE_EXTRA_CA_CERTS="$etc/ca.pem" node --import "$BOOK_HERE/app.mjs" "$app/example.mjs"
        ;;
    python) SSL_CERT_FILE="$etc/ca.pem" "$BOOK_LIBRARIES/python" "$BOOK_HERE/app.py" "$2" ;;
    esac | tee "$app/said"
    grep -q ' acme42.us.qlikcloud.com$' "$app/said"
}

READ_ANEW='the configuration was read anew'
more_than() {
    [ "$(grep -c "$2" "$3")" -gt "$1" ]
}

systemctl() {
    case $1 in
    start)
        start_in_background daemon tenantd run --config "$etc/tenantd.toml"
        until_true curl --silent --fail "http://$BOOK_HTTP/readyz" || { cat "$BOOK_PAGE/daemon.log" >&2 && return 1; }
        ;;
    stop)
        kill "$(cat "$BOOK_PAGE/daemon.pid")"
        wait "$(cat "$BOOK_PAGE/daemon.pid")" || true
        rm "$BOOK_PAGE/daemon.pid"
        ;;
    restart) systemctl stop tenantd && systemctl start tenantd ;;
    reload)
        reloads=$(grep -c "$READ_ANEW" "$BOOK_PAGE/daemon.log" || true)
        kill -HUP "$(cat "$BOOK_PAGE/daemon.pid")"
        until_true more_than "$reloads" "$READ_ANEW" "$BOOK_PAGE/daemon.log"
        ;;
    status) kill -0 "$(cat "$BOOK_PAGE/daemon.pid")" ;;
    *) echo "systemctl $1 is not for here" >&2 && return 1 ;;
    esac
}

OWNER_URL=$(address "book_$BOOK_NAME")
export OWNER_URL
psql -X -q -v ON_ERROR_STOP=1 -c "CREATE DATABASE book_$BOOK_NAME" "$STAGE_SERVER"
simulator
case $BOOK_STAGE in
empty) ;;
fleet)
    cat >"$etc/tenantd.toml" <<TOML
[database]
url = "$OWNER_URL"

[qlik]
connect_to = "$BOOK_QLIK"
ca_file = "$etc/ca.pem"
settle = "1s"

[[regions]]
name = "us"
hosts = ["*.us.qlikcloud.com"]
client_id = "region-client"
client_secret = "region-secret"

[vault]
keyring_file = "$etc/secrets/keyring"

[http]
listen = "$BOOK_HTTP"

[log]
level = "info"
TOML
    export TENANTD_CONFIG="$etc/tenantd.toml"
    mkdir "$etc/secrets"
    tenantd keys generate --out "$etc/secrets/keyring" >/dev/null
    tenantd migrate >/dev/null
    psql -X -q -v ON_ERROR_STOP=1 -f "$BOOK_HERE/../../deploy/postgres/roles.sql" "$OWNER_URL" >/dev/null 2>&1
    systemctl start tenantd
    tenantd tenant add customer-1 one.us.qlikcloud.com --wait >/dev/null
    tenantd tenant add customer-42 acme42.us.qlikcloud.com --wait >/dev/null
    ;;
*) echo "no such stage: $BOOK_STAGE" >&2 && exit 1 ;;
esac
