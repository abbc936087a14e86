# shellcheck shell=bash disable=SC2153 # names come from common.sh
# kwok: nodes beside the real one that exist as objects only. Their pods become Ready, and
# their Jobs Complete, without any process. They have the label type=kwok to be selected by.
# Beside a real node they carry the taint kwok.x-k8s.io/node=fake, so that a pod goes there
# only when it tolerates it; in a plane there is nowhere else to go.

kwok_node() {
  cat << YAML
apiVersion: v1
kind: Node
metadata:
  name: $1
  labels: {type: kwok, kubernetes.io/hostname: $1}
  annotations: {kwok.x-k8s.io/node: fake}
spec:
  taints: [$(is_plane || echo '{key: kwok.x-k8s.io/node, value: fake, effect: NoSchedule}')]
status:
  allocatable: {cpu: "64", memory: 256Gi, pods: "500"}
  capacity: {cpu: "64", memory: 256Gi, pods: "500"}
---
YAML
}

# Makes fake nodes kwok-1 to kwok-$1, played as file $2 says, and waits until they are Ready.
kwok() {
  local count=$1 stages=${2:-} tool i
  [[ $count =~ ^[1-9][0-9]{0,2}$ ]] || die "kwok: got '$count', want a number of nodes from 1 to 999"
  if ! part_runs kwok; then
    tool=$("$HERE/../tools.sh" kwok) || die "kwok: there is no kwok"
    cp "${stages:-$(dirname "$tool")/stages.yaml}" "$STATE/config/stages.yaml"
    start kwok "$tool" --config /run/node/state/config/stages.yaml --kubeconfig /run/node/state/admin.kubeconfig --cidr 198.18.128.0/17 \
      --manage-all-nodes=false --manage-nodes-with-annotation-selector kwok.x-k8s.io/node=fake \
      --node-lease-duration-seconds 40
  fi
  for ((i = 1; i <= count; i++)); do kwok_node "kwok-$i"; done | kubectl apply -f - > /dev/null
  wait_for 60 "$count fake nodes" kwok_ready "$count"
}

kwok_ready() { [ "$(kubectl get nodes -l type=kwok --no-headers --request-timeout 5s | grep -cw Ready)" -ge "$1" ]; }
