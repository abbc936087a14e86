#!/bin/bash
# Checks that the running test cluster is good for what the tests prove with it:
# that a suspended Job makes no pod, that it is armed only under the right uid, that
# its pod scales a Deployment with its own account and nothing else, that restricted
# Pod Security holds, and that the audit log tells all of it. Exit 0 when all hold.
#
#   cluster.sh up && proof.sh
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
variables=$("$HERE/cluster.sh" env) || exit
eval "$variables"
readonly SCALER=system:serviceaccount:proof:scaler

k() { "$CAPSTAN_E2E_KUBECTL" -n proof "$@"; }
fail() { echo "proof.sh: FAILED: $*" >&2; exit 1; }
shown() { echo "proof.sh: $*"; }
equal() { [ "$2" = "$3" ] || fail "$1: got '$2', want '$3'"; }
field() { k get "$1" -o "jsonpath={$2}"; }
# Counts this run's events in the audit log that jq filter $1 selects.
audited() {
  tail -n +"$FIRST_EVENT" "$CAPSTAN_E2E_AUDIT_LOG" | jq -c "select(.objectRef.namespace == \"proof\") | select($1)" | wc -l
}
arm() {
  k patch job scale-web --type=json -p \
    "[{\"op\": \"test\", \"path\": \"/metadata/uid\", \"value\": \"$1\"},
      {\"op\": \"replace\", \"path\": \"/spec/suspend\", \"value\": false}]"
}

"$CAPSTAN_E2E_KUBECTL" delete namespace proof --ignore-not-found --wait > /dev/null
FIRST_EVENT=$(($(wc -l < "$CAPSTAN_E2E_AUDIT_LOG") + 1))
k apply -f "$HERE/proof.yaml" > /dev/null
k rollout status deployment/web --timeout=60s > /dev/null
equal "replicas at first" "$(field deployment/web .status.readyReplicas)" 1

k wait --for=condition=Suspended job/scale-web --timeout=30s > /dev/null
equal "pods of a suspended Job" "$(k get pods -l job-name=scale-web -o name)" ""
if arm 00000000-0000-0000-0000-000000000000 > /dev/null 2>&1; then fail "a wrong uid armed the Job"; fi
equal "suspend after a wrong uid" "$(field job/scale-web .spec.suspend)" true
shown "a suspended Job has no pod, and a wrong uid does not arm it"

began=$(date +%s%N)
arm "$(field job/scale-web .metadata.uid)" > /dev/null
k wait --for=condition=Complete job/scale-web --timeout=60s > /dev/null
shown "armed to Complete: $((($(date +%s%N) - began) / 1000000)) ms"
k rollout status deployment/web --timeout=60s > /dev/null
equal "replicas afterwards" "$(field deployment/web .status.readyReplicas)" 3
equal "log of the pod" "$(k logs job/scale-web)" "deployment.apps/web scaled"
shown "kubectl in a pod scaled web from 1 to 3 ready replicas"

k wait --for=condition=Failed job/read-secrets --timeout=60s > /dev/null
k logs job/read-secrets | grep -q 'secrets is forbidden' || fail "the account could read secrets"
refusal=$(k run privileged --image="$CAPSTAN_E2E_WEB_IMAGE" --privileged 2>&1) && fail "a privileged pod was let in"
grep -q 'violates PodSecurity "restricted' <<< "$refusal" || fail "not refused by Pod Security: $refusal"
shown "what the account or the namespace may not do is refused"

readonly JOB_CREATE='.verb == "create" and .objectRef.resource == "jobs"'
equal "Job creates that arrived" "$(audited "$JOB_CREATE and .stage == \"RequestReceived\"")" 2
equal "creates of Job scale-web" "$(audited "$JOB_CREATE and .stage == \"ResponseComplete\"
  and .objectRef.name == \"scale-web\" and .responseStatus.code == 201")" 1
equal "who scaled web" "$("$HERE/cluster.sh" audit | awk -F'\t' \
  '$2 == "deployments/scale" && $3 == "proof/web" && $5 == 200 { print $4 }' | sort -u)" "$SCALER"
shown "the audit log has both Job creates, and who scaled web: $SCALER"
"$CAPSTAN_E2E_KUBECTL" delete namespace proof --wait=false > /dev/null
echo "proof.sh: OK"
