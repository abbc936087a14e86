#!/bin/bash
# Checks that a test cluster leaves nothing on the machine: after `up` and `down`,
# after an `up` interrupted at several moments, and after one killed outright.
# Prints what was found, exit 0 when there is nothing. Takes a few minutes.
#
#   leftovers.sh [CYCLES]      default 3 full cycles
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
readonly CYCLES=${1:-3}
export CAPSTAN_CLUSTER_NAME=leftovers-$$
CAPSTAN_CLUSTER_STATE_DIR=$(mktemp -d /var/tmp/capstan-leftovers.XXXXXX)
export CAPSTAN_CLUSTER_STATE_DIR
readonly STATE=$CAPSTAN_CLUSTER_STATE_DIR/$CAPSTAN_CLUSTER_NAME
WORK=$(mktemp -d)
trap '"$HERE/cluster.sh" down; rm -rf "$WORK"; rmdir "$CAPSTAN_CLUSTER_STATE_DIR" 2> /dev/null || true' EXIT

cluster() { "$HERE/cluster.sh" "$@"; }

# What a cluster could change on the machine, one thing a line.
machine() {
  cut -d" " -f5 /proc/self/mountinfo | sort
  ls /sys/class/net
  ip route
  ip netns list
  nft list ruleset
  sysctl -e vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops kernel.hostname \
    kernel.keys.root_maxkeys kernel.keys.root_maxbytes net.ipv4.ip_forward net.ipv4.conf.all.forwarding
  find /sys/fs/cgroup -maxdepth 3 -type d -name "capstan-cluster-$CAPSTAN_CLUSTER_NAME"
  find /run /opt /etc /var/lib /var/log /usr/libexec -xdev -maxdepth 2 -type d \
    \( -name '*kube*' -o -name '*cni*' -o -name '*containerd*' -o -name netns -o -name pods -o -name containers \)
  ls -A "$CAPSTAN_CLUSTER_STATE_DIR" 2> /dev/null || true
}

marked() { { grep -lzFx -e "CAPSTAN_CLUSTER_MEMBER=$STATE" /proc/[0-9]*/environ 2> /dev/null || true; } | cut -d/ -f3; }

# Notes the namespaces that the cluster has now.
note_namespaces() {
  local pid kind
  for pid in $(marked) $(cat "$STATE/init" 2> /dev/null); do
    for kind in mnt net pid ipc uts; do readlink "/proc/$pid/ns/$kind" || true; done
  done 2> /dev/null | sort -u > "$WORK/seen"
  for kind in mnt net pid ipc uts; do readlink "/proc/self/ns/$kind"; done | sort > "$WORK/own"
  comm -23 "$WORK/seen" "$WORK/own" >> "$WORK/namespaces"
}

nothing_left() {
  local failed=0
  machine > "$WORK/after"
  diff "$WORK/before" "$WORK/after" || { echo "leftovers.sh: $1: the machine has changed (above)"; failed=1; }
  if [ -n "$(marked)" ]; then
    echo "leftovers.sh: $1: processes are left:"
    marked | while read -r pid; do tr '\0' ' ' < "/proc/$pid/cmdline"; echo; done
    failed=1
  fi
  readlink /proc/[0-9]*/ns/* 2> /dev/null | sort -u > "$WORK/in-use" || true
  if sort -u "$WORK/namespaces" | comm -12 - "$WORK/in-use" | grep .; then
    echo "leftovers.sh: $1: namespaces above still have processes"
    failed=1
  fi
  [ "$failed" = 0 ] || exit 1
  echo "leftovers.sh: $1: nothing left ($(sort -u "$WORK/namespaces" | wc -l) namespaces came and went)"
  : > "$WORK/namespaces"
}

# Starts `up` as a terminal would: interruptible, in the background.
begin_up() {
  env --default-signal=INT "$HERE/cluster.sh" up 2>> "$WORK/up.log" &
  UP=$!
}
# Waits until file $1 of the state folder is there.
until_exists() {
  local tries
  for tries in $(seq 600); do
    [ ! -e "$STATE/$1" ] || return 0
    kill -0 "$UP" 2> /dev/null || break
    sleep 0.05
  done
  cat "$WORK/up.log"
  echo "leftovers.sh: up never came to $1 ($tries tries)"
  exit 1
}

: > "$WORK/namespaces"
machine > "$WORK/before"

for cycle in $(seq "$CYCLES"); do
  cluster up
  "$HERE/proof.sh" # so that it has run pods
  [ "$(cluster status | grep -c running)" = 9 ] || { echo "leftovers.sh: not all parts run"; exit 1; }
  note_namespaces
  cluster down
  nothing_left "cycle $cycle"
done

for moment in pids/node api-port pids/etcd pids/kube-apiserver pids/kubelet; do
  begin_up
  until_exists "$moment"
  note_namespaces
  kill -INT "$UP"
  code=0
  wait "$UP" || code=$?
  [ "$code" = 130 ] || { cat "$WORK/up.log"; echo "leftovers.sh: interrupted up: got exit $code, want 130"; exit 1; }
  nothing_left "interrupted after $moment"
done

begin_up
until_exists pids/kubelet
note_namespaces
kill -KILL "$UP"
wait "$UP" 2> /dev/null || true
[ -n "$(marked)" ] || { echo "leftovers.sh: nothing to clean up after a kill: this check proves nothing"; exit 1; }
cluster up
note_namespaces
[ "$(cluster status | grep -c running)" = 9 ] || { echo "leftovers.sh: not all parts run after a killed up"; exit 1; }
cluster down
nothing_left "killed, then up and down"
echo "leftovers.sh: OK"
