#!/bin/sh
# Sees that a program needs nothing of the system it runs on: it is static, and starts in a root
# where nothing else is. And that it works: its tour provisions five tenants.
#
#   tests/musl/run.sh PROGRAM
set -eu
program=$1
file --brief "$program" | grep -E 'static(-pie|ally) linked' || { file "$program" >&2; echo "musl-check: it is not static" >&2; exit 1; }
! ldd "$program" 2>/dev/null | grep '=>' || { echo "musl-check: it asks for libraries" >&2; exit 1; }
empty=$(mktemp -d)
trap 'rm -rf "$empty"' EXIT
cp "$program" "$empty/tenantd"
if [ "$(id -u)" -eq 0 ]; then
    echo "musl-check: in an empty root: $(chroot "$empty" /tenantd --version)"
fi
began=$(date +%s)
"$program" demo --tenants 5 --exit >"$empty/said" 2>&1 || { cat "$empty/said" >&2; exit 1; }
tail -n 3 "$empty/said"
echo "musl-check: the tour took $(($(date +%s) - began)) s"
