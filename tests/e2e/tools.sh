#!/bin/bash
# Programs for tests that ./dev setup does not install. The first call makes the program in
# the cache (otelcol and prometheus: a minute at most, the others: minutes); every call prints
# where it is. Exit 1, with the reason, where it cannot be made.
#
#   tools.sh grpcurl     talks to the servers as a stranger would
#   tools.sh opa         checks the policies with another engine
#   tools.sh otelcol     the OpenTelemetry Collector of otelcol/: OTLP in, JSON lines out
#   tools.sh kwok        plays the kubelets of nodes that are not there, for cluster.sh kwok
#   tools.sh prometheus  Debian's, out of its package: nothing is installed, no service starts
#
# Environment:
#   CAPSTAN_CACHE_DIR    default ~/.cache/capstan
set -euo pipefail
cd "$(dirname "$0")"

readonly CACHE=${CAPSTAN_CACHE_DIR:-${HOME:-/root}/.cache/capstan}/gotools

fail() { echo "tools.sh: $*" >&2; exit 1; }

with_go() { # with_go go-arguments...
  command -v go > /dev/null || PATH=$PATH:/usr/local/go/bin
  command -v go > /dev/null || fail "$tool needs Go 1.21 or newer to be built"
  env CGO_ENABLED=0 GOFLAGS= GOWORK=off GOTOOLCHAIN=auto GOBIN="$folder/new" go "$@" >&2 9>&-
}

from_package() { # the file usr/bin/$1 of Debian's package $1
  local archive
  command -v apt-get > /dev/null || fail "$1 comes from Debian's package, and there is no apt-get"
  # _apt, to whom root hands the download, may not write here; the warning about that is no news.
  (cd "$folder/new" && apt-get download -q -o APT::Sandbox::User=root "$1" >&2) ||
    fail "the package $1 cannot be downloaded; after 'apt-get update' it may be"
  archive=$(echo "$folder/new/$1"_*.deb)
  dpkg-deb --fsys-tarfile "$archive" | tar -xO "./usr/bin/$1" > "$folder/new/$1"
  chmod +x "$folder/new/$1"
  rm "$archive"
}

strip=(-trimpath -buildvcs=false -ldflags '-s -w')
case ${1:-} in
  grpcurl)
    version=v1.9.4
    make_it() { with_go install "${strip[@]}" "github.com/fullstorydev/grpcurl/cmd/grpcurl@$version"; }
    ;;
  opa)
    version=v1.22.0
    make_it() { with_go install "${strip[@]}" "github.com/open-policy-agent/opa@$version"; }
    ;;
  otelcol)
    version=$(cat otelcol/go.mod otelcol/go.sum otelcol/main.go | sha256sum | cut -c1-16)
    make_it() { with_go build -C otelcol "${strip[@]}" -o "$folder/new/otelcol" .; }
    ;;
  kwok)
    version=v0.8.0
    # Beside it, stages.yaml: what it makes of nodes and pods, as its module has it.
    make_it() {
      local module file
      with_go install "${strip[@]}" "sigs.k8s.io/kwok/cmd/kwok@$version"
      module=$(go env GOMODCACHE)/sigs.k8s.io/kwok@$version/kustomize/stage
      for file in node/fast/node-initialize node/heartbeat-with-lease/node-heartbeat-with-lease \
        pod/fast/pod-ready pod/fast/pod-complete pod/fast/pod-delete; do
        cat "$module/$file.yaml"
        echo ---
      done > "$folder/stages.yaml"
    }
    ;;
  prometheus)
    version=debian
    make_it() { from_package prometheus; }
    ;;
  *)
    sed -n '2,/^[^#]/{/^#/!d;s/^# \{0,1\}//;p}' "${0##*/}" >&2
    exit 2
    ;;
esac
tool=$1
folder=$CACHE/$tool-$version
if [ ! -x "$folder/$tool" ]; then
  mkdir -p "$folder"
  exec 9> "$folder/lock"
  flock 9
  if [ ! -x "$folder/$tool" ]; then # nobody else made it meanwhile
    echo "tools.sh: making $tool (once)" >&2
    began=$SECONDS
    rm -rf "$folder/new"
    mkdir "$folder/new"
    make_it
    mv "$folder/new/$tool" "$folder/$tool"
    rm -rf "$folder/new"
    echo "tools.sh: $tool done in $((SECONDS - began)) s" >&2
  fi
fi
echo "$folder/$tool"
