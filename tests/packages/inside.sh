#!/bin/sh
# Walks the life of the package on a Debian that runs systemd: run.sh starts it there as root.
#
# The rule: each step is what README.Debian and docs/how-to/upgrade.md tell operators to do, and each
# says what must hold afterwards. The daemon is under load from the first package to the last.
set -eu
old=/packages/old.deb new=/packages/new.deb
export DEBIAN_FRONTEND=noninteractive PGHOST=/var/run/postgresql PAGER=cat
owner='postgres://postgres@localhost/app?host=/var/run/postgresql'

cluster=postgresql@$(ls /etc/postgresql)-main

fail() {
    echo "FAILED: $*"
    systemctl status --no-pager --lines=30 tenantd || true
    journalctl --no-pager --lines=20 -u load || true
    exit 1
}
holds() { # SENTENCE COMMAND...: what must be true
    sentence=$1
    shift
    "$@" || fail "$sentence"
    echo "ok: $sentence"
}
is() { [ "$1" = "$2" ] || { echo "it is \"$1\", not \"$2\""; return 1; }; }
state() { systemctl show --property="$1" --value tenantd.service; }
sql() { su postgres -c "psql -X -q -A -t -v ON_ERROR_STOP=1 app" ; }
until_is() { # SECONDS WANTED COMMAND...: waits until its output is that
    left=$(($1 * 5)) wanted=$2
    shift 2
    until [ "$("$@")" = "$wanted" ]; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || fail "$* says $("$@") and not $wanted"
        sleep 0.2
    done
}
waiting() { echo "SELECT count(*) FROM tenantd.tenants WHERE NOT (phase = 'removed' AND desired_state = 'absent'
    OR phase = 'ready' AND desired_state = 'present' AND current_version >= desired_version)" | sql; }
attempts() { echo 'SELECT count(*) FROM tenantd.attempts' | sql; }
works() { # it goes on working, by what the history says
    before=$(attempts) left=300
    until [ "$(attempts)" -gt $((before + 20)) ]; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || fail "nothing is done any more"
        sleep 0.1
    done
}
install_it() { # PACKAGE: by dpkg, and says how long that took
    began=$(date +%s)
    dpkg --install "$1" >/tmp/dpkg.log 2>&1 </dev/null || { cat /tmp/dpkg.log; fail "dpkg --install $1"; }
    took=$(($(date +%s) - began))
}
migrate() { # PACKAGE: as README.Debian says, with the program of the package that comes
    comes=$(mktemp -d)
    dpkg-deb --extract "$1" "$comes"
    TENANTD_DATABASE__URL="$owner" "$comes/usr/bin/tenantd" migrate >/tmp/migrate.log 2>&1 || { cat /tmp/migrate.log; fail migrate; }
    sql <"$comes/usr/share/doc/tenantd/roles.sql" >/tmp/roles.log 2>&1 || { cat /tmp/roles.log; fail "roles.sql"; }
    program=$(sha256sum <"$comes/usr/bin/tenantd")
    rm -r "$comes"
}

until_is 60 1 sh -c 'su postgres -c "psql -X -A -t -c \"SELECT 1\"" 2>/dev/null'
for hba in /etc/postgresql/*/main/pg_hba.conf; do printf 'local all all trust\n' >"$hba"; done
su postgres -c 'psql -X -q -A -t -c "SELECT pg_reload_conf()"' >/dev/null
su postgres -c 'createdb --encoding=UTF8 --locale=C.UTF-8 --template=template0 app'

echo '== installed, with nothing to go by'
install_it "$old"
holds "it is enabled" is "$(systemctl is-enabled tenantd)" enabled
holds "it does not run" is "$(state ActiveState)" inactive
holds "that is no failure" is "$(state Result)" success
holds "because there is no configuration" is "$(state ConditionResult)" no
holds "the folder of the secrets is root's alone" is "$(stat -c '%U %a' /etc/tenantd/secrets)" "root 700"
holds "the manual is found" sh -c 'man --where tenantd >/dev/null && man --where tenantd-run >/dev/null'
holds "the completions are read by bash" bash -n /usr/share/bash-completion/completions/tenantd

echo '== configured and started'
migrate "$old"
sql <<'SQL'
CREATE ROLE qlikd LOGIN;
GRANT tenantd_daemon TO qlikd;
SQL
systemd-run --quiet --unit=simulator --property=WorkingDirectory=/var/tmp \
    sh -c 'cp /usr/bin/tenantd /var/tmp/simulator && exec ./simulator simulate --listen 127.0.0.1:8443 --latency 20ms --write-ca /var/tmp/ca.pem'
(
    umask 077
    tenantd keys generate --out /etc/tenantd/secrets/keyring >/dev/null
    printf 'postgres://qlikd@localhost/app?host=/var/run/postgresql' >/etc/tenantd/secrets/database-url
    for region in us eu; do printf region-secret >/etc/tenantd/secrets/qlik-$region; done
    printf 'looks-at-it-only-1234' >/etc/tenantd/secrets/http-token
)
until_is 30 yes sh -c '[ -s /var/tmp/ca.pem ] && echo yes'
install -m 0644 /var/tmp/ca.pem /etc/tenantd/ca.pem
sed -e 's/^client_id = .*/client_id = "region-client"/' -e 's/^\[rotation\]/[budget]\nremovals_per_hour = 100000\n\n&/' \
    /usr/share/doc/tenantd/examples/tenantd.toml >/etc/tenantd/tenantd.toml
cat >>/etc/tenantd/tenantd.toml <<'TOML'

[qlik]
connect_to = "127.0.0.1:8443"
ca_file = "/etc/tenantd/ca.pem"
settle = "2s"

[retry]
base = "200ms"
TOML
chmod 0644 /etc/tenantd/tenantd.toml
mine=$(cd /etc/tenantd && find . -type f | sort | xargs sha256sum)
systemctl start tenantd || fail "it does not start"
holds "the example, with our regions' client, runs" is "$(state ActiveState)" active
# systemd's range of dynamic users.
holds "as a user that is there only meanwhile" is "$(awk '/^Uid:/ { print ($2 >= 61184 && $2 <= 65519) }' "/proc/$(state MainPID)/status")" 1

# Ten tenants at a time are inserted; of those before some are rotated, edited and removed.
cat >/var/tmp/load.sh <<'LOAD'
wave=0
while [ ! -e /var/tmp/enough ]; do
    wave=$((wave + 1)) first=$((wave * 10))
    psql -X -q -v ON_ERROR_STOP=1 -d app <<SQL || exit 1
INSERT INTO tenantd.tenants (external_id, host)
SELECT 'customer-' || n, 't' || n || '.us.qlikcloud.com' FROM generate_series($first, $first + 9) AS n;
UPDATE tenantd.tenants SET desired_version = desired_version + 1
 WHERE external_id IN (SELECT 'customer-' || n FROM generate_series($first - 30, $first - 21) AS n WHERE n % 3 = 0);
UPDATE tenantd.tenants SET desired_state = 'absent'
 WHERE external_id IN (SELECT 'customer-' || n FROM generate_series($first - 60, $first - 51) AS n WHERE n % 4 = 1);
SQL
    sleep 1
done
LOAD
chmod 0644 /var/tmp/load.sh
systemd-run --quiet --unit=load --uid=postgres sh /var/tmp/load.sh
works

echo '== upgraded under load'
migrate "$new"
works
holds "the version before works on the new schema" is "$(state ActiveState)" active
process=$(state MainPID)
install_it "$new"
holds "it was restarted, and works" sh -c "[ '$(state ActiveState)' = active ] && [ '$(state MainPID)' != '$process' ]"
holds "by the program of the package" is "$(sha256sum <"/proc/$(state MainPID)/exe")" "$program"
holds "what an operator wrote is as it was" is "$(cd /etc/tenantd && find . -type f | sort | xargs sha256sum)" "$mine"
echo "the upgrade took ${took} s"
works

echo '== and back, under load'
process=$(state MainPID)
install_it "$old"
holds "the package before works on the new schema" sh -c "[ '$(state ActiveState)' = active ] && [ '$(state MainPID)' != '$process' ]"
echo "the way back took ${took} s"
works
install_it "$new"
works

echo '== reloaded under load'
process=$(state MainPID)
settings=$(cat /etc/tenantd/tenantd.toml)
reload() { # SENTENCE: what the journal says then
    said=$(said_so "$1")
    systemctl reload tenantd
    until_is 30 $((said + 1)) said_so "$1"
    until_is 30 active state ActiveState
}
said_so() { journalctl --quiet --no-pager _PID="$process" | grep -c "$1" || true; }
sed -i 's/^concurrency = .*/concurrency = 48/' /etc/tenantd/tenantd.toml
reload 'the configuration was read anew; changed: worker.concurrency'
echo '[nonsense]' >>/etc/tenantd/tenantd.toml
reload 'the configuration could not be read anew, so nothing has changed: .*nonsense'
works
echo "$settings" >/etc/tenantd/tenantd.toml
reload 'the configuration was read anew; changed: worker.concurrency'
holds "it is the same process" is "$(state MainPID)" "$process"
works
holds "what an operator wrote is as it was" is "$(cd /etc/tenantd && find . -type f | sort | xargs sha256sum)" "$mine"

touch /var/tmp/enough
until_is 30 inactive sh -c 'systemctl is-active load || true'
holds "the load ended well" sh -c '! systemctl is-failed --quiet load'
until_is 180 0 waiting
curl --silent --fail --cacert /var/tmp/ca.pem https://localhost:8443/__simulator/ledger >/var/tmp/ledger.json
chmod 0644 /var/tmp/ledger.json
counted=$(sql <<'SQL'
WITH live AS (
    SELECT host.key AS host, client->>'client_id' AS client_id, (client->>'is_trusted')::boolean AS is_trusted,
           ARRAY(SELECT secret->>'hint' FROM jsonb_array_elements(client->'secrets') AS secret
                  WHERE secret->>'deleted_at' IS NULL ORDER BY 1) AS hints
      FROM jsonb_each(pg_read_file('/var/tmp/ledger.json')::jsonb->'tenants') AS host,
           jsonb_array_elements(host.value->'clients') AS client
     WHERE client->>'deleted_at' IS NULL),
ours AS (
    SELECT t.host, t.client_id, array_agg(s.hint ORDER BY s.hint) AS hints
      FROM tenantd.tenants AS t JOIN tenantd.secrets AS s USING (tenant_id) WHERE t.phase = 'ready' GROUP BY 1, 2)
SELECT format('%s of %s clients are ours to the last secret, of %s tenants that should have one, with %s secrets', count(*) FILTER
           (WHERE live.is_trusted AND live.client_id = ours.client_id AND live.hints = ours.hints), count(*),
           (SELECT count(*) FROM tenantd.tenants WHERE desired_state = 'present'), sum(cardinality(ours.hints)))
  FROM live FULL JOIN ours USING (host)
SQL
)
echo "$counted"
tenants=$(echo "SELECT count(*) FROM tenantd.tenants WHERE desired_state = 'present'" | sql)
case $counted in
"$tenants of $tenants clients "*" of $tenants tenants "*) echo "ok: nothing was lost, and nothing made twice" ;;
*) fail "something was lost, or made twice" ;;
esac

echo '== upgraded while the database is away'
systemctl stop "$cluster"
process=$(state MainPID)
install_it "$new"
holds "dpkg does not wait for the database ($took s)" [ "$took" -le 60 ]
holds "the daemon does" is "$(state ActiveState)" activating
systemctl start "$cluster"
until_is 60 active state ActiveState

echo '== policy-rc.d says no'
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 0755 /usr/sbin/policy-rc.d
process=$(state MainPID)
install_it "$old"
holds "it goes on as it was" is "$(state MainPID)" "$process"
rm /usr/sbin/policy-rc.d

echo '== disabled by its operator'
systemctl disable --now tenantd 2>/dev/null
install_it "$new"
holds "it stays disabled" is "$(systemctl is-enabled tenantd || true)" disabled
holds "and stopped" is "$(state ActiveState)" inactive
systemctl enable --now tenantd 2>/dev/null

echo '== removed, and installed again'
dpkg --remove tenantd >/dev/null
holds "it was stopped" sh -c '! systemctl is-active --quiet tenantd && ! pgrep --exact tenantd'
holds "what an operator wrote is there" is "$(cd /etc/tenantd && find . -type f | sort | xargs sha256sum)" "$mine"
install_it "$new"
holds "it works again" is "$(state ActiveState) $(systemctl is-enabled tenantd)" "active enabled"

echo '== purged'
listed=$(dpkg --listfiles tenantd)
dpkg --purge tenantd >/tmp/purge.log 2>&1
holds "it was stopped" sh -c '! pgrep --exact tenantd'
for path in $listed; do [ -d "$path" ] || [ ! -e "$path" ] || fail "$path is left"; done
echo "ok: no file of the package is left"
holds "nothing of the service is left" sh -c '! find /etc/systemd /var/lib/systemd /run/systemd/system -name "*tenantd*" | grep .'
holds "the package is unknown" sh -c '! dpkg --status tenantd >/dev/null 2>&1'
holds "keyring, secrets and configuration are as they were" is "$(cd /etc/tenantd && find . -type f | sort | xargs sha256sum)" "$mine"
holds "so is the database" is "$(echo "SELECT count(*) > 0 FROM tenantd.secrets" | sql)" t
rm -r /etc/tenantd
install_it "$new"
dpkg --purge tenantd >/dev/null 2>&1
holds "where nobody wrote anything, /etc/tenantd goes too" [ ! -e /etc/tenantd ]
