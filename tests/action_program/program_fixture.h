// The program, run in process against a simulated cluster.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "action_program/program.h"
#include "core/clock.h"
#include "tests/support/kubesim/kubesim.h"
#include "tests/support/status_matchers.h"

namespace capstan::action_program {

using Json = nlohmann::json;

struct Result {
  int code = -1;
  std::string out;
  std::string err;
};

// A clock whose sleeps end at once: polling does not wait. It keeps the machine's time otherwise.
class ImpatientClock final : public Clock {
 public:
  absl::Time Now() override { return machine_.Now(); }
  absl::Duration BootTime() override { return machine_.BootTime(); }
  bool SleepFor(absl::Duration, std::stop_token stop) override { return !stop.stop_requested(); }

 private:
  SystemClock machine_;
};

class ProgramTest : public ::testing::Test {
 protected:
  ProgramTest() {
    sim_ = kubesim::KubeSim::Start({}).value();
    kubeconfig_ = ::testing::TempDir() + "/kubeconfig-" + std::to_string(sim_->port());
    EXPECT_OK(sim_->WriteKubeconfig(kubeconfig_));
  }
  ~ProgramTest() override { std::remove(kubeconfig_.c_str()); }

  Result Run(std::vector<std::string> args) {
    args.insert(args.begin() + 1, "--kubeconfig=" + kubeconfig_);
    std::ostringstream out;
    std::ostringstream err;
    Environment environment{.out = out, .err = err, .clock = clock_, .stop = stop_.get_token()};
    environment.client.attempt_timeout = absl::Seconds(5);
    Result result;
    result.code = action_program::Run(args, environment);
    result.out = out.str();
    result.err = err.str();
    return result;
  }

  std::future<Result> RunInBackground(std::vector<std::string> args) {
    return std::async(std::launch::async, [this, args = std::move(args)] { return Run(args); });
  }

  // Holds every call of this kind until ReleaseFault() of the id.
  int Hold(const std::string& verb, const std::string& resource) {
    kubesim::Fault fault;
    fault.verb = verb;
    fault.resource = resource;
    fault.kind = kubesim::FaultKind::kDelay;
    return sim_->InjectFault(fault);
  }

  // The next call of this kind is applied, and its reply lost.
  void LoseReply(const std::string& verb, const std::string& resource) {
    kubesim::Fault fault;
    fault.verb = verb;
    fault.resource = resource;
    fault.kind = kubesim::FaultKind::kApplyThenCut;
    sim_->InjectFault(fault);
  }

  std::string Version(const std::string& resource, const std::string& name) {
    return sim_->Get(resource, "shop", name)["metadata"]["resourceVersion"];
  }

  ImpatientClock clock_;
  std::stop_source stop_;
  std::unique_ptr<kubesim::KubeSim> sim_;
  std::string kubeconfig_;
};

}  // namespace capstan::action_program
