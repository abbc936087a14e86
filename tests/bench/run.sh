#!/usr/bin/env bash
# Runs the measuring programs and prints their lines of name=value. They start the Postgres and servers they need.
#
#   run.sh [storage|submit|watch] [options of the program]     all of them without a name
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=build/release/tests-bin
case ${1:-all} in
  all)
    for name in storage submit watch; do
      printf '== %s\n' "$name"
      "$bin/${name}_bench"
    done
    ;;
  storage | submit | watch)
    name=$1
    shift
    exec "$bin/${name}_bench" "$@"
    ;;
  *)
    echo "run.sh: unknown benchmark '$1', want storage, submit or watch" >&2
    exit 2
    ;;
esac
