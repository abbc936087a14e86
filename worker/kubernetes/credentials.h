// Where the API server is and who we are there, from a pod's service account or from kubeconfig
// files. Left out: exec and auth-provider plugins (a kubeconfig that names one is refused by name),
// proxy-url and act-as.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace capstan::kubernetes {

// Plain data; at most one of each file/data pair is set. Files are read again on every new
// connection (certificates) or every minute (token), so rotation needs no restart.
struct ClusterConfig {
  // "https://10.0.0.1:6443" or, for a simulated cluster, "http://127.0.0.1:1234"
  std::string server = {};
  std::string ca_file = {};
  std::string ca_data = {};  // PEM; with neither file nor data the system's trust store is used
  std::string client_certificate_file = {};
  std::string client_certificate_data = {};
  std::string client_key_file = {};
  std::string client_key_data = {};
  std::string token = {};
  std::string token_file = {};  // wins over token
  // The name the server's certificate must carry, if not the one in `server`.
  std::string tls_server_name = {};
  std::string default_namespace = "default";
};

inline constexpr std::string_view kServiceAccountDirectory =
    "/var/run/secrets/kubernetes.io/serviceaccount";

// In a pod: KUBERNETES_SERVICE_HOST and _PORT as given (IPv6 gets its brackets), files from
// `directory`. FAILED_PRECONDITION: host or port empty, or no token file: this is no pod, use a
// kubeconfig.
absl::StatusOr<ClusterConfig> InClusterConfig(std::string_view host, std::string_view port,
                                              const std::string& directory);

// The value of the KUBECONFIG variable, split at ':'; with none, $HOME/.kube/config.
std::vector<std::string> KubeconfigPaths(std::string_view kubeconfig_variable,
                                         std::string_view home);

// Merges `paths` as kubectl does (the first file to define a name wins; missing files are skipped)
// and picks `context`, or the current-context when empty. NOT_FOUND: no file exists, or the
// context, cluster or user it names is not defined. INVALID_ARGUMENT: a file does not parse, asks
// for insecure-skip-tls-verify with https, or needs a plugin: the message names the file or the
// entry.
absl::StatusOr<ClusterConfig> LoadKubeconfig(const std::vector<std::string>& paths,
                                             const std::string& context);

// What a program wants by default: `kubeconfig` when not empty, else the pod's own account, else
// KUBECONFIG and $HOME/.kube/config. Reads the process environment.
absl::StatusOr<ClusterConfig> FindClusterConfig(const std::string& kubeconfig,
                                                const std::string& context);

}  // namespace capstan::kubernetes
