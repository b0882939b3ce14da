# What the checks that run the program from outside stand on; each sources this first:
# a private PostgreSQL, the program as it is built, and processes that end with the script.
#
# The rule: nothing here reaches beyond this machine, and nothing is left behind.
#
# Sets here, repository, work (a directory that is removed at the end), PSQL and STAGE_SERVER.
set -eu
umask 077
here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
stage=$(basename "$here")
# A database of the caller's own must not decide how the SQL macros compile.
export SQLX_OFFLINE=true

if [ -z "${STAGE_SERVER:-}" ]; then
    # Runs the script again, beside a server that ends with it.
    exec "$repository/scripts/with-postgres" \
        sh -c 'STAGE_SERVER=$DATABASE_URL && export STAGE_SERVER && unset DATABASE_URL && exec "$0" "$@"' \
        "$here/$(basename "$0")" "$@"
fi

# Settings of the caller's own must not lead this to a real tenant.
for setting in $(env | sed -n 's/^\(TENANTD_[A-Za-z0-9_]*\)=.*/\1/p'); do
    unset "$setting"
done

PSQL=$("$repository/scripts/find-postgres")/psql
[ -x "$PSQL" ] || PSQL=psql
work=$(mktemp -d)
started=''

end() {
    status=$?
    trap - EXIT INT TERM HUP
    for process in $started; do
        kill "$process" 2>/dev/null || true
        wait "$process" 2>/dev/null || true
    done
    if [ "$status" -ne 0 ]; then
        for log in "$work"/*.log; do
            [ ! -f "$log" ] || { echo "---- the end of what $(basename "$log" .log) said:" && tail -n 40 "$log"; } >&2
        done
        echo "$stage: failed" >&2
    fi
    rm -rf "$work"
    exit "$status"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# build [--release]: the program, whose path it sets as tenantd.
build() {
    # shellcheck disable=SC2086 # BESIDE is words, or nothing: see the Makefile
    cargo build --quiet --locked --manifest-path "$repository/Cargo.toml" --bin tenantd ${BESIDE:-} "$@"
    tenantd=$(cargo metadata --quiet --no-deps --format-version 1 --manifest-path "$repository/Cargo.toml" |
        sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/$([ $# -eq 0 ] && echo debug || echo release)/tenantd
}

# database NAME: makes and migrates it. The server's own has the schema but not the migrator's
# table, which the daemon asks.
database() {
    case $STAGE_SERVER in
    */tenantd\?*) TENANTD_DATABASE__URL=${STAGE_SERVER%%/tenantd\?*}/$1?${STAGE_SERVER#*\?} ;;
    *) echo "$stage: an address that with-postgres never made" >&2 && return 1 ;;
    esac
    export TENANTD_DATABASE__URL
    "$PSQL" -X -q -v ON_ERROR_STOP=1 -c "CREATE DATABASE $1" "$STAGE_SERVER"
    "$tenantd" migrate >/dev/null
}

# sql ARGS...: psql, in that database.
sql() {
    "$PSQL" -X -q -v ON_ERROR_STOP=1 "$TENANTD_DATABASE__URL" "$@"
}

# start NAME COMMAND...: a process of this script's; what it says goes to $work/NAME.log.
start() {
    name=$1
    shift
    "$@" >"$work/$name.log" 2>&1 &
    echo $! >"$work/$name.pid"
    started="$! $started"
}

# said NAME TEXT: waits until it says this, and prints the address, or the number, behind it.
said() {
    for _ in $(seq 600); do
        if line=$(grep -m 1 -e "$2" "$work/$1.log"); then
            printf '%s\n' "$line" | sed "s|.*$2||; s|[^0-9.:].*||"
            return
        fi
        kill -0 "$(cat "$work/$1.pid")" || break
        sleep 0.1
    done
    echo "$stage: $1 never said: $2" >&2
    return 1
}

# regions NAME...: the part of a configuration that names them.
regions() {
    for region in "$@"; do
        cat <<TOML
[[regions]]
name = "$region"
hosts = ["*.$region.qlikcloud.com"]
client_id = "region-client"
client_secret = "region-secret"
TOML
    done
}

# simulated WORDS...: starts the simulated Qlik Cloud with these, and sets its address as qlik.
simulated() {
    start simulator "$tenantd" simulate --listen 127.0.0.1:0 --write-ca "$work/ca.pem" "$@"
    qlik=$(said simulator 'listening on ')
}

# configured [REGION...] <SETTINGS: makes a keyring, and writes $work/tenantd.toml for that Qlik Cloud
# with these settings and regions (without any, us).
configured() {
    [ $# -gt 0 ] || set -- us
    "$tenantd" keys generate --out "$work/keyring.json" >/dev/null </dev/null
    {
        cat <<TOML
vault.keyring_file = "$work/keyring.json"
qlik.connect_to = "$qlik"
qlik.ca_file = "$work/ca.pem"
http.listen = "127.0.0.1:0"
TOML
        cat
        regions "$@"
    } >"$work/tenantd.toml"
}
