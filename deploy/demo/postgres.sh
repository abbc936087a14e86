#!/usr/bin/env bash
# A Postgres of one's own in a directory, on a unix socket only, with the settings Capstan asks for.
#
#   postgres.sh start DIR    initdb if DIR is empty, start, create the database "capstan"; prints the DSN
#   postgres.sh psql DIR     open psql on it
#   postgres.sh stop DIR     stop it; DIR stays
#
# As root it runs under the account "postgres", which Postgres insists on.
set -euo pipefail

bin=$(ls -d /usr/lib/postgresql/*/bin 2> /dev/null | sort -V | tail -1)
[ -n "$bin" ] || { echo "postgres.sh: no Postgres in /usr/lib/postgresql: run ./dev setup" >&2; exit 1; }
verb=${1:?start, psql or stop}
dir=${2:?directory}
as=()
[ "$(id -u)" != 0 ] || as=(setpriv --reuid postgres --regid postgres --clear-groups)
dsn="host=$dir user=postgres dbname=capstan"

case $verb in
  start)
    mkdir -p "$dir"
    [ "$(id -u)" != 0 ] || chown postgres: "$dir"
    [ -d "$dir/data" ] || "${as[@]}" "$bin/initdb" -D "$dir/data" -U postgres --auth=trust -E UTF8 --locale=C > "$dir/initdb.log"
    "${as[@]}" "$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -w -s \
      -o "-k $dir -c listen_addresses='' -c max_connections=100" start > /dev/null
    "${as[@]}" "$bin/psql" -h "$dir" -U postgres -qAtc "SELECT 1 FROM pg_database WHERE datname = 'capstan'" | grep -q 1 ||
      "${as[@]}" "$bin/createdb" -h "$dir" -U postgres capstan
    echo "$dsn"
    ;;
  psql) exec "$bin/psql" "$dsn" ;;
  stop) [ ! -f "$dir/data/postmaster.pid" ] || "${as[@]}" "$bin/pg_ctl" -D "$dir/data" -m fast -w -s stop ;;
  *) echo "postgres.sh: unknown verb '$verb'" >&2; exit 2 ;;
esac
