# The story of a task; part of demo.sh. A small change to a git repository by the workflow "medium": the model is a script
# (deploy/demo/task/script.yaml), everything else is real: git, the sandbox, the tests, the gate.

say "1. A small git repository with a test that nothing passes yet"
cat > "$dir/repository/test.sh" << 'TEST'
#!/bin/sh
one=$(sh greet.sh Ada) two=$(sh greet.sh)
[ "$one" = 'Hello, Ada!' ] || { echo "greet.sh Ada said '$one'"; exit 1; }
[ "$two" = 'Hello, world!' ] || { echo "greet.sh without a name said '$two'"; exit 1; }
echo "2 of 2 tests passed"
TEST
git -C "$dir/repository" init --quiet --initial-branch=main
git -C "$dir/repository" add test.sh
git -C "$dir/repository" -c user.name=Demo -c user.email=demo@localhost commit --quiet -m 'A test'
git -C "$dir/repository" log --oneline

say "2. The workflow: what will be done, as data"
show "capstan workflow show medium"
"$bin/capstan" workflow show medium

say "3. Alice asks for it; people pass the specification (profile strict); it may cost at most a dollar"
show "capstan task run medium --title 'Greet by name' --command tests='sh test.sh' --profile strict --max-cost 1"
"$bin/capstan" --caller=alice task run medium --id DEMO-1 --title 'Greet by name' \
  --description 'Write greet.sh, which greets whom it is given.' --repository "$dir/repository" \
  --command tests='sh test.sh' --criterion 'names=It greets whom it is given.' --profile strict --max-cost 1 --plain \
  > "$dir/task.log" 2>&1 &
runner=$!
pids+=($runner)
tail -n +1 -f --pid=$runner "$dir/task.log" &
pids+=($!)
task=''
for _ in $(seq 300); do
  task=$(grep -o 'executions/[0-9a-f-]\{36\}' "$dir/task.log" | head -1) || true
  [ -z "$task" ] || ! "$bin/capstan" execution get "$task" | grep -q 'BLOCKED(APPROVAL)' || break
  kill -0 $runner 2> /dev/null || break
  sleep 0.1
done

say "4. It waits for somebody to pass the specification; no worker holds it. Bob looks, and passes it"
show "capstan approval list"
"$bin/capstan" approval list
show "capstan task approve $task --reason='both rules are there'"
"$bin/capstan" --caller=bob task approve "$task" --reason='both rules are there'
wait $runner || { echo "demo: the task failed" >&2; exit 1; }

say "5. What it did: a test failed and came back with its output, the review sent it back once, the work is on its own branch"
show "capstan execution get $task"
"$bin/capstan" execution get "$task"
branch=capstan/${task#executions/}
git -C "$dir/repository" log --oneline "$branch"
git -C "$dir/repository" show "$branch:greet.sh"

say "6. What was said, as it is stored"
show "capstan task transcript $task --step review"
"$bin/capstan" task transcript "$task" --step review
