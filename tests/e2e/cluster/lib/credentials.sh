# shellcheck shell=bash disable=SC2153 # names come from common.sh
# Keys, certificates and kubeconfigs of one cluster, made anew at each `up`.

readonly CERTIFICATE_DAYS=30

make_credentials() {
  local dir=$STATE/pki api_names
  api_names=DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc
  api_names+=,DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:$NODE_IP,IP:$SERVICE_API
  mkdir -p "$dir"
  openssl ecparam -name prime256v1 -genkey -noout -out "$dir/ca.key"
  openssl req -x509 -new -key "$dir/ca.key" -subj /CN=capstan-e2e-ca -days "$CERTIFICATE_DAYS" -out "$dir/ca.crt"
  openssl genrsa -out "$dir/accounts.key" 2048 2> /dev/null
  openssl rsa -in "$dir/accounts.key" -pubout -out "$dir/accounts.pub" 2> /dev/null
  certificate apiserver /CN=kube-apiserver serverAuth "$api_names"
  certificate kubelet-serving "/O=system:nodes/CN=system:node:$NODE_NAME" serverAuth \
    "DNS:$NODE_NAME,IP:$NODE_IP,IP:127.0.0.1"
  certificate apiserver-to-kubelet /O=system:masters/CN=apiserver-to-kubelet clientAuth
  certificate admin /O=system:masters/CN=admin clientAuth
  certificate kube-controller-manager /CN=system:kube-controller-manager clientAuth
  certificate kube-scheduler /CN=system:kube-scheduler clientAuth
  certificate kube-proxy /CN=system:kube-proxy clientAuth
  certificate kubelet "/O=system:nodes/CN=system:node:$NODE_NAME" clientAuth
  local user
  for user in admin kube-controller-manager kube-scheduler kube-proxy kubelet; do kubeconfig "$user"; done
}

# certificate NAME SUBJECT USAGE [ALTERNATIVE-NAMES]
certificate() {
  local file=$STATE/pki/$1
  openssl ecparam -name prime256v1 -genkey -noout -out "$file.key"
  { echo "extendedKeyUsage=$3"; [ -z "${4:-}" ] || echo "subjectAltName=$4"; } > "$file.ext"
  openssl req -new -key "$file.key" -subj "$2" |
    openssl x509 -req -CA "$STATE/pki/ca.crt" -CAkey "$STATE/pki/ca.key" -CAcreateserial \
      -days "$CERTIFICATE_DAYS" -extfile "$file.ext" -out "$file.crt" 2> /dev/null
}

# Writes the kubeconfig of user $1; it is right inside the node and outside.
kubeconfig() {
  local pki=$STATE/pki
  (
    umask 077
    cat > "$STATE/$1.kubeconfig" << YAML
apiVersion: v1
kind: Config
clusters:
- name: e2e
  cluster: {server: "$(api_url)", certificate-authority-data: $(base64 -w0 < "$pki/ca.crt")}
users:
- name: $1
  user:
    client-certificate-data: $(base64 -w0 < "$pki/$1.crt")
    client-key-data: $(base64 -w0 < "$pki/$1.key")
contexts: [{name: e2e, context: {cluster: e2e, user: $1}}]
current-context: e2e
YAML
  )
}
