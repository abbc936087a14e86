#!/usr/bin/env bash
# What must not be in the tree, and which folder may include which. Prints each offence; exit 1 when there is one.
set -euo pipefail
cd "$(dirname "$0")/.."
bad=0
offence() { printf '%s\n' "$2" | sed "s/^/$1: /"; bad=1; }
look() { # look TITLE PATTERN paths...: tracked lines that match
  local title=$1 pattern=$2 found
  shift 2
  found=$(git grep -nIE "$pattern" -- "$@" 2> /dev/null || true)
  [ -z "$found" ] || offence "$title" "$found"
}

look 'unfinished work' '\b(TODO|FIXME|XXX)\b' '*.cc' '*.h' '*.proto' '*.sql' '*.rs' '*.rego' '*.sh' dev ':!tests/lint_tree.sh'
# (A pause past a lease is real time that has to pass: those tests say so beside it.)
look 'a wait by sleeping in a test' 'sleep_for|absl::SleepFor\(absl|usleep\(|[^_]\bsleep\([0-9]' 'tests/*_test.cc'
look 'a disabled or skipped test' 'DISABLED_|GTEST_SKIP' 'tests/*.cc' 'tests/**/*.cc'
look 'an image that is not pinned' 'image: .*:latest' '*.yaml'
look 'a shell in an action' '(sh|bash)", *"-c"|argv: *\[ *(sh|bash)' 'catalog/*'

# proto <- core <- storage <- {server, worker}; cli sees proto and core; action_program sees core and
# the cluster's client in worker/kubernetes; nothing includes tests/.
includes() { # includes FOLDER FORBIDDEN...: files of FOLDER must not include a FORBIDDEN folder
  local folder=$1 forbidden
  shift
  for forbidden in "$@"; do
    look "layering: $folder may not include $forbidden" "^#include \"$forbidden/" "$folder/*.h" "$folder/*.cc" "$folder/**/*.h" "$folder/**/*.cc"
  done
}
includes core storage server worker action_program cli tests
includes storage server worker action_program cli tests
includes server worker action_program cli tests
includes worker server action_program cli tests
includes action_program storage server cli tests
includes cli storage server worker action_program tests
look 'layering: action_program sees only kubernetes/ of the worker' '^#include "worker/([^k]|k[^u])' 'action_program/*'
look 'layering: only storage/ speaks SQL to Postgres' '#include [<"](libpq-fe.h|pqxx/)' 'core/*' 'server/*' 'worker/*' 'action_program/*' 'cli/*'

long=$(git ls-files '*.cc' '*.h' '*.rs' '*.proto' | grep -v '^third_party/' | xargs wc -l | awk '$1 > 700 && $2 != "total" {print $2 ": " $1 " lines"}')
[ -z "$long" ] || offence 'a file with a second room in it' "$long"
exit $bad
