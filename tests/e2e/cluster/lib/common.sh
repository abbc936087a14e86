# shellcheck shell=bash disable=SC2034 # the other parts read what this one sets
# Names, paths and small tools shared by the parts of cluster.sh.

readonly KUBERNETES_VERSION=1.34.4
readonly NODE_NAME=node-1
# Addresses inside the node's own network; nothing outside it can see them.
readonly NODE_IP=198.51.100.2
readonly POD_CIDR=198.18.0.0/16
readonly SERVICE_CIDR=198.19.0.0/16
readonly SERVICE_API=198.19.0.1

# Images the node has. The kubectl image has the name and the shape (entry point
# /bin/kubectl, no shell) of the published one.
readonly PAUSE_IMAGE=registry.k8s.io/pause:3.10
readonly KUBECTL_IMAGE=registry.k8s.io/kubectl:v$KUBERNETES_VERSION
readonly WEB_IMAGE=capstan.test/web:1
readonly BUSYBOX_IMAGE=capstan.test/busybox:1
readonly ECHO_ARGV_IMAGE=capstan.test/echo-argv:1
# The name under which capstan-action is published; `load-action` gives it to the one of this tree.
readonly ACTION_IMAGE=registry.capstan.dev/capstan-action:v0.1.0

readonly EXIT_NEEDS_ROOT=77
readonly EXIT_DOWN=3

NAME=${CAPSTAN_CLUSTER_NAME:-e2e}
STATE_ROOT=${CAPSTAN_CLUSTER_STATE_DIR:-/var/tmp/capstan-cluster}
CACHE=${CAPSTAN_CACHE_DIR:-${HOME:-/root}/.cache/capstan}/cluster

say() { printf '%s %s\n' "$(date +%T)" "$*" >&2; }
die() { printf 'cluster.sh: %s\n' "$*" >&2; exit 1; }

# Prints the comment at the top of script $1.
help_from() { sed -n '2,/^[^#]/{/^#/!d;s/^# \{0,1\}//;p}' "$1"; }

# Points the path variables at cluster $1.
use_cluster() {
  NAME=$1
  [[ $NAME =~ ^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$ ]] ||
    die "CAPSTAN_CLUSTER_NAME: got '$NAME', want 1 to 32 of a-z 0-9 -, not - at the ends"
  STATE=$STATE_ROOT/$NAME
  KUBECONFIG_FILE=$STATE/admin.kubeconfig
  AUDIT_LOG=$STATE/audit/audit.log
  CGROUP=capstan-cluster-$NAME
  # Every process of the cluster that runs outside its containers carries this
  # variable, so `down` finds them all, whoever started them and however it died.
  MARK=CAPSTAN_CLUSTER_MEMBER=$STATE
}
use_cluster "$NAME"

need_root() {
  [ "$(id -u)" = 0 ] && return
  printf 'cluster.sh: SKIPPED: %s needs root: a Kubernetes node is made of namespaces, mounts and cgroups\n' "$1" >&2
  exit "$EXIT_NEEDS_ROOT"
}

# Waits until a command succeeds, not longer than all started parts are alive:
# wait_for SECONDS WHAT COMMAND...
wait_for() {
  local deadline=$((SECONDS + $1)) what=$2 ended
  shift 2
  until "$@" > /dev/null 2>&1; do
    ended=$(ended_parts)
    [ -z "$ended" ] || die "$ended ended while waiting for $what"
    [ "$SECONDS" -lt "$deadline" ] || die "timed out waiting for $what"
    sleep 0.1
  done
}

# Prints the parts that this shell has started and that are no more.
ended_parts() {
  local file
  for file in "$STATE"/pids/[a-z]*; do
    [ ! -e "$file" ] || kill -0 "$(cat "$file")" 2> /dev/null || basename "$file"
  done
}

# Prints the pids of the cluster's marked processes.
members() {
  { grep -lzFx -e "$MARK" /proc/[0-9]*/environ 2> /dev/null || true; } | cut -d/ -f3
}

# True while process $1 is one of this cluster's (a reused pid is not).
is_member() { grep -qzFx -e "$MARK" "/proc/$1/environ" 2> /dev/null; }

part_pid() { cat "$STATE/pids/$1" 2> /dev/null; }
part_runs() {
  local pid
  pid=$(part_pid "$1") && [ -n "$pid" ] && is_member "$pid"
}

kubectl() { "${ARTIFACT[kube]}/kubectl" --kubeconfig "$KUBECONFIG_FILE" "$@"; }
