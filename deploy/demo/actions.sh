# The story of actions; part of demo.sh. Scales a Deployment, is denied by policy, dry-runs, rolls back, stops and lifts.

say "1. Scale web from 1 to 3"
echo "replicas before: $(replicas)"
show "capstan action run ScaleDeployment -p namespace=default -p deployment=web -p replicas=3"
"$bin/capstan" action run ScaleDeployment -p namespace=default -p deployment=web -p replicas=3
echo "replicas after: $(replicas)"

say "2. The same in kube-system: denied by policy, nothing is launched"
show "capstan action run ScaleDeployment -p namespace=kube-system -p deployment=coredns -p replicas=0"
denied=0
"$bin/capstan" action run ScaleDeployment -p namespace=kube-system -p deployment=coredns -p replicas=0 || denied=$?
[ $denied = 3 ] || { echo "demo: expected exit code 3 (rejected by policy), got $denied" >&2; exit 1; }
echo "(exit code $denied: rejected by policy)"

say "3. A dry run: the plan, and no trace in the cluster"
show "capstan action run ScaleDeployment --dry-run -p namespace=default -p deployment=web -p replicas=5"
"$bin/capstan" action run ScaleDeployment --dry-run -p namespace=default -p deployment=web -p replicas=5

say "4. Undo the first one: refused if the target had moved since"
first=$("$bin/capstan" execution list --filter 'action = "ScaleDeployment" AND state = SUCCEEDED' -o json |
  grep -o 'executions/[0-9a-f-]\{36\}' | tail -1)
show "capstan execution rollback $first"
"$bin/capstan" execution rollback "$first"
echo "replicas after: $(replicas)"

say "5. An emergency stop: what comes in waits, says why, and goes on when the stop is lifted"
show "capstan stop create --namespace=default --reason='trying it out'"
"$bin/capstan" stop create --namespace=default --reason='trying it out'
waiting=$("$bin/capstan" action run ScaleDeployment --no-wait -p namespace=default -p deployment=web -p replicas=2 |
  grep -o 'executions/[0-9a-f-]\{36\}' | head -1)
"$bin/capstan" execution watch "$waiting" > "$dir/watch.log" 2>&1 &
watcher=$!
pids+=($watcher)
for _ in $(seq 100); do
  ! "$bin/capstan" execution get "$waiting" | grep -q 'BLOCKED(STOPPED)' || break
  sleep 0.1
done
show "capstan execution explain $waiting"
"$bin/capstan" execution explain "$waiting"
stop=$("$bin/capstan" stop list | grep -o 'stops/[0-9]*' | head -1)
show "capstan stop lift $stop --reason='done'"
"$bin/capstan" stop lift "$stop" --reason='done'
wait $watcher
tail -n 3 "$dir/watch.log"
echo "replicas after: $(replicas)"
