#!/usr/bin/env bash
# Runs a command with a server of Postgres of its own, which nobody else reaches and which is gone afterwards:
#   tests/with_postgres.sh COMMAND...     SHRINKML_TEST_POSTGRES is its address meanwhile
#   tests/with_postgres.sh --find         only prints where its programs lie; fails where there are none
set -euo pipefail

if ! initdb=$(command -v initdb || ls -v /usr/lib/postgresql/*/bin/initdb 2>/dev/null | tail -n 1 | grep .); then
    echo "Postgres is not installed; Debian and Ubuntu have it in: apt-get install postgresql" >&2
    exit 1
fi
bin=$(dirname "$(readlink -f "$initdb")")
[ "$1" != --find ] || { echo "$bin"; exit; }

folder=$(mktemp -d /tmp/shrinkml-postgres.XXXXXX) # a short path: it holds the socket
as_owner=()
if [ "$(id -u)" = 0 ]; then # Postgres does not run as root
    owner=$(id -un postgres 2>/dev/null || echo nobody)
    chown "$owner" "$folder"
    as_owner=(setpriv --reuid "$owner" --regid "$(id -g "$owner")" --clear-groups)
fi
chmod 755 "$folder"

stop() {
    (cd / && "${as_owner[@]}" "$bin/pg_ctl" stop -D "$folder/data" -m immediate >/dev/null 2>&1) || true
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 130' INT TERM

# What is lost with the machine is of no use to a test: nothing is forced to the disk.
(
    cd /
    "${as_owner[@]}" "$bin/initdb" -D "$folder/data" -U postgres --auth trust --encoding UTF8 --no-sync >/dev/null
    "${as_owner[@]}" "$bin/pg_ctl" start -w -D "$folder/data" -l "$folder/log" -o \
        "-c listen_addresses= -c unix_socket_directories=$folder -c fsync=off -c max_connections=200" >/dev/null
)
SHRINKML_TEST_POSTGRES="postgresql://postgres@/postgres?host=$folder" "$@"
