#!/usr/bin/env bash
# Runs the measuring programs and prints their lines of name=value. They start the Postgres and servers they need.
#
#   run.sh [storage|actions|submit|watch|phases] [options of the program]     all of them without a name
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=build/release/tests-bin

bench() { # bench NAME options...
  local name=$1 river=
  shift
  if [ "$name" = storage ]; then
    if river=$(tests/bench/river.sh); then
      set -- --river "$river" "$@"
    else
      echo "run.sh: NOT RUN: the comparison with River, which needs Go" >&2
    fi
  fi
  [ "$name" != actions ] || name=action
  "$bin/${name}_bench" "$@"
}

case ${1:-all} in
  all)
    for name in storage actions submit watch phases; do
      printf '== %s\n' "$name"
      bench "$name"
    done
    ;;
  storage | actions | submit | watch | phases) bench "$@" ;;
  *)
    echo "run.sh: unknown benchmark '$1', want storage, actions, submit, watch or phases" >&2
    exit 2
    ;;
esac
