#!/bin/bash
# Packs a folder into a one-layer OCI image archive, as `ctr images import` reads
# it: no engine, no registry, no root. The same folder gives the same bytes.
#
#   pack.sh OUT.tar ROOTFS "NAME..." [ENTRYPOINT]
#
# The image runs as the non-root user 65532. Give it tags other than "latest":
# that one is always pulled, and there is nothing to pull from.
set -euo pipefail
out=$(realpath -m "$1") rootfs=$2 names=$3 entrypoint=${4:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
blobs=$work/image/blobs/sha256
mkdir -p "$blobs"
case $(uname -m) in x86_64) platform=amd64 ;; aarch64) platform=arm64 ;; *) platform=$(uname -m) ;; esac

# Moves file $1 among the blobs; prints the descriptor fields of it, media type $2.
blob() {
  local sum
  sum=$(sha256sum < "$1" | cut -d' ' -f1)
  mv "$1" "$blobs/$sum"
  printf '"mediaType": "application/vnd.oci.image.%s", "digest": "sha256:%s", "size": %s' \
    "$2" "$sum" "$(stat -c %s "$blobs/$sum")"
}
plain_tar() { tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$2" -cf "$1" .; }

plain_tar "$work/layer" "$rootfs"
layer=$(blob "$work/layer" layer.v1.tar)
diff_id=sha256:${layer##*sha256:}
diff_id=${diff_id%%\"*}
start=
[ -z "$entrypoint" ] || start=", \"Entrypoint\": [\"$entrypoint\"]"
cat > "$work/config" << JSON
{"architecture": "$platform", "os": "linux",
 "config": {"User": "65532:65532", "WorkingDir": "/", "Env": ["PATH=/bin"]$start},
 "rootfs": {"type": "layers", "diff_ids": ["$diff_id"]}}
JSON
config=$(blob "$work/config" config.v1+json)
cat > "$work/manifest" << JSON
{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
 "config": {$config}, "layers": [{$layer}]}
JSON
manifest=$(blob "$work/manifest" manifest.v1+json)

entries=()
for name in $names; do
  entries+=("{$manifest, \"platform\": {\"architecture\": \"$platform\", \"os\": \"linux\"},
    \"annotations\": {\"io.containerd.image.name\": \"$name\", \"org.opencontainers.image.ref.name\": \"${name##*:}\"}}")
done
printf '{"schemaVersion": 2, "manifests": [%s]}\n' "$(IFS=,; echo "${entries[*]}")" > "$work/image/index.json"
echo '{"imageLayoutVersion": "1.0.0"}' > "$work/image/oci-layout"
plain_tar "$out" "$work/image"
