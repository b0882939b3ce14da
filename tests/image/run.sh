#!/bin/sh
# Tries the container image that `make image` made: what is in it, and the daemon of its compose
# file's kind, confined to the image as the user without a name, from its start to the first tenant.
#
# Needs root (for chroot and mounts), umoci, and what stage.sh needs. No container runtime is asked:
# the image is unpacked, and its command runs in it with nothing but what a runtime would mount.
. "$(dirname "$0")/../stage.sh"

[ "$(id -u)" -eq 0 ] || { echo "image-check: run it as root" >&2; exit 1; }
command -v umoci >/dev/null && command -v skopeo >/dev/null ||
    "$repository/scripts/install-packages" image-check umoci 'apt-get=umoci skopeo'
skopeo copy --quiet "oci-archive:$repository/target/image/tenantd.tar" "oci:$work/oci:tenantd"
umoci unpack --image "$work/oci:tenantd" "$work/bundle" >/dev/null
root=$work/bundle/rootfs
(cd "$root" && find . -type f | sort) >"$work/files"
printf './etc/ssl/certs/ca-certificates.crt\n./usr/bin/tenantd\n' | diff "$work/files" - || {
    echo "image-check: the image holds something else" >&2
    exit 1
}
python3 - "$work/bundle/config.json" <<'PY'
import json, sys
process = json.load(open(sys.argv[1]))["process"]
assert (process["user"]["uid"], process["user"]["gid"]) == (65532, 65532), process["user"]
assert process["args"] == ["/usr/bin/tenantd", "run", "--config", "/etc/tenantd/tenantd.toml"], process["args"]
PY
echo "ok: the program, certificates, and nothing else; user 65532"

tenantd=$root/usr/bin/tenantd
database image
simulated --latency 5ms
socket=${STAGE_SERVER#*host=}
mkdir -p "$root/etc/tenantd" "$root$socket"
"$tenantd" keys generate --out "$root/etc/tenantd/keyring" >/dev/null
cp "$work/ca.pem" "$root/etc/tenantd/"
cat >"$root/etc/tenantd/tenantd.toml" <<TOML
database.url = "$TENANTD_DATABASE__URL"
vault.keyring_file = "/etc/tenantd/keyring"
qlik.connect_to = "$qlik"
qlik.ca_file = "/etc/tenantd/ca.pem"
http.listen = "127.0.0.1:0"
$(regions us)
TOML
chown -R 65532:65532 "$root/etc/tenantd"
chmod 0755 "$work" "$work/bundle" "$root" "$root/tmp" "$root/etc/tenantd"
# The user without a name may pass to the socket, and see nothing else there.
chmod 0711 "$socket"
# In a mount namespace of the daemon's own, read-only as compose and Kubernetes have it.
confined='mount --bind "$0" "$0" && mount --bind "$1" "$0$1" && mount -o remount,bind,ro "$0" && exec chroot --userspec=65532:65532 "$0" /usr/bin/tenantd run --config /etc/tenantd/tenantd.toml'
sql -c "INSERT INTO tenantd.tenants (external_id, host) VALUES ('customer-1', 't1.us.qlikcloud.com')"
began=$(date +%s)
start daemon env -i unshare --mount --propagation private /bin/sh -c "$confined" "$root" "$socket"
address=$(said daemon 'http://')
"$tenantd" tenant wait customer-1 >/dev/null
[ "$(curl --silent --output /dev/null --write-out '%{http_code}' "http://$address/readyz")" = 200 ]
echo "ok: it serves a tenant on a read-only root, $(($(date +%s) - began)) s after its start"
kill "$(cat "$work/daemon.pid")"
wait "$(cat "$work/daemon.pid")"
grep -q 'stopped: 1 of 1 tenant ready' "$work/daemon.log"
echo "ok: it stops when it is told to"
