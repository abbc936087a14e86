#include "tests/proof/player.h"

#include <signal.h>
#include <sys/wait.h>

#include <fstream>
#include <memory>
#include <utility>

#include "core/status_macros.h"
#include "core/text.h"
#include "tests/scenarios/system.h"

namespace capstan::proof {
namespace {

using Json = nlohmann::json;
using kubernetes::kPods;

constexpr int kTerminated = 143;  // what a shell says of SIGTERM

std::string NameOf(const Json& pod) { return pod["metadata"]["name"].get<std::string>(); }

}  // namespace

Player::Player(kubernetes::Client& administrator, PlayerOptions options)
    : client_(administrator),
      options_(std::move(options)),
      random_(static_cast<unsigned>(options_.seed)),
      watch_([this](std::stop_token stop) { Watch(stop); }) {}

Player::~Player() {
  watch_.request_stop();
  watch_.join();
  std::vector<std::thread> plays;
  {
    absl::MutexLock lock(&mu_);
    for (const auto& [pod, pid] : running_) kill(pid, SIGTERM);
    plays.swap(plays_);
  }
  for (std::thread& play : plays) play.join();
}

int Player::played() const {
  absl::MutexLock lock(&mu_);
  return static_cast<int>(seen_.size());
}
int Player::failed() const {
  absl::MutexLock lock(&mu_);
  return failed_;
}
int Player::killed() const {
  absl::MutexLock lock(&mu_);
  return killed_;
}

bool Player::OneIn(int many) {
  absl::MutexLock lock(&mu_);
  return random_() % static_cast<unsigned>(many) == 0;
}

void Player::Watch(std::stop_token stop) {
  while (!stop.stop_requested()) {
    kubernetes::ListRequest list;
    list.resource = kPods;
    list.name_space = options_.name_space;
    absl::StatusOr<kubernetes::ListResult> pods = client_.List(list, {.stop = stop});
    if (!pods.ok()) continue;  // a client waits by itself between tries
    for (const Json& pod : pods->items) See(pod);
    kubernetes::WatchRequest watch;
    watch.resource = kPods;
    watch.name_space = options_.name_space;
    watch.resource_version = pods->resource_version;
    (void)client_.Watch(
        watch,
        [&](kubernetes::WatchEvent event) {
          if (event.type == kubernetes::WatchEventType::kAdded ||
              event.type == kubernetes::WatchEventType::kModified) {
            See(event.object);
          }
        },
        stop);
  }
}

void Player::See(const Json& pod) {
  if (pod["status"].value("phase", "") != "Running") return;
  const std::string name = NameOf(pod);
  absl::MutexLock lock(&mu_);
  if (pod["metadata"].contains("deletionTimestamp") && deleted_.insert(name).second) {
    ++killed_;
    if (const auto running = running_.find(name); running != running_.end())
      kill(running->second, SIGTERM);
  }
  if (!seen_.insert(name).second) return;
  plays_.emplace_back([this, pod] { Play(pod); });
}

void Player::Play(const Json& pod) {
  const std::string name = NameOf(pod);
  const int exit = Run(pod, name);
  {
    absl::MutexLock lock(&mu_);
    if (exit != 0 && !deleted_.contains(name)) ++failed_;
  }
  // It may be gone.
  (void)client_.Patch(kPods, options_.name_space, name, kubernetes::PatchType::kMerge,
                      {{"metadata", {{"annotations", {{kExitAnnotation, Cat(exit)}}}}}},
                      {.timeout = absl::Minutes(2), .repeat = kubernetes::Repeat::kAlways});
}

int Player::Run(const Json& pod, const std::string& name) {
  if (OneIn(options_.fail_first)) return 1;
  const std::string kubeconfig = KubeconfigOf(pod, name);
  if (kubeconfig.empty()) return 1;
  const bool fails_last = OneIn(options_.fail_last);
  const Json& spec = pod["spec"];
  for (const char* containers : {"initContainers", "containers"}) {
    if (!spec.contains(containers)) continue;
    for (const Json& container : spec[containers]) {
      const int exit =
          RunProgram(name, container["command"].get<std::vector<std::string>>(), kubeconfig);
      if (exit != 0) return exit;
      if (fails_last) return 1;
    }
  }
  return 0;
}

int Player::RunProgram(const std::string& pod, std::vector<std::string> argv,
                       const std::string& kubeconfig) {
  const auto program = options_.programs.find(argv.front());
  if (program == options_.programs.end()) return 127;
  argv.front() = program->second;
  std::unique_ptr<testing::Process> process;
  {
    absl::MutexLock lock(&mu_);
    if (deleted_.contains(pod)) return kTerminated;
    process =
        *testing::Process::Start(argv, {{"KUBECONFIG", kubeconfig}, {"HOME", options_.folder}},
                                 Cat(options_.folder, "/", pod, ".log"));
    running_[pod] = process->pid();
  }
  siginfo_t info;  // ended, and its pid is not another's before it is forgotten
  CAPSTAN_CHECK(waitid(P_PID, static_cast<id_t>(process->pid()), &info, WEXITED | WNOWAIT) == 0);
  {
    absl::MutexLock lock(&mu_);
    running_.erase(pod);
  }
  const int status = process->Wait();
  return WIFEXITED(status) ? WEXITSTATUS(status) : kTerminated;
}

std::string Player::KubeconfigOf(const Json& pod, const std::string& name) {
  const std::string account =
      Cat("serviceaccounts/", pod["spec"]["serviceAccountName"].get<std::string>(), "/token");
  const Json request = {{"spec",
                         {{"expirationSeconds", 3600},
                          {"boundObjectRef",
                           {{"apiVersion", "v1"},
                            {"kind", "Pod"},
                            {"name", name},
                            {"uid", pod["metadata"]["uid"]}}}}}};
  const absl::StatusOr<Json> token =
      client_.Create({"/api/v1", account}, options_.name_space, request.dump());
  if (!token.ok()) {
    std::fprintf(stderr, "no token for %s: %s\n", name.c_str(),
                 std::string(token.status().message()).c_str());
    return "";
  }
  Json kubeconfig = options_.kubeconfig;
  for (Json& user : kubeconfig["users"]) user["user"] = {{"token", (*token)["status"]["token"]}};
  std::string path = Cat(options_.folder, "/", name, ".kubeconfig");
  std::ofstream(path) << kubeconfig.dump();
  return path;
}

}  // namespace capstan::proof
