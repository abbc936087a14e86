# shellcheck shell=bash disable=SC2153 # names come from common.sh
# The node: namespaces that hold every process of the cluster.
#
# Inside, the cluster's files are under /run/node, wherever they are outside:
# /run/node/state, /run/node/kube, /run/node/etcd.

# What the kubelet would set for the whole machine. It is shown these values instead,
# finds them right, and leaves the machine's alone.
readonly KUBELET_SYSCTLS=(vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10
  kernel/panic_on_oops=1 kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000)

readonly CONTAINERD_SOCKET=/run/containerd/containerd.sock

make_node() {
  local part folder
  mkdir -p "$STATE"/{pids,log,audit,config,node/kubelet,node/containerd}
  # shellcheck disable=SC2016 # $1 is for the inner bash
  # bash as the first process: it reaps whatever is left to it
  setsid env "$MARK" unshare --mount --net --pid --ipc --uts --fork --kill-child --mount-proc \
    --propagation private bash -c 'echo > "$1"; while :; do sleep 3600; done' _ "$STATE/pids/.ready" \
    > "$STATE/log/node.log" 2>&1 < /dev/null 9>&- &
  echo $! > "$STATE/pids/node"
  disown
  wait_for 10 "namespaces" test -e "$STATE/pids/.ready"
  rm "$STATE/pids/.ready"
  pgrep -P "$(part_pid node)" > "$STATE/init"

  in_node bash -euc "$(declare -f set_up_node); set_up_node \"\$@\"" _ \
    "$STATE" "$NODE_NAME" "$NODE_IP" "$SERVICE_CIDR" "${ARTIFACT[kube]}" "${ARTIFACT[etcd]}" \
    "${KUBELET_SYSCTLS[@]}" >> "$STATE/log/node.log" 2>&1
  make_cgroups
}

# Runs inside the new namespaces, first.
set_up_node() {
  local state=$1 name=$2 ip=$3 services=$4 kube=$5 etcd=$6 setting
  shift 6
  mount --make-rshared /
  # The root file system becomes read-only; what the node writes goes elsewhere.
  mount -t tmpfs -o mode=755 tmpfs /run
  mkdir -p /run/node/{state,kube,etcd,etcd-data,sysctl}
  mount --bind "$state" /run/node/state
  mount --bind "$kube" /run/node/kube
  mount --bind "$etcd" /run/node/etcd
  mount -t tmpfs -o mode=700 tmpfs /run/node/etcd-data
  mount -t tmpfs -o mode=755 tmpfs /var/lib
  mount -t tmpfs -o mode=755 tmpfs /var/log
  mount -t tmpfs -o mode=1777 tmpfs /tmp
  mount -t tmpfs -o mode=755 tmpfs /opt
  mkdir -p /var/lib/{kubelet,containerd,cni} /var/log/{pods,containers}
  mount --bind /run/node/state/node/kubelet /var/lib/kubelet
  mount --bind /run/node/state/node/containerd /var/lib/containerd
  mount -o remount,bind,ro /
  for setting; do
    [ -e "/proc/sys/${setting%=*}" ] || continue
    echo "${setting#*=}" > "/run/node/sysctl/${setting##*/}"
    mount --bind "/run/node/sysctl/${setting##*/}" "/proc/sys/${setting%=*}"
  done
  hostname "$name"
  # The node's address, on a pair with both ends in here. The route makes the node
  # look service addresses up; kube-proxy then rewrites them.
  ip link set lo up
  ip link add eth0 type veth peer name eth0-peer
  ip addr add "$ip/32" dev eth0
  ip link set eth0-peer up
  ip link set eth0 up
  ip route add "$services" dev eth0 src "$ip"
  sysctl -qw net.ipv4.ip_forward=1
}

# The folder under which all containers run, in each hierarchy.
make_cgroups() {
  local root controller
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then # version 2 alone
    mkdir -p "/sys/fs/cgroup/$CGROUP"
    for root in /sys/fs/cgroup "/sys/fs/cgroup/$CGROUP"; do
      tr ' ' '\n' < "$root/cgroup.controllers" | while read -r controller; do
        echo "+$controller" > "$root/cgroup.subtree_control" || say "up: no cgroup controller $controller"
      done
    done
    return
  fi
  for root in /sys/fs/cgroup/*/; do
    [ -e "$root/cgroup.procs" ] || continue
    mkdir -p "$root$CGROUP"
    if [ -e "$root$CGROUP/cpuset.cpus" ]; then
      cat "$root/cpuset.cpus" > "$root$CGROUP/cpuset.cpus"
      cat "$root/cpuset.mems" > "$root$CGROUP/cpuset.mems"
    fi
  done
}

cgroup_folders() {
  local folder
  for folder in "/sys/fs/cgroup/$CGROUP" /sys/fs/cgroup/*/"$CGROUP"; do
    [ ! -d "$folder" ] || echo "$folder"
  done
}

remove_cgroups() {
  local folder
  cgroup_folders | while read -r folder; do
    find "$folder" -depth -type d -exec rmdir {} + 2> /dev/null || true
  done
  [ -z "$(cgroup_folders)" ]
}

node_pid() { cat "$STATE/init" 2> /dev/null; }

# With its root as well, so that it works from within a chroot.
readonly ENTER=(--mount --net --pid --ipc --uts --root)

in_node() { nsenter -t "$(node_pid)" "${ENTER[@]}" -- "$@"; }

# Starts a part of the cluster in the node: start PART COMMAND...
start() {
  local part=$1
  shift
  setsid env "$MARK" nsenter -t "$(node_pid)" "${ENTER[@]}" -- "$@" \
    >> "$STATE/log/$part.log" 2>&1 < /dev/null 9>&- &
  echo $! > "$STATE/pids/$part"
  disown
}

# The program of a part: the child of what entered the node.
program_of() { pgrep -P "$(part_pid "$1")" || die "there is no $1"; }

signal_part() { kill "-$2" "$(program_of "$1")"; }

# Kills a part and starts it again by the same command; returns once the apiserver answers.
restart_part() {
  local program entered command=()
  program=$(program_of "$1")
  entered=$(part_pid "$1")
  mapfile -d '' -t command < "/proc/$program/cmdline"
  rm "$STATE/pids/$1" # nobody expects it to live
  kill -KILL "$program"
  wait_for 60 "$1 to end" is_gone "$entered"
  start "$1" "${command[@]}"
  wait_for 90 kube-apiserver curl -sf --max-time 2 --cacert "$STATE/pki/ca.crt" "$(api_url)/readyz"
}
is_gone() { ! is_member "$1"; }

load_images() {
  local archive
  for archive; do
    in_node ctr --address "$CONTAINERD_SOCKET" --namespace k8s.io images import - < "$archive" > /dev/null
  done
}

# Copies the configuration files, with @NAME@ filled in.
write_configuration() {
  local file
  for file in "$HERE"/config/*; do
    sed -e "s|@CGROUP@|/$CGROUP|g" -e "s|@NODE_NAME@|$NODE_NAME|g" -e "s|@POD_CIDR@|$POD_CIDR|g" \
      -e "s|@PAUSE_IMAGE@|$PAUSE_IMAGE|g" -e "s|@CONTAINERD_SOCKET@|$CONTAINERD_SOCKET|g" \
      "$file" > "$STATE/config/$(basename "$file")"
  done
  mkdir -p "$STATE/config/cni"
  mv "$STATE"/config/*.conflist "$STATE/config/cni/"
  : > "$STATE/config/resolv.conf"
}
