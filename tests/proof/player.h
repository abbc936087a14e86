// Plays the containers of Jobs whose pods have no process: runs each pod's own argument vectors, in
// order, with the programs of this build and a token of the pod's account that is bound to the pod,
// so that RBAC and the audit log see what they would see of a real pod. The exit code goes into an
// annotation; plane_stages.yaml says how a pod ends by it.
#pragma once

#include <sys/types.h>

#include <map>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "nlohmann/json.hpp"
#include "worker/kubernetes/client.h"

namespace capstan::proof {

inline constexpr char kExitAnnotation[] = "proof.capstan.dev/exit";

struct PlayerOptions {
  std::string name_space;
  std::map<std::string, std::string> programs;  // by the first argument
  std::string folder;                           // for kubeconfigs and output; exists
  nlohmann::json kubeconfig;                    // how to reach the cluster; its user is replaced
  int seed = 1;
  int fail_first = 15;  // one pod in so many fails before it did anything
  int fail_last = 25;   // one in so many fails after its first container
};

// Starts one thread that watches, and one a pod.
class Player {
 public:
  Player(kubernetes::Client& administrator, PlayerOptions options);
  // Ends what runs.
  ~Player();
  Player(const Player&) = delete;
  Player& operator=(const Player&) = delete;

  int played() const;
  int failed() const;
  int killed() const;

 private:
  void Watch(std::stop_token stop);
  void See(const nlohmann::json& pod);
  void Play(const nlohmann::json& pod);
  // The exit code of all that the pod runs.
  int Run(const nlohmann::json& pod, const std::string& name);
  int RunProgram(const std::string& pod, std::vector<std::string> argv,
                 const std::string& kubeconfig);
  // Of an account bound to the pod; "" when there is none any more.
  std::string KubeconfigOf(const nlohmann::json& pod, const std::string& name);
  bool OneIn(int many);

  kubernetes::Client& client_;
  const PlayerOptions options_;
  mutable absl::Mutex mu_;
  std::mt19937 random_ ABSL_GUARDED_BY(mu_);
  std::set<std::string> seen_ ABSL_GUARDED_BY(mu_);
  std::set<std::string> deleted_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, pid_t> running_ ABSL_GUARDED_BY(mu_);
  std::vector<std::thread> plays_ ABSL_GUARDED_BY(mu_);
  int failed_ ABSL_GUARDED_BY(mu_) = 0;
  int killed_ ABSL_GUARDED_BY(mu_) = 0;
  std::jthread watch_;
};

}  // namespace capstan::proof
