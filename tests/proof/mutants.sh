#!/usr/bin/env bash
# Takes one guard of the protocol away at a time, in a copy of the tree, and shows that a test fails
# for it. A guard that no test misses is a guard that the next change may lose.
#
#   tests/proof/mutants.sh [NAME…]     all, or those named; about five minutes the first time
#
# The copy and its build stay in build/mutants, so that a second run compiles little.
set -euo pipefail
cd "$(dirname "$0")/../.."
copy=$PWD/build/mutants/tree
out=$PWD/build/mutants/out
mkdir -p "$copy" "$out"
export CCACHE_BASEDIR=$copy CCACHE_NOHASHDIR=1
git ls-files -z | tar --null -T - --ignore-failed-read -cf - | tar -xf - -C "$copy" --keep-newer-files 2> /dev/null
bad=0

# Those tests that look at the guards; the rest of the store's take long and look elsewhere.
declare -A filters=([storage_test]='Leases.*:LifeCycle.*' [kubernetes_test]='*' [catalog_test]='*')

build_and_run() { # build_and_run TEST → 0: passed, 1: failed
  ninja -C "$out" "$1" > "$out/$1.build.log" 2>&1 || { tail -20 "$out/$1.build.log" >&2; exit 1; }
  (cd "$copy" && "$out/tests-bin/$1" --gtest_filter="${filters[$1]}" > "$out/$1.log" 2>&1)
}

# mutant NAME FILE SED TEST: with SED on FILE, TEST fails; without it, it passes.
mutant() {
  local name=$1 file=$2 edit=$3 program=$4
  if [ ${#wanted[@]} -gt 0 ] && [[ ! " ${wanted[*]} " == *" $name "* ]]; then return; fi
  cp "$copy/$file" "$out/original"
  sed -i -E "$edit" "$copy/$file"
  if cmp -s "$copy/$file" "$out/original"; then
    echo "BAD   $name: the edit changes nothing in $file"
    bad=1
    return
  fi
  if build_and_run "$program"; then
    echo "BAD   $name: $program passes without this guard"
    bad=1
  else
    echo "ok    $name: $(grep -c '^\[  FAILED  \] .*ms)$' "$out/$program.log" || true) tests of $program fail, as" \
      "$(grep -m1 -oP '^\[  FAILED  \] \K\S+' "$out/$program.log" || echo 'the program, which ends')"
  fi
  cp "$out/original" "$copy/$file"
  touch "$copy/$file"
}

wanted=("$@")
[ -f "$out/build.ninja" ] || (cd "$copy" && cmake --preset release -B "$out" > "$out/cmake.log")

for program in "${!filters[@]}"; do
  build_and_run "$program" || { echo "BAD   $program fails before anything was taken away"; exit 1; }
done

mutant lease-test storage/queries/commit.sql \
  's/WHERE \(\(i\.lease_id, i\.epoch\) IN .*/WHERE true/' storage_test
mutant lease-id-test storage/queries/commit.sql \
  '/AND e\.lease_id = i\.lease_id$/d' storage_test
mutant seq-test storage/queries/commit.sql \
  '/AND e\.last_seq = i\.seq$/d' storage_test
mutant signal-test storage/queries/commit.sql \
  '/AND \(i\.signals IS NULL OR e\.signals = i\.signals\)$/d' storage_test
mutant uid-test worker/kubernetes/job_launch.cc \
  '/\{"op", "test"\}, \{"path", "\/metadata\/uid"\}/d' kubernetes_test
mutant one-shot-arm worker/kubernetes/job_launch.cc \
  '/\{"op", "test"\}, \{"path", armed_path\}/d' kubernetes_test
mutant suspended-creation core/catalog/job_spec.cc \
  's/\{"suspend", true\}/{"suspend", false}/' catalog_test
mutant suspended-creation-check worker/kubernetes/job_launch.cc \
  's/if \(!BoolField\(job, \{"spec", "suspend"\}\)\)/if (false)/' kubernetes_test
mutant fixed-name core/catalog/job_spec.cc \
  's/return Cat\(kJobNamePrefix, execution\.ToHex\(\)\);/static int n = 0; return Cat(kJobNamePrefix, execution.ToHex(), ++n);/' \
  catalog_test
exit $bad
