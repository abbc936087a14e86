#!/usr/bin/env bash
# The whole of Capstan on one machine: a Postgres in a temporary directory, one server, two workers and a cluster; then one of
# two stories, and cleans up.
#
#   demo.sh [task] [--cluster sim|real] [--kubeconfig FILE] [--stay]
#
#   (nothing)          actions: scales a Deployment from 1 to 3 with the stream on the terminal, shows a call that policy
#                      denies, a dry run, a rollback and an emergency stop
#   task               a task: a change to a small git repository, from its specification over a gate that a person passes, a
#                      failing test and a review to its end; the model is a script (root: programs are walled in)
#   --cluster sim      (default) a simulated Kubernetes API in a process of its own
#   --cluster real     a real single-node Kubernetes (root; built on first use, which takes many minutes)
#   --kubeconfig FILE  your own cluster: actions run in namespace capstan-actions, on Deployment default/web
#   --stay             leave everything running until Ctrl-C instead of ending after the demonstration
set -euo pipefail
cd "$(dirname "$0")/../.."

story=actions cluster=sim kubeconfig='' stay=0
while [ $# -gt 0 ]; do
  case $1 in
    task) story=task ;;
    --cluster) cluster=${2:?sim or real}; shift ;;
    --kubeconfig) kubeconfig=${2:?file} cluster=own; shift ;;
    --stay) stay=1 ;;
    *) echo "demo: unknown option '$1'" >&2; exit 2 ;;
  esac
  shift
done

bin=$PWD/build/release/bin
sim=$PWD/build/release/bin/capstan-kubesim
dir=$(mktemp -d /tmp/capstan-demo.XXXXXX)
chmod 755 "$dir"
pids=()
cluster_up=0

clean_up() {
  trap - EXIT INT TERM
  local pid
  for pid in "${pids[@]}"; do kill "$pid" 2> /dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2> /dev/null || true; done
  [ $cluster_up = 0 ] || tests/e2e/cluster/cluster.sh down > /dev/null 2>&1 || true
  deploy/demo/postgres.sh stop "$dir/postgres" > /dev/null 2>&1 || true
  rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
show() { printf '\033[2m$ %s\033[0m\n' "$*"; }
start() { # start NAME command...: in the background, its log in a file, ended by clean_up
  local name=$1; shift
  "$@" > "$dir/$name.log" 2>&1 &
  pids+=($!)
}
await() { # await FILE NAME: until the program called NAME has written FILE
  local i
  for i in $(seq 300); do
    [ ! -s "$1" ] || return 0
    sleep 0.1
    kill -0 "${pids[-1]}" 2> /dev/null || break
  done
  echo "demo: $2 did not start; its log:" >&2
  tail -20 "$dir/$2.log" >&2
  exit 1
}

say "Postgres in $dir/postgres"
dsn=$(deploy/demo/postgres.sh start "$dir/postgres")
"$bin/capstan-server" migrate --store.dsn="$dsn" 2> "$dir/migrate.log" || { cat "$dir/migrate.log" >&2; exit 1; }

case $cluster in
  sim)
    say "a simulated Kubernetes with Deployment default/web, 1 replica"
    start kubesim "$sim" --port 0 --kubeconfig-out "$dir/kubeconfig" --audit-log "$dir/audit.jsonl" \
      --namespace capstan-actions --deployment default/web=1 --deployment kube-system/coredns=2
    await "$dir/kubeconfig" kubesim
    kubeconfig=$dir/kubeconfig
    api=$(grep -o 'http://[0-9.:]*' "$kubeconfig")
    replicas() { curl -fsS "$api/apis/apps/v1/namespaces/default/deployments/web" | grep -o '"readyReplicas": *[0-9]*' | grep -o '[0-9]*$'; }
    ;;
  real)
    say "a real Kubernetes (the first build takes many minutes)"
    export CAPSTAN_CLUSTER_NAME=demo-$$
    tests/e2e/cluster/cluster.sh deps
    tests/e2e/cluster/cluster.sh build
    cluster_up=1
    tests/e2e/cluster/cluster.sh up
    eval "$(tests/e2e/cluster/cluster.sh env)"
    kubeconfig=$KUBECONFIG kubectl=$CAPSTAN_E2E_KUBECTL
    "$bin/capstan" manifests | "$kubectl" apply -f - > /dev/null
    "$kubectl" apply -f tests/e2e/web.yaml > /dev/null
    "$kubectl" rollout status deployment/web --timeout=120s > /dev/null
    ;;
esac
kubectl=${kubectl:-kubectl}
[ $cluster = sim ] || replicas() { "$kubectl" --kubeconfig "$kubeconfig" get deployment web -o jsonpath='{.status.readyReplicas}'; }

say "one server, two workers"
start server "$bin/capstan-server" --store.dsn="$dsn" --listen.address=127.0.0.1:0 --http.address=127.0.0.1:0 \
  --listen.development_identity=true --port-file "$dir/ports"
await "$dir/ports" server
read -r grpc_port http_port < "$dir/ports"
task_flags=()
if [ "$story" = task ]; then
  mkdir "$dir/workspaces" "$dir/repository"
  task_flags=(--tasks.workspace_dir="$dir/workspaces" --tasks.repositories="$dir/repository"
    --tasks.engine=scripted --tasks.script_file=deploy/demo/task/script.yaml)
fi
for n in 1 2; do
  start "worker-$n" "$bin/capstan-worker" --store.dsn="$dsn" --kubernetes.kubeconfig="$kubeconfig" \
    --http.address=127.0.0.1:0 "${task_flags[@]}"
done
export CAPSTAN_ADDRESS=127.0.0.1:$grpc_port
echo "gRPC on $CAPSTAN_ADDRESS, metrics on http://127.0.0.1:$http_port/metrics, logs in $dir"

# shellcheck source=/dev/null
. "deploy/demo/$story.sh"

if [ "$story" = actions ]; then
say "Try it with grpcurl"
cat << TEXT
grpcurl -plaintext -d '{"action": "ScaleDeployment", "request_id": "$(cat /proc/sys/kernel/random/uuid)",
  "parameters": {"namespace": "default", "deployment": "web", "replicas": 2}}' \\
  $CAPSTAN_ADDRESS capstan.v1.ExecutionService/ExecuteAction
TEXT
fi
if [ $stay = 1 ]; then
  say "everything keeps running; Ctrl-C ends it"
  sleep infinity &  # waited for, so that a signal is answered at once
  pids+=($!)
  wait $!
fi
[ $cluster = own ] || echo "(./dev run leaves the system up to try that; this demonstration now cleans up)"
