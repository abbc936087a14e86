#!/bin/bash
# Packs one program of this tree, with the shared libraries it needs and nothing else,
# into an image as pack.sh makes them.
#
#   program.sh OUT.tar PROGRAM "NAME..."
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$1 program=$2 names=$3
[ -x "$program" ] || { echo "program.sh: no program $program: build it first" >&2; exit 1; }
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/bin" "$root/tmp"
chmod 755 "$root"
chmod 1777 "$root/tmp"
install -m 755 -s "$program" "$root/bin/"
# "libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)" and "/lib64/ld-linux-x86-64.so.2 (0x…)"
libraries=$(ldd "$program")
if grep -q 'not found' <<< "$libraries"; then
  echo "program.sh: $program lacks a library here:" >&2
  grep 'not found' <<< "$libraries" >&2
  exit 1
fi
grep -oE '/[^ ]+\.so[^ ]*' <<< "$libraries" | while read -r library; do
  install -D -m 755 "$library" "$root$library"
done
"$here/pack.sh" "$out" "$root" "$names" "/bin/$(basename "$program")"
