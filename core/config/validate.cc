#include "core/config/validate.h"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/http_rules.h"
#include "core/log.h"
#include "core/status_macros.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

namespace capstan::config {
namespace {

using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;

absl::Status Want(const std::string& path, const std::string& got, const std::string& want) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": got \"", got, "\", want ", want));
}

absl::Status WantPositive(const std::string& path) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": want more than 0"));
}

constexpr char kPerParent[] = "limits.per_parent_in_flight";
// The limits that have a "0 = off".
constexpr std::string_view kMayBeZero[] = {kPerParent, "tasks.workspace_mib",
                                           "tasks.workspace_files",
                                           "tasks.messages_api.calls_per_minute"};
constexpr std::uint32_t kMostPerParent = 10'000;

// Every other limit, and every duration, means something only when it is positive.
absl::Status CheckPositive(const Message& message, const std::string& prefix) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *message.GetDescriptor()->field(i);
    const std::string path = absl::StrCat(prefix, field.name());
    if (field.is_repeated()) continue;
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_UINT32) {
      const bool may_be_zero = std::ranges::find(kMayBeZero, path) != std::end(kMayBeZero);
      if (reflection.GetUInt32(message, &field) == 0 && !may_be_zero) return WantPositive(path);
    } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      const Message& inner = reflection.GetMessage(message, &field);
      if (const auto* duration = dynamic_cast<const google::protobuf::Duration*>(&inner)) {
        if (ToDuration(*duration) <= absl::ZeroDuration()) return WantPositive(path);
      } else if (reflection.HasField(message, &field)) {
        CAPSTAN_RETURN_IF_ERROR(CheckPositive(inner, absl::StrCat(path, ".")));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status CheckStore(const v1::StoreConfig& store) {
  if (store.dsn().empty() == store.dsn_file().empty()) {
    return absl::InvalidArgumentError("store: want exactly one of store.dsn and store.dsn_file");
  }
  return absl::OkStatus();
}

absl::Status CheckHttp(const v1::HttpConfig& http) {
  if (absl::Status status = IsLoopback(http.address()).status();
      !status.ok() || http.address().find_first_of("[/") != std::string::npos) {
    return Want("http.address", http.address(), "host:port with an IPv4 address");
  }
  return absl::OkStatus();
}

absl::Status CheckTracing(const v1::TracingConfig& tracing) {
  if (!(tracing.sample_ratio() >= 0 && tracing.sample_ratio() <= 1)) {
    return Want("tracing.sample_ratio", absl::StrCat(tracing.sample_ratio()),
                "a number from 0 to 1");
  }
  if (!tracing.otlp_endpoint().empty() && !absl::StartsWith(tracing.otlp_endpoint(), "http://") &&
      !absl::StartsWith(tracing.otlp_endpoint(), "https://")) {
    return Want("tracing.otlp_endpoint", tracing.otlp_endpoint(),
                "http://host:port or https://host:port");
  }
  return absl::OkStatus();
}

absl::Status CheckLog(const v1::LogConfig& log) {
  Level level;
  if (ParseLogLevel(log.level(), &level)) return absl::OkStatus();
  return Want("log.level", log.level(), "debug, info, warning or error");
}

absl::Status CheckListen(const v1::ListenConfig& listen) {
  absl::StatusOr<bool> loopback = IsLoopback(listen.address());
  if (!loopback.ok()) return Want("listen.address", listen.address(), "host:port or unix:/path");
  const v1::TlsConfig& tls = listen.tls();
  if (tls.cert_file().empty() != tls.key_file().empty()) {
    return absl::InvalidArgumentError("listen.tls: want cert_file and key_file together");
  }
  const bool has_tls = !tls.cert_file().empty();
  if (!has_tls && !tls.client_ca_file().empty()) {
    return absl::InvalidArgumentError(
        "listen.tls.client_ca_file: want listen.tls.cert_file and listen.tls.key_file with it");
  }
  if (listen.development_identity() && !*loopback) {
    return Want("listen.development_identity", "true",
                "false: callers are believed only on a loopback address or a unix socket");
  }
  if (!has_tls && !*loopback) {
    return Want("listen.address", listen.address(),
                "a loopback address or a unix socket, or set listen.tls.cert_file and "
                "listen.tls.key_file: plain text is not served to other machines");
  }
  return absl::OkStatus();
}

absl::Status CheckKubernetes(const v1::KubernetesConfig& kubernetes) {
  if (kubernetes.kubeconfig().empty() != kubernetes.in_cluster()) {
    return absl::InvalidArgumentError(
        "kubernetes: want exactly one of kubernetes.kubeconfig and kubernetes.in_cluster");
  }
  if (kubernetes.in_cluster() && !kubernetes.context().empty()) {
    return Want("kubernetes.context", kubernetes.context(),
                "nothing: contexts belong to kubernetes.kubeconfig");
  }
  if (kubernetes.namespace_().empty()) return Want("kubernetes.namespace", "", "a namespace");
  if (kubernetes.installation().empty()) return Want("kubernetes.installation", "", "a name");
  if (!(kubernetes.qps() > 0)) return WantPositive("kubernetes.qps");
  for (const auto& [alias, image] : kubernetes.runner_images()) {
    const std::string path = absl::StrCat("kubernetes.runner_images.", alias);
    const std::string name = image.substr(image.rfind('/') + 1);  // npos + 1 is the beginning
    const bool pinned = absl::StrContains(name, '@') ||
                        (absl::StrContains(name, ':') && !absl::EndsWith(name, ":latest"));
    if (!pinned) return Want(path, image, "an image with a digest or a version other than latest");
  }
  return absl::OkStatus();
}

absl::Status CheckHttpCalls(const v1::HttpCallsConfig& http) {
  for (const std::string& entry : http.allowed()) {
    if (!ParseAllowedHost(entry).ok()) {
      return Want("tasks.http.allowed", entry, "host, host:port or http://host:port, in full");
    }
  }
  for (const auto& [name, path] : http.secret_files()) {
    const std::string field = absl::StrCat("tasks.http.secret_files.", name);
    if (name.empty()) return Want("tasks.http.secret_files", "", "a name");
    if (!absl::StartsWith(path, "/")) return Want(field, path, "the absolute path of a file");
  }
  if (!http.ca_file().empty() && !absl::StartsWith(http.ca_file(), "/"))
    return Want("tasks.http.ca_file", http.ca_file(), "the absolute path of a file");
  return absl::OkStatus();
}

absl::Status CheckTasks(const v1::TasksConfig& tasks) {
  const auto absolute = [](const std::string& field, const std::string& path) {
    return absl::StartsWith(path, "/") ? absl::OkStatus() : Want(field, path, "an absolute path");
  };
  if (tasks.workspace_dir().empty()) return absl::OkStatus();  // it takes none
  CAPSTAN_RETURN_IF_ERROR(absolute("tasks.workspace_dir", tasks.workspace_dir()));
  for (const std::string& folder : tasks.repositories())
    CAPSTAN_RETURN_IF_ERROR(absolute("tasks.repositories", folder));
  for (const std::string& path : tasks.readable())
    CAPSTAN_RETURN_IF_ERROR(absolute("tasks.readable", path));
  if (!tasks.scripts_dir().empty())
    CAPSTAN_RETURN_IF_ERROR(absolute("tasks.scripts_dir", tasks.scripts_dir()));
  CAPSTAN_RETURN_IF_ERROR(CheckHttpCalls(tasks.http()));
  if (tasks.supervisor().empty()) return Want("tasks.supervisor", "", "a program");
  const std::map<std::string, bool> there = {
      {"", true},
      {"claude_cli", !tasks.claude_cli().program().empty()},
      {"messages_api", !tasks.messages_api().base_url().empty()},
      {"scripted", !tasks.script_file().empty()}};
  const auto engine = there.find(tasks.engine());
  if (engine == there.end())
    return Want("tasks.engine", tasks.engine(), "claude_cli, messages_api, scripted or nothing");
  if (!engine->second) {
    return Want("tasks.engine", tasks.engine(),
                "an engine that is set up: tasks.claude_cli.program, tasks.messages_api.base_url "
                "or tasks.script_file");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Validate(const v1::ServerConfig& config) {
  CAPSTAN_RETURN_IF_ERROR(CheckPositive(config, ""));
  CAPSTAN_RETURN_IF_ERROR(CheckListen(config.listen()));
  CAPSTAN_RETURN_IF_ERROR(CheckHttp(config.http()));
  CAPSTAN_RETURN_IF_ERROR(CheckStore(config.store()));
  CAPSTAN_RETURN_IF_ERROR(CheckTracing(config.tracing()));
  CAPSTAN_RETURN_IF_ERROR(CheckLog(config.log()));
  if (config.catalog_dir().empty()) return Want("catalog_dir", "", "a folder");
  return absl::OkStatus();
}

absl::Status Validate(const v1::WorkerConfig& config) {
  CAPSTAN_RETURN_IF_ERROR(CheckPositive(config, ""));
  CAPSTAN_RETURN_IF_ERROR(CheckHttp(config.http()));
  CAPSTAN_RETURN_IF_ERROR(CheckStore(config.store()));
  CAPSTAN_RETURN_IF_ERROR(CheckKubernetes(config.kubernetes()));
  CAPSTAN_RETURN_IF_ERROR(CheckTracing(config.tracing()));
  CAPSTAN_RETURN_IF_ERROR(CheckLog(config.log()));
  if (config.catalog_dir().empty()) return Want("catalog_dir", "", "a folder");
  if (config.policy().dir().empty()) return Want("policy.dir", "", "a folder");
  if (config.policy().check_program().empty()) {
    return Want("policy.check_program", "", "a program");
  }
  if (config.policy().required_bundles().empty()) {
    return Want("policy.required_bundles", "", "at least one bundle: without any, all is denied");
  }
  if (ToDuration(config.jobs().keep_failed_for()) > absl::Minutes(10)) {
    return Want("jobs.keep_failed_for",
                absl::FormatDuration(ToDuration(config.jobs().keep_failed_for())), "at most 10m");
  }
  if (const std::uint32_t limit = config.limits().per_parent_in_flight(); limit > kMostPerParent) {
    return Want(kPerParent, absl::StrCat(limit), absl::StrCat("at most ", kMostPerParent));
  }
  CAPSTAN_RETURN_IF_ERROR(CheckTasks(config.tasks()));
  const absl::Duration ttl = ToDuration(config.lease().ttl());
  if (ToDuration(config.lease().heartbeat()) * 3 > ttl) {
    return Want("lease.heartbeat", absl::FormatDuration(ToDuration(config.lease().heartbeat())),
                absl::StrCat("at most a third of lease.ttl, ", absl::FormatDuration(ttl / 3)));
  }
  const absl::Duration idle = ToDuration(config.store().idle_in_transaction_timeout());
  if (idle * 3 >= ttl) {
    return Want("store.idle_in_transaction_timeout", absl::FormatDuration(idle),
                absl::StrCat("less than a third of lease.ttl, ", absl::FormatDuration(ttl / 3)));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> IsLoopback(const std::string& address) {
  const absl::Status malformed = absl::InvalidArgumentError(
      absl::StrCat("got \"", address, "\", want host:port or unix:/path"));
  if (absl::StartsWith(address, "unix:")) {
    if (address.size() == 5) return malformed;
    return true;
  }
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) return malformed;
  const std::string host = address.substr(0, colon);
  uint32_t port = 0;
  if (!absl::SimpleAtoi(address.substr(colon + 1), &port) || port > 65535) return malformed;
  if (absl::StartsWith(host, "[") && absl::EndsWith(host, "]")) {
    return host.substr(1, host.size() - 2) == "::1";
  }
  if (host.empty() || absl::StrContains(host, ':')) return malformed;
  if (host == "localhost") return true;
  // Only a literal address: a name such as 127.example.com could lead anywhere.
  return absl::StartsWith(host, "127.") &&
         host.find_first_not_of("0123456789.") == std::string::npos;
}

absl::Duration ToDuration(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

absl::StatusOr<std::string> ReadDsn(const v1::StoreConfig& store) {
  if (store.dsn_file().empty()) return store.dsn();
  std::ifstream file(store.dsn_file());
  if (!file) {
    return absl::NotFoundError(absl::StrCat("store.dsn_file: cannot read ", store.dsn_file()));
  }
  std::string text(std::istreambuf_iterator<char>(file), {});
  absl::StripAsciiWhitespace(&text);
  if (text.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("store.dsn_file: ", store.dsn_file(), " is empty"));
  }
  return text;
}

}  // namespace capstan::config
