#!/usr/bin/env bash
# Checks every model and every mutant with Spin and compares with what is expected.
#
#   run.sh          the protocols with two or three workers, and all mutants (about a minute)
#   run.sh --all    also the largest runs (several minutes, 2 GB)
set -euo pipefail
cd "$(dirname "$0")"
command -v spin > /dev/null || { echo "run.sh: spin is not installed: run ./dev setup" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0

# check MODEL safe|caught FLAGS: `safe` finds no error in the whole state space, `caught` finds one.
check() {
  local model=$1 want=$2 flags=$3 search=-E got states
  [ "$model" != lost_reply ] || search=''  # there, being stuck is the error
  ( cd "$work" && cp "$OLDPWD/$model.pml" . &&
    spin -a $flags "$model.pml" > /dev/null && gcc -w -O2 -DSAFETY -DMEMLIM=6000 -o pan pan.c &&
    ./pan -m500000 $search > out 2>&1 )
  if grep -q 'Search not completed' "$work/out" && ! grep -q 'errors: [1-9]' "$work/out"; then
    got='not completed'
  elif grep -q 'errors: 0' "$work/out"; then
    got=safe
  else
    got=caught
  fi
  states=$(awk '/states, stored/ {print $1; exit}' "$work/out")
  if [ "$got" = "$want" ]; then
    printf 'ok    %-14s %-7s %12s states  %s\n' "$model" "$got" "$states" "$flags"
  else
    printf 'WRONG %-14s got %s, want %s  %s\n' "$model" "$got" "$want" "$flags"
    bad=1
  fi
}

check lease caught '-DPROTO=1'
check lease caught '-DPROTO=2 -DMAXDEL=1'
check lease caught '-DPROTO=3 -DNOREC -DMAXDEL=1'
check lease caught '-DPROTO=3 -DNOFENCE'
check lease safe '-DPROTO=3 -DNW=2 -DMAXDEL=1'
check launch caught '-DPROTO=3 -DNW=2 -DMAXE=3 -DRESUSP'
check launch caught '-DPROTO=3 -DNW=2 -DMAXE=3 -DMAXDEL=1 -DONESHOT -DRESUSP -DDENYNOW'
check launch caught '-DPROTO=3 -DNW=2 -DMAXE=3 -DMAXDEL=1 -DARMFLAG'
check launch caught '-DPROTO=3 -DNW=2 -DMAXE=3 -DMAXDEL=1 -DONESHOT -DRESUSP -DDENYDEL -DNOSUSP'
check launch caught '-DPROTO=3 -DNW=2 -DMAXE=3 -DMAXDEL=1 -DONESHOT -DRESUSP -DDENYDEL -DNOUID'
check launch safe '-DPROTO=3 -DNW=2 -DMAXE=3 -DMAXDEL=1 -DONESHOT -DRESUSP -DDENYDEL'
check launch_cancel safe '-DPROTO=3 -DNW=2 -DMAXE=3 -DONESHOT -DDENYDEL'
check batch_lease caught '-DNOLEASE'
check batch_lease caught '-DNOBIND'
check batch_lease caught '-DNOSIG'
check batch_lease safe '-DNW=2'
check lost_reply caught '-DLOSTCLAIM'
check lost_reply caught '-DLOSTCOMMIT'
check lost_reply safe '-DLOSTCLAIM -DLOSTCOMMIT -DRECON -DDELCHECK -DRELOAD -DMAXLOSS=3'
check events caught '-DSEQ=1'
check events safe '-DSEQ=2'
if [ "${1:-}" = --all ]; then
  check lease safe '-DPROTO=3 -DNW=3 -DMAXDEL=1'
  check batch_lease safe '-DNW=3'
fi
exit $bad
