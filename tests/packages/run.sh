#!/bin/sh
# Tries the Debian package with Debian's own programs: lintian reads it, and a Debian of its own,
# started by systemd-nspawn beside this machine and without a network, installs, upgrades under
# load, goes back, removes and purges it. inside.sh is what happens there.
#
#   tests/packages/run.sh OLD.deb NEW.deb
#
# Needs root (as systemd-nspawn does), a mirror of Debian for the first run, and the packages
# mmdebstrap, systemd-container and lintian, which are installed where they are missing. The
# Debian that is tried is kept as target/debian/root-SUITE.tar; SUITE is bookworm.
set -eu
umask 022
old=$1 new=$2
here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
SUITE=${SUITE:-bookworm}

[ "$(id -u)" -eq 0 ] || { echo "deb-check: a Debian of its own is started as root" >&2; exit 1; }
command -v mmdebstrap >/dev/null && command -v systemd-nspawn >/dev/null && command -v lintian >/dev/null ||
    "$repository/scripts/install-packages" deb-check "Debian's tools" 'apt-get=mmdebstrap systemd-container lintian'

# Suppressed: nobody uploads this to Debian, so no bug of theirs is closed, and the
# repository names no licence yet (deploy/debian/copyright says so).
lintian --allow-root --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs "$new"
echo "deb-check: lintian has no error and no warning"

tar=$repository/target/debian/root-$SUITE.tar
if [ ! -f "$tar" ]; then
    mkdir -p "$(dirname "$tar")"
    # With security updates: PostgreSQL as operators have it. A name that ends otherwise would be a folder.
    making=${tar%.tar}.new.tar
    mmdebstrap --quiet --variant=minbase "$SUITE" "$making" \
        --include=systemd,systemd-sysv,init-system-helpers,ca-certificates,dbus,postgresql,man-db,curl,procps
    mv "$making" "$tar"
fi

root=$(mktemp -d /var/tmp/tenantd-debian.XXXXXX)
trap 'rm -rf "$root"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
tar --directory "$root" --extract --file "$tar"
mkdir "$root/packages"
cp "$old" "$root/packages/old.deb"
cp "$new" "$root/packages/new.deb"
cp "$here/inside.sh" "$root/packages/"
# Runs once, when Debian is up, and takes it down with what came of it.
cat >"$root/etc/systemd/system/check.service" <<'UNIT'
[Unit]
Description=The life of the package
Wants=postgresql.service
After=multi-user.target postgresql.service

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'sh /packages/inside.sh >/packages/said 2>&1; echo $? >/packages/status; systemctl --no-block poweroff'

[Install]
WantedBy=default.target
UNIT
ln -s ../check.service "$root/etc/systemd/system/multi-user.target.wants/check.service"
sed -i 's/^After=multi-user.target /After=/' "$root/etc/systemd/system/check.service"
began=$(date +%s)
timeout 1200 systemd-nspawn --quiet --directory="$root" --boot --private-network --register=no --keep-unit \
    >"$root/packages/booted" 2>&1 </dev/null || true
cat "$root/packages/said" || tail -n 40 "$root/packages/booted"
[ "$(cat "$root/packages/status" 2>/dev/null)" = 0 ] || { echo "deb-check: failed" >&2; exit 1; }
echo "deb-check: all of it held, in $(($(date +%s) - began)) s on Debian $(cat "$root/etc/debian_version")"
