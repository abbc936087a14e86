// Many callers on a few targets, people who decide, and what befalls a system meanwhile: workers
// and servers that are killed, stops, cancels. All drawn from a seed. Waiting is for streams.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "tests/proof/history.h"
#include "tests/scenarios/system.h"

namespace capstan::proof {

// The one server that clients turn to, which may be killed and replaced.
class Front {
 public:
  explicit Front(testing::System& system) : system_(system) { Replace(); }
  // On the main thread: a server dies with the thread that started it.
  void Replace();
  // Stays valid; its server may be dead.
  testing::Server& Now();

 private:
  testing::System& system_;
  absl::Mutex mu_;
  std::vector<std::unique_ptr<testing::Server>> servers_ ABSL_GUARDED_BY(mu_);
};

struct CrowdOptions {
  int executions = 0;
  int callers = 20;
  int seed = 1;
  absl::Duration patience;
  // What a caller asks for next.
  std::function<v1::ExecuteActionRequest(std::mt19937&)> draw;
};

class Crowd {
 public:
  Crowd(testing::System& system, CrowdOptions options);
  ~Crowd();
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;

  // Everything that was asked for has ended, or patience is over. Once, on the main thread.
  void Run();
  // Joined to what store and cluster say.
  void AddTo(History& history);
  testing::Server& server() { return front_.Now(); }

  int ended() const { return static_cast<int>(ended_.size()); }
  std::string Summary() const;

 private:
  class Caller;

  bool OneIn(int many) { return random_() % static_cast<unsigned>(many) == 0; }
  void OnEvent(const v1::ExecutionEvent& event);
  void Vote(const v1::ExecutionEvent& event);
  void StopOrLift();
  void Lift();
  void Kill();
  void StartWorker();

  testing::System& system_;
  const CrowdOptions options_;
  const absl::Time until_;
  std::mt19937 random_;
  Front front_;
  std::vector<std::unique_ptr<testing::Process>> workers_;
  std::vector<std::unique_ptr<Caller>> callers_;
  std::set<std::string> ended_;
  std::map<std::string, std::string> targets_;  // of executions, as the admin service names them
  std::map<std::string, int> ends_;
  std::string stop_;
  int seen_under_stop_ = 0;
  int stops_ = 0, worker_kills_ = 0, server_kills_ = 0, votes_ = 0, cancels_ = 0, cleared_ = 0;
};

}  // namespace capstan::proof
