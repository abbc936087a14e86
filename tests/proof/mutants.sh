#!/usr/bin/env bash
# Takes one guard of the protocol away at a time, in a copy of the tree, and shows that a test fails
# for it. A guard that no test misses is a guard that the next change may lose.
#
#   tests/proof/mutants.sh [NAME…]     all, or those named; about ten minutes the first time
#
# The copy and its build stay in build/mutants, so that a second run compiles little.
set -euo pipefail
cd "$(dirname "$0")/../.."
copy=$PWD/build/mutants/tree
out=$PWD/build/mutants/out
mkdir -p "$copy" "$out"
export CCACHE_BASEDIR=$copy CCACHE_NOHASHDIR=1
git ls-files --cached --others --exclude-standard | while read -r file; do
  if [ ! -f "$file" ] || cmp -s "$file" "$copy/$file"; then continue; fi
  mkdir -p "$copy/$(dirname "$file")"
  cp -p "$file" "$copy/$file"
  touch "$copy/$file"
done
find "$copy" -type f -printf '%P\n' | while read -r file; do
  if [ ! -f "$file" ]; then rm "$copy/$file"; fi
done
bad=0

# Those tests that look at the guards; the rest take long and look elsewhere.
declare -A filters=(
  [storage_test]='Leases.*:LifeCycle.*'
  [storage_race_test]='*Hole1_*:*Hole3_*:*Hole6_*'
  [kubernetes_test]='*'
  [catalog_test]='*'
)
export CAPSTAN_RACES=1500

build_and_run() { # build_and_run TEST [FILTER] → 0: passed, 1: failed
  ninja -C "$out" "$1" > "$out/$1.build.log" 2>&1 || { tail -20 "$out/$1.build.log" >&2; exit 1; }
  (cd "$copy" && "$out/tests-bin/$1" --gtest_fail_fast --gtest_filter="${2:-${filters[$1]}}" \
    > "$out/$1.log" 2>&1)
}

# mutant NAME FILES EDIT TEST [FILTER]: with EDIT on FILES, TEST fails; without it, it passes. EDIT is
# for sed, or @FILE, which takes the place of FILES.
mutant() {
  local name=$1 files=$2 edit=$3 program=$4 filter=${5:-} unchanged='' file
  if [ ${#wanted[@]} -gt 0 ] && [[ ! " ${wanted[*]} " == *" $name "* ]]; then return; fi
  rm -rf "$out/original"
  for file in $files; do
    mkdir -p "$out/original/$(dirname "$file")"
    cp "$copy/$file" "$out/original/$file"
    if [[ $edit == @* ]]; then cp "$copy/${edit#@}" "$copy/$file"; else sed -i -E "$edit" "$copy/$file"; fi
    touch "$copy/$file"
    if cmp -s "$copy/$file" "$out/original/$file"; then unchanged=$file; fi
  done
  if [ -n "$unchanged" ]; then
    echo "BAD   $name: the edit changes nothing in $unchanged"
    bad=1
  elif build_and_run "$program" "$filter"; then
    echo "BAD   $name: $program passes without this guard"
    bad=1
  else
    echo "ok    $name: $program fails, as" \
      "$(grep -m1 -oP '^\[  FAILED  \] \K\S+' "$out/$program.log" || echo 'the program, which ends')"
  fi
  for file in $files; do
    cp "$out/original/$file" "$copy/$file"
    touch "$copy/$file"
  done
}

wanted=("$@")
[ -f "$out/build.ninja" ] || (cd "$copy" && cmake --preset release -B "$out" > "$out/cmake.log")

for program in "${!filters[@]}"; do
  CAPSTAN_RACES=150 build_and_run "$program" ||
    { echo "BAD   $program fails before anything was taken away"; exit 1; }
done

mutant lease-test storage/queries/commit.sql \
  's/WHERE \(\(i\.lease_id, i\.epoch\) IN .*/WHERE true/' storage_test
mutant lease-id-test storage/queries/commit.sql \
  '/AND e\.lease_id = i\.lease_id$/d' storage_test
mutant seq-test storage/queries/commit.sql \
  '/AND e\.last_seq = i\.seq$/d' storage_test
mutant signal-test storage/queries/commit.sql \
  '/AND \(i\.signals IS NULL OR e\.signals = i\.signals\)$/d' storage_test
mutant fence-plain-select storage/queries/commit.sql \
  '/^  FOR SHARE$/d' storage_race_test '*Hole3_*'
# By itself FOR KEY SHARE still waits for the reaper's FOR UPDATE; both together let a stale step in.
mutant fence-key-share 'storage/queries/commit.sql storage/queries/lease_reap.sql' \
  's/^  FOR SHARE$/  FOR KEY SHARE/; /^  FOR UPDATE$/d' storage_race_test '*Hole3_*'
mutant lease-delete-test storage/queries/commit.sql \
  '/^    AND NOT EXISTS \($/,/^    \)$/d' storage_test
mutant one-statement-wake storage/queries/signal_count.sql \
  @tests/storage/races/mutants/wake_one_statement.sql storage_race_test 'SignalRaces.Hole1_*'
mutant heartbeat-of-the-dead storage/queries/worker_heartbeat.sql \
  '/^  AND dead_at IS NULL$/d' storage_race_test 'LeaseRaces.Hole3_*'
mutant reap-heartbeat-test storage/queries/worker_mark_dead.sql \
  's/ OR \(extract.*$/ OR true)/' storage_race_test 'LeaseRaces.Hole3_*'
mutant sweep-second-look storage/queries/sweep_lease.sql \
  '/^    AND (NOT EXISTS \(SELECT FROM lease|\(e\.lease_id IS NOT NULL)/d' storage_race_test 'SignalRaces.Hole6_*'
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
