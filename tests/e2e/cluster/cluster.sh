#!/bin/bash
# A real single-node Kubernetes 1.34 for the end-to-end tests. It needs no
# container engine, no service manager and no image registry.
#
#   cluster.sh deps            install what it needs (root; otherwise say what is missing)
#   cluster.sh build           compile the binaries and pack the images into the cache
#   cluster.sh up [plane]      start it; returns once the node is Ready (idempotent); plane: etcd,
#                              apiserver, controllers and scheduler alone, for nodes of `kwok`
#   cluster.sh status          what runs; exit 0 Ready, 1 broken, 3 down
#   cluster.sh env             print the variables a test needs, as export lines
#   cluster.sh audit           print the changes the apiserver has seen, one a line
#   cluster.sh exec CMD...     run CMD inside the node
#   cluster.sh restart PART    kill one of the cluster's programs and start it as it was
#   cluster.sh signal PART SIG send one of them a signal, as STOP and CONT
#   cluster.sh load TAR...     import OCI image archives into the node
#   cluster.sh load-action PROGRAM
#                              pack this tree's capstan-action into its image and import that
#   cluster.sh kwok N [STAGES] add N nodes that are played only: their pods run without a process,
#                              as the file STAGES says (default: Jobs complete at once)
#   cluster.sh down [--all]    stop and remove it (idempotent); --all: every cluster
#
# The node is a set of namespaces (mount, network, process, ipc, host name) joined
# to nothing: its network has no link to the machine's, its root file system is
# read-only, and killing its first process ends every process, mount and interface
# of the cluster. The one way in is the apiserver on a free port of 127.0.0.1, held
# by a small forwarder; the same address is right inside, so one kubeconfig serves
# both sides. All that changes or enters a node needs root and exits 77 without it, so
# that a caller can tell "skipped" from "failed".
#
# Environment:
#   CAPSTAN_CLUSTER_NAME       which cluster, default "e2e"; several may run at once
#   CAPSTAN_CLUSTER_STATE_DIR  where running clusters keep their files, default
#                              /var/tmp/capstan-cluster; a disk, not a tmpfs
#   CAPSTAN_CACHE_DIR          what `build` makes, default ~/.cache/capstan
#
# CAPSTAN_E2E_AUDIT_LOG (see `env`) holds every event as JSON; config/audit-policy.yaml
# says which and how much of them.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR
source "$HERE/lib/common.sh"
# shellcheck source-path=SCRIPTDIR
source "$HERE/lib/build.sh"
# shellcheck source-path=SCRIPTDIR
source "$HERE/lib/credentials.sh"
# shellcheck source-path=SCRIPTDIR
source "$HERE/lib/node.sh"
# shellcheck source-path=SCRIPTDIR
source "$HERE/lib/lifecycle.sh"
# shellcheck source-path=SCRIPTDIR
source "$HERE/lib/kwok.sh"

name_artifacts

main() {
  local verb=${1:-help}
  shift || true
  case $verb in
    deps | build | status | audit) "$verb" ;;
    up)
      case ${1:-node} in
        node | plane) up "${1:-node}" ;;
        *) die "up: got '$1', want nothing or plane" ;;
      esac ;;
    env) print_env ;;
    exec) need_root exec; need_running; in_node "$@" ;;
    restart) need_root restart; need_running; restart_part "${1:?restart: give the part}" ;;
    signal) need_root signal; need_running; signal_part "${1:?signal: give the part}" "${2:?signal: give the signal}" ;;
    load) need_root load; need_running; load_images "$@" ;;
    load-action) need_root load-action; need_running; load_action "${1:?load-action: give the program}" ;;
    kwok) need_root kwok; need_running; kwok "${1:-}" "${2:-}" ;;
    down)
      case ${1:-} in
        --all) down_all ;;
        '') down ;;
        *) die "down: got '$1', want nothing or --all" ;;
      esac ;;
    help | -h | --help) help_from "$HERE/cluster.sh" ;;
    *) help_from "$HERE/cluster.sh" >&2; exit 2 ;;
  esac
}

main "$@"
