#!/bin/bash
# Checks that capstan-action does in pods of the running test cluster what actions want
# of it: under restricted Pod Security, with its own account, once and again, and without
# a secret value in any log or in the audit log. Exit 0 when all holds.
#
#   cluster.sh up && cluster.sh load-action build/release/bin/capstan-action && action-proof.sh
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
variables=$("$HERE/cluster.sh" env) || exit
eval "$variables"
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

k() { "$CAPSTAN_E2E_KUBECTL" -n action-proof "$@"; }
fail() { echo "action-proof.sh: FAILED: $*" >&2; exit 1; }
shown() { echo "action-proof.sh: $*"; }
equal() { [ "$2" = "$3" ] || fail "$1: got '$2', want '$3'"; }
field() { k get "$1" -o "jsonpath={$2}"; }

RUNS=0
# Runs a pod with these arguments to its end: act IMAGE ACCOUNT ARGUMENT... Prints its log; the exit
# code goes to $WORK/exit.
act() {
  local image=$1 account=$2 name list
  shift 2
  RUNS=$((RUNS + 1))
  name=run-$RUNS
  list=$(printf '%s\n' "$@" | jq -Rs 'rtrimstr("\n") | split("\n")')
  k apply -f - > /dev/null << JSON
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "$name"},
 "spec": {"restartPolicy": "Never", "serviceAccountName": "$account",
  "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
  "volumes": [{"name": "patch", "secret": {"secretName": "db-patch"}}],
  "containers": [{"name": "main", "image": "$image", "command": $list,
   "terminationMessagePolicy": "FallbackToLogsOnError",
   "volumeMounts": [{"name": "patch", "mountPath": "/etc/patch", "readOnly": true}],
   "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
    "capabilities": {"drop": ["ALL"]}}}]}}
JSON
  k wait --for='jsonpath={.status.containerStatuses[0].state.terminated.exitCode}' "pod/$name" --timeout=90s > /dev/null
  field "pod/$name" '.status.containerStatuses[0].state.terminated.exitCode' > "$WORK/exit"
  k logs "$name" | tee -a "$WORK/all"
}
# does ARGUMENT...: the program as account actor, which must end well.
does() {
  act "$CAPSTAN_E2E_ACTION_IMAGE" actor capstan-action "$@" > "$WORK/out"
  equal "exit code of $*: $(cat "$WORK/out")" "$(cat "$WORK/exit")" 0
}
says() { grep -qF -- "$1" "$WORK/out" || fail "want '$1' in: $(cat "$WORK/out")"; }
# refused ACCOUNT ARGUMENT...: must end with 1.
refused() {
  local account=$1
  shift
  act "$CAPSTAN_E2E_ACTION_IMAGE" "$account" capstan-action "$@" > "$WORK/out"
  equal "exit code of $*: $(cat "$WORK/out")" "$(cat "$WORK/exit")" 1
}

"$CAPSTAN_E2E_KUBECTL" delete namespace action-proof --ignore-not-found --wait > /dev/null
k apply -f "$HERE/action-proof.yaml" > /dev/null
k rollout status deployment/web --timeout=60s > /dev/null
FIRST_EVENT=$(($(wc -l < "$CAPSTAN_E2E_AUDIT_LOG") + 1))

restart=(restart-deployment --namespace=action-proof --at=2026-01-02T03:04:05Z -- web)
does "${restart[@]}"
says "deployment.apps/web restarted"
k rollout status deployment/web --timeout=60s > /dev/null
generation=$(field deployment/web .metadata.generation)
does "${restart[@]}"
says unchanged
equal "generation after the same restart" "$(field deployment/web .metadata.generation)" "$generation"
refused actor restart-deployment --namespace=action-proof --at=2026-01-02T03:04:05Z -- absent
says 'Error from server (Forbidden)' # the role names one Deployment
refused nobody "${restart[@]}"
says 'User "system:serviceaccount:action-proof:nobody" cannot get resource "deployments"'
shown "a Deployment is restarted once, and a refusal names account, verb and resource"

pod=$(k get pods -l app=web -o 'jsonpath={.items[0].metadata.name}')
uid=$(field "pod/$pod" .metadata.uid)
does delete-pod --namespace=action-proof --uid=00000000-0000-0000-0000-000000000000 -- "$pod"
equal "uid after a delete of another" "$(field "pod/$pod" .metadata.uid)" "$uid"
does delete-pod --namespace=action-proof "--uid=$uid" --grace=1 -- "$pod"
says "is gone"
[ -z "$(k get pod "$pod" --ignore-not-found -o name)" ] || fail "pod $pod is still there"
does delete-pod --namespace=action-proof "--uid=$uid" -- "$pod"
shown "the pod of that uid is gone when the program ends, and no other"

version=$(field configmap/web .metadata.resourceVersion)
patch='[{"op":"replace","path":"/data/mode","value":"a, [b] \"c\""},{"op":"remove","path":"/data/old"}]'
does patch-config-map --namespace=action-proof "--resource-version=$version" "--patch=$patch" -- web
equal "data of the ConfigMap" "$(field configmap/web .data)" '{"mode":"a, [b] \"c\""}'
does patch-config-map --namespace=action-proof "--resource-version=$version" "--patch=$patch" -- web
says unchanged
k patch configmap web --type=merge -p '{"data": {"mode": "by hand"}}' > /dev/null
refused actor patch-config-map --namespace=action-proof "--resource-version=$version" "--patch=$patch" -- web
says "changed since it was read"
shown "a ConfigMap is patched at the version that was read, and at no other"

backup=(backup-secret --namespace=action-proof --to-namespace=action-proof --to=db-backup -- db)
change=(patch-secret --namespace=action-proof --patch-file=/etc/patch/patch.json -- db)
restore=(restore-secret --namespace=action-proof --from-namespace=action-proof --from=db-backup -- db)
does "${backup[@]}"
does "${change[@]}"
says "data.password changed"
equal password "$(field secret/db .data.password | base64 -d)" canary-4d1e-new
does "${change[@]}"
says unchanged
does "${backup[@]}"
says unchanged
does "${restore[@]}"
equal "password after the restore" "$(field secret/db .data.password | base64 -d)" canary-4d1e-old
does "${restore[@]}"
says unchanged
k get pods -o json > "$WORK/pods"
tail -n +"$FIRST_EVENT" "$CAPSTAN_E2E_AUDIT_LOG" > "$WORK/audit"
for canary in canary-4d1e Y2FuYXJ5; do
  if grep -lF "$canary" "$WORK/all" "$WORK/pods" "$WORK/audit"; then fail "a secret value shows in the files above"; fi
done
shown "a Secret is backed up, patched and restored, and no value shows in logs, pods or the audit log"

act "$CAPSTAN_E2E_ECHO_ARGV_IMAGE" nobody kubectl scale '--replicas=3; reboot' -- '$(id)' > "$WORK/out"
equal "what echo-argv prints" "$(cat "$WORK/out")" $'kubectl\nscale\n--replicas=3; reboot\n--\n$(id)'
shown "echo-argv shows what a pod's program is given"
"$CAPSTAN_E2E_KUBECTL" delete namespace action-proof --wait=false > /dev/null
echo "action-proof.sh: OK"
