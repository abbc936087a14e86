#include "tests/e2e/cluster_under_test.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/status_macros.h"

namespace capstan::testing {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// Calls `on_event` with each finished request in the audit log whose line holds `text`.
void ForEachAudited(const std::string& text, const std::function<void(const Json&)>& on_event) {
  std::ifstream log(Environment("CAPSTAN_E2E_AUDIT_LOG"));
  for (std::string line; std::getline(log, line);) {
    if (!absl::StrContains(line, text)) continue;
    const Json event = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (event.is_discarded() || event.value("stage", "") != "ResponseComplete") continue;
    if (absl::StrContains(event.value("requestURI", ""), "dryRun=")) continue;
    on_event(event);
  }
}

// A Job that the installation's admission policy has to refuse.
std::string StrangeJob(const std::string& name_space) {
  return Filled(R"(
apiVersion: batch/v1
kind: Job
metadata: {name: strange, namespace: ${namespace}}
spec:
  suspend: true
  template:
    spec:
      restartPolicy: Never
      serviceAccountName: kubernetes-executor-scale-deployment
      containers: [{name: strange, image: "capstan.test/web:1"}]
)",
                {{"namespace", name_space}});
}

// A file that is removed at the end.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& text) {
    char name[] = "/tmp/capstan-e2e.XXXXXX";
    const int file = mkstemp(name);
    CAPSTAN_CHECK(file >= 0);
    close(file);
    path_ = name;
    std::ofstream(path_) << text;
  }
  ~TemporaryFile() {
    std::error_code ignored;
    fs::remove(path_, ignored);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) {
    std::fprintf(stderr, "%s is not set: run ./dev test, or ./dev cluster up and eval its env\n",
                 name);
    std::abort();
  }
  return value;
}

std::string Shell(const std::string& command, bool must) {
  FILE* pipe = popen(absl::StrCat("{ ", command, "\n} 2>&1").c_str(), "r");
  CAPSTAN_CHECK(pipe != nullptr);
  std::string output;
  char buffer[4096];
  while (const std::size_t n = std::fread(buffer, 1, sizeof buffer, pipe)) output.append(buffer, n);
  const int status = pclose(pipe);
  if (must && status != 0) {
    std::fprintf(stderr, "%s\n%s\n", command.c_str(), output.c_str());
    std::abort();
  }
  return output;
}

std::string Kubectl(const std::string& arguments, bool must) {
  return Shell(absl::StrCat(Environment("CAPSTAN_E2E_KUBECTL"), " ", arguments), must);
}

std::string Cluster(const std::string& arguments) {
  Environment("CAPSTAN_CLUSTER_NAME");  // which is meant
  return Shell(absl::StrCat("tests/e2e/cluster/cluster.sh ", arguments));
}

void Apply(const std::string& yaml) {
  const TemporaryFile file(yaml);
  Kubectl(absl::StrCat("apply -f ", file.path()));
}

std::string Bin(const std::string& program) {
  return (fs::read_symlink("/proc/self/exe").parent_path().parent_path() / "bin" / program)
      .string();
}

std::string Filled(std::string text, const std::map<std::string, std::string>& values) {
  for (const auto& [name, value] : values) {
    text = absl::StrReplaceAll(text, {{absl::StrCat("${", name, "}"), value}});
  }
  return text;
}

int CountAudit(const std::string& verb, const std::string& resource, const std::string& name) {
  int count = 0;
  ForEachAudited(name, [&](const Json& event) {
    const Json object = event.value("objectRef", Json::object());
    if (event.value("verb", "") == verb && object.value("resource", "") == resource &&
        object.value("name", "") == name && event["responseStatus"].value("code", 0) < 300) {
      ++count;
    }
  });
  return count;
}

int PodsCreatedFor(const std::string& job) {
  std::set<std::string> names;
  ForEachAudited(job, [&](const Json& event) {
    const Json object = event.value("objectRef", Json::object());
    if (event.value("verb", "") != "create" || object.value("resource", "") != "pods" ||
        !object.value("subresource", "").empty()) {
      return;
    }
    const Json metadata =
        event.value("responseObject", Json::object()).value("metadata", Json::object());
    if (metadata.value("name", "").starts_with(job)) names.insert(metadata.value("name", ""));
  });
  return static_cast<int>(names.size());
}

void WaitForLog(const std::string& job, const std::string& text) {
  const std::string& kubectl = Environment("CAPSTAN_E2E_KUBECTL");
  Shell(absl::StrCat("timeout 60 bash -c 'until ", kubectl, " -n capstan-actions logs job/", job,
                     " --all-containers 2> /dev/null | grep -q \"", text,
                     "\"; do sleep 0.2; done'"));
}

std::string TokenOf(const std::string& account, const std::string& name_space) {
  std::string token =
      Kubectl(absl::StrCat("create token ", account, " --duration=4h -n ", name_space));
  token.erase(token.find_last_not_of('\n') + 1);
  return token;
}

void Install(const Installation& installation) {
  Shell(absl::StrCat(Bin("capstan"),
                     " manifests --actions-namespace=", installation.actions_namespace,
                     " --system-namespace=", installation.system_namespace, " ", installation.flags,
                     " | ", Environment("CAPSTAN_E2E_KUBECTL"), " apply -f -"));
  const TemporaryFile strange(StrangeJob(installation.actions_namespace));
  // The apiserver takes a moment to compile a policy.
  Shell(absl::StrCat("for i in $(seq 100); do ", Environment("CAPSTAN_E2E_KUBECTL"),
                     " create --dry-run=server -f ", strange.path(),
                     " 2>&1 | grep -q ValidatingAdmissionPolicy && exit; sleep 0.1; done; exit 1"));
}

std::unique_ptr<System> MakeSystem(const Installation& installation,
                                   const ClusterSystemOptions& options) {
  Json kubeconfig = Json::parse(Kubectl("config view --raw --minify -o json"));
  const std::string token = TokenOf("capstan-worker", installation.system_namespace);
  for (Json& user : kubeconfig["users"]) user["user"] = {{"token", token}};
  const TemporaryFile file(kubeconfig.dump());
  SystemOptions system;
  system.lease_ttl = options.lease_ttl;
  system.worker_program = options.worker_program;
  system.named_callers = options.named_callers;
  system.kubeconfig = file.path();
  return System::Make(system);
}

}  // namespace capstan::testing
