#!/bin/bash
# Runs plane_test on a cluster of its own: a control plane without a kubelet, whose nodes kwok plays.
#
#   plane.sh TEST-PROGRAM ARGUMENT...
#
# Exit 77 where there can be none (it needs root). CAPSTAN_PLANE_KEEP=1 leaves the cluster up.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
export CAPSTAN_CLUSTER_NAME=${CAPSTAN_CLUSTER_NAME:-e2e}-plane
cluster() { "$HERE/../e2e/cluster/cluster.sh" "$@"; }

WORK=$(mktemp -d)
leave() {
  rm -rf "$WORK"
  [ "${CAPSTAN_PLANE_KEEP:-}" = 1 ] || cluster down
}
[ "$(id -u)" = 0 ] || { echo "plane.sh: NOT RUN: the cluster needs root" >&2; exit 77; }
trap leave EXIT
trap 'exit 130' INT TERM HUP
cluster build
cluster up plane
kwok=$("$HERE/../e2e/tools.sh" kwok)
# All of kwok's own stages but those that end pods.
awk -v RS='---\n' '!/name: pod-(complete|delete)\n/ {printf "%s---\n", $0}' "$(dirname "$kwok")/stages.yaml" > "$WORK/stages.yaml"
cat "$HERE/plane_stages.yaml" >> "$WORK/stages.yaml"
cluster kwok 8 "$WORK/stages.yaml"
variables=$(cluster env)
eval "$variables"
"$@"
