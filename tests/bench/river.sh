#!/usr/bin/env bash
# Prints where the measuring program of river/ is. The first call compiles it into the cache.
# Exit 1, with the reason, where there is no Go or it cannot be compiled.
set -euo pipefail
cd "$(dirname "$0")/river"
hash=$(cat go.mod go.sum main.go | sha256sum | cut -c1-16)
folder=${CAPSTAN_CACHE_DIR:-$HOME/.cache/capstan}/river/$hash
if [ ! -x "$folder/river" ]; then
  command -v go > /dev/null || PATH=$PATH:/usr/local/go/bin
  command -v go > /dev/null || { echo "river.sh: Go is missing" >&2; exit 1; }
  echo "river.sh: compiling the comparison with River (once, a minute)" >&2
  mkdir -p "$folder"
  new=$folder/river.$$
  trap 'rm -f "$new"' EXIT
  env CGO_ENABLED=0 GOFLAGS= GOWORK=off GOTOOLCHAIN=auto \
    go build -trimpath -buildvcs=false -o "$new" . >&2
  mv "$new" "$folder/river"
fi
echo "$folder/river"
