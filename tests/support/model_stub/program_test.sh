#!/usr/bin/env bash
# capstan-model-stub as others use it: program_test.sh PROGRAM
set -euo pipefail
script=$(mktemp)
trap 'rm -f "$script"' EXIT

fail() { echo "failed: $*" >&2; exit 1; }

echo '{"replies": [{"text": "scripted words", "usage": {"input": 3, "output": 4}}]}' > "$script"
coproc STUB { "$1" "$script"; }
pid=$STUB_PID
exec 3<&"${STUB[0]}" 4>&"${STUB[1]}"
read -r url <&3
answer=$(curl -sS "$url/v1/messages" -d '{"model": "any", "stream": true}')
grep -q 'scripted' <<< "$answer" || fail "no text in the stream: $answer"
grep -q 'event: message_stop' <<< "$answer" || fail "the stream has no end: $answer"
code=$(curl -sS -o /dev/null -w '%{http_code}' "$url/v1/messages" -d '{"model": "any"}')
[ "$code" = 400 ] || fail "a call that the script has no reply for got $code"
exec 4>&-
eval "exec ${STUB[1]}>&-"
read -r billed <&3
[ "$billed" = '{"cache_creation":0,"cache_read":0,"calls":2,"input":3,"output":4}' ] || fail "billed $billed"
wait "$pid"

echo '{"replies": [{"colour": "red"}]}' > "$script"
if "$1" "$script" < /dev/null 2> /dev/null; then fail "a script with an unknown key was taken"; fi
