#include "worker/kubernetes/credentials.h"

#include <sys/stat.h>

#include <cstdlib>
#include <exception>
#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "worker/kubernetes/file.h"
#include "yaml-cpp/yaml.h"

namespace capstan::kubernetes {
namespace {

constexpr size_t kMaxKubeconfigBytes = 1024 * 1024;

bool Exists(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0;
}

// A named entry and the folder that its relative paths start from.
struct Entry {
  YAML::Node node;
  std::string folder;
};

struct Merged {
  std::map<std::string, Entry> clusters;
  std::map<std::string, Entry> users;
  std::map<std::string, Entry> contexts;
  std::string current_context;
};

std::string Text(const YAML::Node& node, const char* key) {
  const YAML::Node value = node[key];
  return value && value.IsScalar() ? value.as<std::string>() : "";
}

std::string PathText(const Entry& entry, const char* key) {
  const std::string path = Text(entry.node, key);
  if (path.empty() || path.front() == '/' || entry.folder.empty()) return path;
  return Cat(entry.folder, "/", path);
}

void AddEntries(const YAML::Node& file, const char* list, const char* item,
                const std::string& folder, std::map<std::string, Entry>* entries) {
  const YAML::Node nodes = file[list];
  if (!nodes || !nodes.IsSequence()) return;
  for (const YAML::Node& node : nodes) {
    if (!node.IsMap() || !node[item] || !node[item].IsMap()) continue;
    entries->emplace(Text(node, "name"), Entry{node[item], folder});  // the first one stays
  }
}

absl::Status MergeFile(const std::string& path, Merged* merged) {
  CAPSTAN_ASSIGN_OR_RETURN(const std::string text, ReadSmallFile(path, kMaxKubeconfigBytes));
  try {
    const YAML::Node file = YAML::Load(text);
    if (file.IsNull()) return absl::OkStatus();
    if (!file.IsMap()) return absl::InvalidArgumentError(Cat(path, ": not a kubeconfig"));
    const size_t slash = path.rfind('/');
    const std::string folder = slash == std::string::npos ? "" : path.substr(0, slash);
    AddEntries(file, "clusters", "cluster", folder, &merged->clusters);
    AddEntries(file, "users", "user", folder, &merged->users);
    AddEntries(file, "contexts", "context", folder, &merged->contexts);
    if (merged->current_context.empty()) merged->current_context = Text(file, "current-context");
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(Cat(path, ": ", error.what()));
  }
  return absl::OkStatus();
}

absl::Status Data(const Entry& entry, const char* key, std::string_view what, std::string* data) {
  const std::string text = Text(entry.node, key);
  if (!text.empty() && !absl::Base64Unescape(text, data)) {
    return absl::InvalidArgumentError(Cat(what, ": ", key, " is no base64"));
  }
  return absl::OkStatus();
}

absl::StatusOr<const Entry*> Find(const std::map<std::string, Entry>& entries,
                                  std::string_view kind, const std::string& name) {
  auto found = entries.find(name);
  if (found == entries.end()) {
    return absl::NotFoundError(Cat("kubeconfig: no ", kind, " named \"", name, "\""));
  }
  return &found->second;
}

absl::Status ReadCluster(const Entry& entry, const std::string& name, ClusterConfig* config) {
  const std::string what = Cat("kubeconfig: cluster \"", name, "\"");
  config->server = Text(entry.node, "server");
  if (!absl::StartsWith(config->server, "https://") &&
      !absl::StartsWith(config->server, "http://")) {
    return absl::InvalidArgumentError(
        Cat(what, ": server: got \"", config->server, "\", want an http(s) address"));
  }
  if (Text(entry.node, "insecure-skip-tls-verify") == "true" &&
      absl::StartsWith(config->server, "https://")) {
    return absl::InvalidArgumentError(
        Cat(what, ": insecure-skip-tls-verify is refused: give certificate-authority-data"));
  }
  if (!Text(entry.node, "proxy-url").empty()) {
    return absl::InvalidArgumentError(Cat(what, ": proxy-url is not supported"));
  }
  config->tls_server_name = Text(entry.node, "tls-server-name");
  CAPSTAN_RETURN_IF_ERROR(Data(entry, "certificate-authority-data", what, &config->ca_data));
  if (config->ca_data.empty()) config->ca_file = PathText(entry, "certificate-authority");
  return absl::OkStatus();
}

absl::Status ReadUser(const Entry& entry, const std::string& name, ClusterConfig* config) {
  const std::string what = Cat("kubeconfig: user \"", name, "\"");
  for (const char* key : {"exec", "auth-provider", "username", "as", "act-as", "act-as-groups"}) {
    if (entry.node[key]) {
      return absl::InvalidArgumentError(
          Cat(what, ": ", key, " is not supported: use a token or a client certificate"));
    }
  }
  CAPSTAN_RETURN_IF_ERROR(
      Data(entry, "client-certificate-data", what, &config->client_certificate_data));
  if (config->client_certificate_data.empty()) {
    config->client_certificate_file = PathText(entry, "client-certificate");
  }
  CAPSTAN_RETURN_IF_ERROR(Data(entry, "client-key-data", what, &config->client_key_data));
  if (config->client_key_data.empty()) config->client_key_file = PathText(entry, "client-key");
  config->token_file = PathText(entry, "tokenFile");
  if (config->token_file.empty()) config->token = Text(entry.node, "token");
  return absl::OkStatus();
}

absl::StatusOr<ClusterConfig> Resolve(const Merged& merged, const std::string& context_name) {
  if (context_name.empty()) {
    return absl::NotFoundError("kubeconfig: no current-context is set: name a context");
  }
  CAPSTAN_ASSIGN_OR_RETURN(const Entry* context, Find(merged.contexts, "context", context_name));
  const std::string cluster_name = Text(context->node, "cluster");
  const std::string user_name = Text(context->node, "user");
  CAPSTAN_ASSIGN_OR_RETURN(const Entry* cluster, Find(merged.clusters, "cluster", cluster_name));
  ClusterConfig config;
  CAPSTAN_RETURN_IF_ERROR(ReadCluster(*cluster, cluster_name, &config));
  if (!user_name.empty()) {
    CAPSTAN_ASSIGN_OR_RETURN(const Entry* user, Find(merged.users, "user", user_name));
    CAPSTAN_RETURN_IF_ERROR(ReadUser(*user, user_name, &config));
  }
  if (std::string name_space = Text(context->node, "namespace"); !name_space.empty()) {
    config.default_namespace = std::move(name_space);
  }
  return config;
}

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

}  // namespace

absl::StatusOr<ClusterConfig> InClusterConfig(std::string_view host, std::string_view port,
                                              const std::string& directory) {
  if (host.empty() || port.empty()) {
    return absl::FailedPreconditionError(
        "not in a pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set");
  }
  ClusterConfig config;
  config.token_file = Cat(directory, "/token");
  if (!Exists(config.token_file)) {
    return absl::FailedPreconditionError(
        Cat("the pod has no service account token: ", config.token_file));
  }
  config.server = host.find(':') != std::string_view::npos ? Cat("https://[", host, "]:", port)
                                                           : Cat("https://", host, ":", port);
  if (const std::string ca = Cat(directory, "/ca.crt"); Exists(ca)) config.ca_file = ca;
  absl::StatusOr<std::string> name_space = ReadSmallFile(Cat(directory, "/namespace"), 256);
  if (name_space.ok() && !absl::StripAsciiWhitespace(*name_space).empty()) {
    config.default_namespace = std::string(absl::StripAsciiWhitespace(*name_space));
  }
  return config;
}

std::vector<std::string> KubeconfigPaths(std::string_view kubeconfig_variable,
                                         std::string_view home) {
  std::vector<std::string> paths =
      absl::StrSplit(AbslView(kubeconfig_variable), ':', absl::SkipEmpty());
  if (paths.empty() && !home.empty()) paths.push_back(Cat(home, "/.kube/config"));
  return paths;
}

absl::StatusOr<ClusterConfig> LoadKubeconfig(const std::vector<std::string>& paths,
                                             const std::string& context) {
  Merged merged;
  bool any = false;
  for (const std::string& path : paths) {
    if (!Exists(path)) continue;
    any = true;
    CAPSTAN_RETURN_IF_ERROR(MergeFile(path, &merged));
  }
  if (!any) {
    return absl::NotFoundError(
        Cat("no kubeconfig: looked for ", paths.empty() ? "none" : paths.front()));
  }
  try {
    return Resolve(merged, context.empty() ? merged.current_context : context);
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(Cat("kubeconfig: ", error.what()));
  }
}

absl::StatusOr<ClusterConfig> FindClusterConfig(const std::string& kubeconfig,
                                                const std::string& context) {
  if (!kubeconfig.empty()) return LoadKubeconfig({kubeconfig}, context);
  absl::StatusOr<ClusterConfig> in_cluster = InClusterConfig(Environment("KUBERNETES_SERVICE_HOST"),
                                                             Environment("KUBERNETES_SERVICE_PORT"),
                                                             std::string(kServiceAccountDirectory));
  if (in_cluster.ok()) return in_cluster;
  return LoadKubeconfig(KubeconfigPaths(Environment("KUBECONFIG"), Environment("HOME")), context);
}

}  // namespace capstan::kubernetes
