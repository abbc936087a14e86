#!/bin/bash
# Command-line tools for tests that Debian does not have. The first call compiles the
# tool into the cache (minutes); every call prints where it is.
#
#   tools.sh grpcurl     talks to the servers as a stranger would
#   tools.sh opa         checks the policies with another engine
#
# Environment:
#   CAPSTAN_CACHE_DIR    default ~/.cache/capstan
set -euo pipefail

readonly CACHE=${CAPSTAN_CACHE_DIR:-${HOME:-/root}/.cache/capstan}/gotools

case ${1:-} in
  grpcurl) package=github.com/fullstorydev/grpcurl/cmd/grpcurl version=v1.9.4 ;;
  opa) package=github.com/open-policy-agent/opa version=v1.22.0 ;;
  *)
    sed -n '2,/^[^#]/{/^#/!d;s/^# \{0,1\}//;p}' "$0" >&2
    exit 2
    ;;
esac
tool=$1
folder=$CACHE/$tool-$version
if [ ! -x "$folder/$tool" ]; then
  command -v go > /dev/null || PATH=$PATH:/usr/local/go/bin
  command -v go > /dev/null || { echo "tools.sh: $tool needs Go 1.21 or newer to be built" >&2; exit 1; }
  mkdir -p "$folder"
  exec 9> "$folder/lock"
  flock 9
  if [ ! -x "$folder/$tool" ]; then # nobody else made it meanwhile
    echo "tools.sh: compiling $tool $version (once, minutes)" >&2
    began=$SECONDS
    env CGO_ENABLED=0 GOFLAGS= GOWORK=off GOTOOLCHAIN=auto GOBIN="$folder/new" \
      go install -trimpath -buildvcs=false -ldflags '-s -w' "$package@$version" >&2 9>&-
    mv "$folder/new/$tool" "$folder/$tool"
    rmdir "$folder/new"
    echo "tools.sh: $tool done in $((SECONDS - began)) s" >&2
  fi
fi
echo "$folder/$tool"
