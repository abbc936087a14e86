# shellcheck shell=bash disable=SC2153 # names come from common.sh
# deps and build: packages, binaries and images.
#
# Each part is kept in the cache under a name that carries a hash of everything it
# is made from, so a changed recipe builds anew, an unchanged one is instant, and a
# build cut short goes on where it stopped (the Go build cache keeps what it had).

readonly PACKAGES=(containerd runc containernetworking-plugins busybox-static nftables iptables
  iproute2 procps util-linux openssl curl ca-certificates jq gcc libc6-dev)
readonly GO_BUILD_ENV=(CGO_ENABLED=0 'GOFLAGS=-mod=readonly -trimpath -buildvcs=false' GOWORK=off)
readonly GO_AT_LEAST=1.21 # older ones cannot fetch the toolchain that go.mod asks for

# Where each part (kube, etcd, nsforward, images) is kept.
declare -A ARTIFACT

# Prints everything that decides what part $1 contains.
inputs_of() {
  case $1 in
    images)
      printf '%s\n' "${ARTIFACT[kube]}" "$PAUSE_IMAGE" "$KUBECTL_IMAGE" "$WEB_IMAGE" "$BUSYBOX_IMAGE" "$ECHO_ARGV_IMAGE"
      cat "$HERE"/image/* ;;
    *)
      printf '%s\n' "${GO_BUILD_ENV[@]}" "$(linker_flags "$1")"
      cat "$HERE/src/$1"/* ;;
  esac
}

name_artifacts() {
  local part
  for part in nsforward etcd kube images; do # the images hold a binary of kube
    ARTIFACT[$part]=$CACHE/$part-$(inputs_of "$part" | sha256sum | cut -c1-16)
  done
}

is_built() { [ -e "${ARTIFACT[$1]}/complete" ]; }

deps() {
  local missing=() package
  for package in "${PACKAGES[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  if [ "${#missing[@]}" = 0 ] && has_go; then say "deps: everything is installed"; return; fi
  if [ "$(id -u)" != 0 ]; then
    [ "${#missing[@]}" = 0 ] || say "deps: as root: apt-get install --no-install-recommends ${missing[*]}"
    has_go || say "deps: Go $GO_AT_LEAST or newer is missing; Debian 12 has it as golang-go in bookworm-backports"
    exit 1
  fi
  install_packages "${missing[@]}"
  has_go || install_packages -t bookworm-backports golang-go ||
    die "deps: Go $GO_AT_LEAST or newer is missing: enable bookworm-backports and run deps again, or install it"
}

install_packages() {
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600)
  "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "$@"
}

# True when a usable Go is on PATH or in its usual place.
has_go() {
  command -v go > /dev/null || [ ! -x /usr/local/go/bin/go ] || PATH=$PATH:/usr/local/go/bin
  command -v go > /dev/null || return 1
  local version
  version=$(GOTOOLCHAIN=local go env GOVERSION) || return 1
  printf '%s\n' "$GO_AT_LEAST" "${version#go}" | sort -CV
}

build() {
  local part stage=0
  has_go || die "build: Go $GO_AT_LEAST or newer is missing: run cluster.sh deps"
  for part in gcc busybox; do
    command -v "$part" > /dev/null || die "build: $part is missing: run cluster.sh deps"
  done
  mkdir -p "$CACHE"
  exec 8> "$CACHE/build.lock"
  flock -n 8 || { say "build: another build is running, waiting for it"; flock 8; }
  trap build_interrupted INT TERM HUP
  for part in nsforward etcd kube images; do
    stage=$((stage + 1))
    if is_built "$part"; then
      say "build $stage/4: $part: cached"
      continue
    fi
    UNFINISHED=${ARTIFACT[$part]}
    rm -rf "$UNFINISHED"
    mkdir -p "$UNFINISHED"
    case $part in
      images) make_images "${ARTIFACT[images]}" "$stage/4" ;;
      kube)
        compile kube . "$stage/4"
        compile kube k8s.io/kubernetes/cmd/kubectl "$stage/4" ;;
      *) compile "$part" . "$stage/4" ;;
    esac
    touch "$UNFINISHED/complete"
    UNFINISHED=''
  done
  trap - INT TERM HUP
  exec 8>&-
}

GO_PID='' UNFINISHED=''
build_interrupted() {
  if [ -n "$GO_PID" ]; then kill -- "-$GO_PID" 2> /dev/null || true; fi # go and its compilers
  [ -z "$UNFINISHED" ] || rm -rf "$UNFINISHED"
  say "build: interrupted; run it again to go on from here"
  exit 130
}

# Compiles package $2 of module src/$1 into the cache, showing how far it is.
compile() {
  local part=$1 package=$2 stage=$3 out log work total began=$SECONDS shown=0
  out=${ARTIFACT[$part]}/$part
  [ "$package" = . ] || out=${ARTIFACT[$part]}/$(basename "$package")
  log=${ARTIFACT[$part]}/go.log
  work=${ARTIFACT[$part]}/work
  mkdir -p "$work"
  local go=(env GOTMPDIR="$work" GOTOOLCHAIN=auto "${GO_BUILD_ENV[@]}" go)
  say "build $stage: $(basename "$out"): fetching modules"
  total=$(cd "$HERE/src/$part" && "${go[@]}" list -deps "$package" 2> "$log" | wc -l) ||
    { tail -n 20 "$log" >&2; die "build: go list failed (whole log in $log)"; }
  (
    cd "$HERE/src/$part" || exit
    exec setsid "${go[@]}" build -v -ldflags "$(linker_flags "$part")" -o "$out" "$package"
  ) 8>&- > "$log" 2>&1 &
  GO_PID=$!
  while kill -0 "$GO_PID" 2> /dev/null; do
    sleep 0.5
    if [ $((SECONDS - shown)) -ge "$([ -t 2 ] && echo 1 || echo 15)" ]; then
      shown=$SECONDS
      progress "build $stage: $(basename "$out"):" \
        "$(grep -vc downloading "$log" || true) of at most $total packages, $((SECONDS - began)) s"
    fi
  done
  wait "$GO_PID" || { tail -n 20 "$log" >&2; die "build: go build failed (whole log in $log)"; }
  GO_PID=''
  rm -r "$log" "$work"
  [ ! -t 2 ] || printf '\r\033[K' >&2
  say "build $stage: $(basename "$out"): done in $((SECONDS - began)) s, $(du -h "$out" | cut -f1)"
}

# One line that rewrites itself on a terminal, a plain line elsewhere.
progress() { if [ -t 2 ]; then printf '\r\033[K%s' "$*" >&2; else say "$*"; fi; }

# Prints the linker flags of part $1: small, and the release stamped into Kubernetes.
linker_flags() {
  printf -- '-s -w'
  [ "$1" = kube ] || return 0
  local minor=${KUBERNETES_VERSION#*.} package
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    printf ' -X %s=%s' "$package.gitVersion" "v$KUBERNETES_VERSION" \
      "$package.gitMajor" "${KUBERNETES_VERSION%%.*}" "$package.gitMinor" "${minor%%.*}" \
      "$package.gitTreeState" clean "$package.buildDate" 2026-01-01T00:00:00Z
  done
}

# Packs the images into folder $1.
make_images() {
  local out=$1 work name
  say "build $2: images"
  work=$(mktemp -d)
  mkdir -p "$work"/{pause,kubectl/bin,kubectl/tmp,busybox/bin,busybox/tmp,echo-argv/bin}
  chmod 1777 "$work"/*/tmp
  gcc -O2 -Wall -Wextra -Werror -static -s -o "$work/pause/pause" "$HERE/image/pause.c"
  "$HERE/image/pack.sh" "$out/pause.tar" "$work/pause" "$PAUSE_IMAGE $WEB_IMAGE" /pause
  cp "${ARTIFACT[kube]}/kubectl" "$work/kubectl/bin/"
  "$HERE/image/pack.sh" "$out/kubectl.tar" "$work/kubectl" "$KUBECTL_IMAGE" /bin/kubectl
  cp "$(command -v busybox)" "$work/busybox/bin/busybox"
  busybox --list | grep -vx busybox | while read -r name; do ln -s busybox "$work/busybox/bin/$name"; done
  "$HERE/image/pack.sh" "$out/busybox.tar" "$work/busybox" "$BUSYBOX_IMAGE" ''
  gcc -O2 -Wall -Wextra -Werror -static -s -o "$work/echo-argv/bin/echo-argv" "$HERE/image/echo-argv.c"
  for name in kubectl capstan-action; do ln -s echo-argv "$work/echo-argv/bin/$name"; done
  "$HERE/image/pack.sh" "$out/echo-argv.tar" "$work/echo-argv" "$ECHO_ARGV_IMAGE" /bin/echo-argv
  rm -rf "$work"
}

# Packs program $1 of this tree as capstan-action and imports it into the node.
load_action() {
  local work
  work=$(mktemp -d)
  # shellcheck disable=SC2064 # this folder, now
  trap "rm -rf '$work'" EXIT
  "$HERE/image/program.sh" "$work/action.tar" "$1" "$ACTION_IMAGE"
  load_images "$work/action.tar"
}
