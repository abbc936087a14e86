#!/usr/bin/env bash
# Which numbered behaviours have no test: a test that shows row S2.14 has S2_14 in its name. Prints each row without one;
# exit 1 when there is one. Left out: rows of delivery (S2.49-S2.52, S2.54; S1.16-S1.25, S4.43), which come with the chart, the
# image and the forge, and rows that are durations (S2.35, S2.43), which `./dev bench` prints.
set -euo pipefail
cd "$(dirname "$0")/.."
rows=$(for n in $(seq 1 15) $(seq 26 31); do echo "S1_$n"; done
       for n in $(seq 1 42) 44; do echo "S4_$n"; done
       for n in $(seq 1 34) $(seq 36 42) $(seq 44 48) 53 $(seq 55 70) 21a 30a 43a 69a; do echo "S2_$n"; done)
shown=$(git grep -hoE 'S[124]_[0-9]+a?' -- 'tests/*.cc' 'tests/**/*.cc' 'tests/**/*.sh' 'tests/**/*.rs' ':!tests/rows.sh' | sort -u)
missing=$(comm -23 <(printf '%s\n' "$rows" | sort -u) <(printf '%s\n' "$shown"))
[ -z "$missing" ] && exit 0
printf 'no test shows %s\n' $missing
exit 1
