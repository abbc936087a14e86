# shellcheck shell=bash disable=SC2153 # names come from common.sh
# up, down, status, env, audit.

readonly PLANE_PARTS=(node apiserver-forward etcd kube-apiserver kube-controller-manager kube-scheduler)
readonly NODE_PARTS=(containerd kubelet kube-proxy)
readonly ETCD_URL=http://127.0.0.1:2379
# Room for many tests that run at once; the defaults stall bursts.
readonly CLIENT_LIMITS=(--kube-api-qps 500 --kube-api-burst 1000)
# The log of a test run stays whole: rotation would begin far beyond any disk (MB).
readonly AUDIT_LOG_LIMIT=100000000

api_port() { cat "$STATE/api-port"; }
api_url() { echo "https://127.0.0.1:$(api_port)"; }

# True when the cluster is a control plane alone.
is_plane() { [ "$(cat "$STATE/kind" 2> /dev/null)" = plane ]; }

# $1: node or plane.
up() {
  need_root up
  local kind=$1 part
  for part in kube etcd nsforward images; do
    is_built "$part" || die "up: $part is not built: run cluster.sh build"
  done
  for part in containerd ctr runc nft ip nsenter unshare openssl curl /usr/lib/cni/ptp; do
    command -v "$part" > /dev/null || die "up: $part is missing: run cluster.sh deps"
  done
  lock
  if [ "$(cat "$STATE/recipe" 2> /dev/null)" = "$(recipe "$kind")" ] && status > /dev/null 2>&1; then
    say "up: cluster $NAME is up already"
    return
  fi
  remove_all # of a predecessor, whatever is left of it
  local began=$SECONDS
  say "up: cluster $NAME"
  trap 'abandon_up $?' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  trap 'exit 129' HUP
  mkdir -p "$STATE"
  chmod 700 "$STATE"
  echo "$kind" > "$STATE/kind"
  make_node
  start_forwarder
  make_credentials
  write_configuration
  start_parts
  recipe "$kind" > "$STATE/recipe"
  trap - EXIT INT TERM HUP
  say "up: Ready after $((SECONDS - began)) s"
}

# What a running cluster was made from; another recipe needs another cluster.
recipe() {
  { echo "$1" "${ARTIFACT[@]}"; cat "$HERE"/config/* "$HERE"/lib/*; } | sha256sum
}

# After a failed or interrupted `up`: leaves nothing but the logs of a failure.
abandon_up() {
  trap '' INT TERM HUP
  trap - EXIT
  if [ "$1" -lt 128 ] && [ -d "$STATE/log" ]; then
    say "up: failed; the last lines of each log:"
    tail -n 3 "$STATE"/log/*.log >&2 || true
    rm -rf "$STATE.failed"
    mkdir "$STATE.failed"
    mv "$STATE"/log/* "$STATE.failed/"
    say "up: whole logs in $STATE.failed"
  else
    say "up: interrupted, removing what was started"
  fi
  remove_all
  unlock
  exit "$1"
}

start_forwarder() {
  setsid env "$MARK" "${ARTIFACT[nsforward]}/nsforward" -pid "$(node_pid)" -port-file "$STATE/api-port" \
    >> "$STATE/log/apiserver-forward.log" 2>&1 < /dev/null 9>&- &
  echo $! > "$STATE/pids/apiserver-forward"
  disown
  wait_for 10 "the forwarder's port" test -s "$STATE/api-port"
}

start_parts() {
  local state=/run/node/state kube=/run/node/kube/kube
  is_plane || start containerd containerd --config "$state/config/containerd.toml"
  start etcd /run/node/etcd/etcd --name e2e --data-dir /run/node/etcd-data/data \
    --listen-client-urls "$ETCD_URL" --advertise-client-urls "$ETCD_URL" \
    --quota-backend-bytes 2147483648 --log-level warn --unsafe-no-fsync
  start kube-apiserver "$kube" kube-apiserver \
    --etcd-servers "$ETCD_URL" --bind-address 0.0.0.0 --secure-port "$(api_port)" \
    --advertise-address "$NODE_IP" --service-cluster-ip-range "$SERVICE_CIDR" \
    --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
    --allow-privileged=true --anonymous-auth=true --client-ca-file "$state/pki/ca.crt" \
    --tls-cert-file "$state/pki/apiserver.crt" --tls-private-key-file "$state/pki/apiserver.key" \
    --kubelet-client-certificate "$state/pki/apiserver-to-kubelet.crt" \
    --kubelet-client-key "$state/pki/apiserver-to-kubelet.key" \
    --kubelet-certificate-authority "$state/pki/ca.crt" --kubelet-preferred-address-types InternalIP \
    --service-account-issuer https://kubernetes.default.svc.cluster.local \
    --service-account-signing-key-file "$state/pki/accounts.key" \
    --service-account-key-file "$state/pki/accounts.pub" \
    --audit-policy-file "$state/config/audit-policy.yaml" --audit-log-path "$state/audit/audit.log" \
    --audit-log-mode blocking --audit-log-maxsize "$AUDIT_LOG_LIMIT" \
    --profiling=false
  if ! is_plane; then
    wait_for 30 containerd in_node ctr --address "$CONTAINERD_SOCKET" version
    load_images "${ARTIFACT[images]}"/*.tar
  fi
  wait_for 90 kube-apiserver curl -sf --max-time 2 --cacert "$STATE/pki/ca.crt" "$(api_url)/readyz"
  is_plane || start kubelet "$kube" kubelet --config "$state/config/kubelet.yaml" \
    --kubeconfig "$state/kubelet.kubeconfig" --hostname-override "$NODE_NAME" --node-ip "$NODE_IP"
  start kube-controller-manager "$kube" kube-controller-manager "${CLIENT_LIMITS[@]}" \
    --kubeconfig "$state/kube-controller-manager.kubeconfig" --leader-elect=false \
    --authentication-kubeconfig "$state/kube-controller-manager.kubeconfig" \
    --authorization-kubeconfig "$state/kube-controller-manager.kubeconfig" \
    --use-service-account-credentials=true \
    --service-account-private-key-file "$state/pki/accounts.key" --root-ca-file "$state/pki/ca.crt" \
    --flex-volume-plugin-dir /var/lib/kubelet/volume-plugins \
    --concurrent-job-syncs 10 --concurrent-gc-syncs 40 --concurrent-namespace-syncs 20 \
    --bind-address 127.0.0.1 --profiling=false
  start kube-scheduler "$kube" kube-scheduler "${CLIENT_LIMITS[@]}" \
    --kubeconfig "$state/kube-scheduler.kubeconfig" --leader-elect=false \
    --authentication-kubeconfig "$state/kube-scheduler.kubeconfig" \
    --authorization-kubeconfig "$state/kube-scheduler.kubeconfig" \
    --bind-address 127.0.0.1 --profiling=false
  if ! is_plane; then
    start kube-proxy "$kube" kube-proxy --config "$state/config/kube-proxy.yaml"
    wait_for 90 "the node to be Ready" node_ready
    wait_for 30 "the apiserver's service address" \
      in_node curl -sf --max-time 1 --cacert "$STATE/pki/ca.crt" "https://$SERVICE_API/readyz"
  fi
  wait_for 30 "the default account" kubectl -n default get serviceaccount default
}

# Ready, and without the taints of a node that starts.
node_ready() {
  [ "$(kubectl get node "$NODE_NAME" --request-timeout 5s \
    -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}{.spec.taints}' 2> /dev/null)" = True ]
}

status() {
  local part broken=0
  [ -d "$STATE" ] || { echo "cluster $NAME: down"; return "$EXIT_DOWN"; }
  [ -r "$STATE" ] || { echo "cluster $NAME: belongs to root, ask as root"; return 1; }
  local parts=("${PLANE_PARTS[@]}")
  is_plane || parts+=("${NODE_PARTS[@]}")
  [ ! -e "$STATE/pids/kwok" ] || parts+=(kwok)
  for part in "${parts[@]}"; do
    if part_runs "$part"; then
      echo "$part: running, pid $(part_pid "$part")"
    else
      echo "$part: gone"
      broken=1
    fi
  done
  if is_plane; then return "$broken"; fi
  if [ "$broken" = 0 ] && node_ready; then
    echo "$NODE_NAME: Ready"
  else
    echo "$NODE_NAME: not Ready"
    broken=1
  fi
  return "$broken"
}

need_running() {
  part_runs node || { say "cluster $NAME is down: run cluster.sh up"; exit "$EXIT_DOWN"; }
}

print_env() {
  need_running
  local kubectl
  kubectl=${ARTIFACT[kube]}/kubectl
  printf 'export %s=%q\n' KUBECONFIG "$KUBECONFIG_FILE" CAPSTAN_CLUSTER_NAME "$NAME" \
    CAPSTAN_E2E_KUBECTL "$kubectl" CAPSTAN_E2E_AUDIT_LOG "$AUDIT_LOG" \
    CAPSTAN_E2E_KUBECTL_IMAGE "$KUBECTL_IMAGE" CAPSTAN_E2E_WEB_IMAGE "$WEB_IMAGE" \
    CAPSTAN_E2E_BUSYBOX_IMAGE "$BUSYBOX_IMAGE" CAPSTAN_E2E_ECHO_ARGV_IMAGE "$ECHO_ARGV_IMAGE" \
    CAPSTAN_E2E_ACTION_IMAGE "$ACTION_IMAGE"
}

# One line per finished change: verb, resource, namespace/name, user, answer code.
audit() {
  need_running
  jq -r 'select(.stage == "ResponseComplete" and (.verb | IN("get", "list", "watch") | not))
    | [.verb, ([.objectRef.resource, .objectRef.subresource] | map(select(.)) | join("/")),
       "\(.objectRef.namespace // "-")/\(.objectRef.name // .responseObject.metadata.name // "-")", .user.username, .responseStatus.code]
    | @tsv' "$AUDIT_LOG"
}

down() {
  [ -d "$STATE" ] || [ -n "$(members)" ] || [ -d "$STATE.failed" ] || { say "down: cluster $NAME is not up"; return; }
  need_root down
  lock
  remove_all
  rm -rf "$STATE.failed"
  unlock
  say "down: nothing of cluster $NAME is left"
}

down_all() {
  local folder name
  for folder in "$STATE_ROOT"/*/; do
    [ -d "$folder" ] || continue
    name=$(basename "$folder" .failed)
    (use_cluster "$name" && down)
  done
}

# Ends every process of the cluster and removes what they leave.
remove_all() {
  local pids spaces deadline=$((SECONDS + 20))
  pids=$(members)
  spaces=$(process_spaces "$pids")
  rm -rf "$STATE/pids" # nobody expects them to live any more
  # The node's first process takes all others with it, marked or not.
  while [ -n "$pids" ]; do
    # shellcheck disable=SC2086 # one argument a pid
    kill -KILL $pids 2> /dev/null || true
    [ "$SECONDS" -lt "$deadline" ] || die "down: processes do not end: $(tr '\n' ' ' <<< "$pids")"
    sleep 0.05
    pids=$(members)
  done
  wait_for 20 "the last processes to end" no_process_in "$spaces"
  wait_for 20 "the cgroups of cluster $NAME to empty" remove_cgroups
  [ -d "$STATE" ] || return 0
  # Its mounts went with the namespaces; rm must never run through one.
  if grep -qF " $STATE/" /proc/self/mountinfo; then die "down: still mounted under $STATE"; fi
  rm -rf --one-file-system "$STATE"
}

# Prints the process namespaces, other than the machine's, that processes $1 are in.
process_spaces() {
  local pid
  for pid in $1; do readlink "/proc/$pid/ns/pid" || true; done 2> /dev/null |
    sort -u | grep -vFx -e "$(readlink /proc/self/ns/pid)" || true
}
# A killed process is still there for a moment, without its mark.
no_process_in() {
  [ -z "$1" ] || ! { readlink /proc/[0-9]*/ns/pid 2> /dev/null || true; } | grep -qFx -e "$1"
}

# One `up` or `down` of a cluster at a time.
lock() {
  local file=$STATE_ROOT/.$NAME.lock
  until [ "$(stat -L -c %i /proc/self/fd/9 2> /dev/null)" = "$(stat -c %i "$file" 2> /dev/null || echo none)" ]; do
    mkdir -p "$STATE_ROOT"
    exec 9> "$file"
    flock -n 9 || { say "waiting for another cluster.sh to finish with $NAME"; flock 9; }
  done
}

# Leaves no lock file behind; whoever waits for it sees that and takes a new one.
unlock() {
  rm -f "$STATE_ROOT/.$NAME.lock"
  rmdir "$STATE_ROOT" 2> /dev/null || true
  exec 9>&-
}
