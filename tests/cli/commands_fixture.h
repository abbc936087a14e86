// Runs whole commands against a server in this process.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "cli/commands.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/cli/fake_server.h"
#include "tests/cli/sample_messages.h"

namespace capstan::cli {

// Never waits: retries come at once, and time passes by what is slept.
class InstantClock final : public Clock {
 public:
  absl::Time Now() override { return absl::FromUnixSeconds(kCreated); }
  absl::Duration BootTime() override {
    absl::MutexLock lock(&mu_);
    return boot_;
  }
  bool SleepFor(absl::Duration duration, std::stop_token stop) override {
    absl::MutexLock lock(&mu_);
    boot_ += duration;
    return !stop.stop_requested();
  }

 private:
  absl::Mutex mu_;
  absl::Duration boot_;
};

class CommandsTest : public ::testing::Test {
 protected:
  CommandsTest() {
    variables_["CAPSTAN_ADDRESS"] = server_.address;
    server_.catalog.action = ScaleDeploymentAction();
    server_.executions.execution = Project(GoodEvents());
  }

  int Command(const std::vector<std::string>& arguments) {
    Environment environment{.in = in_,
                            .out = out_,
                            .err = err_,
                            .out_is_terminal = terminal_,
                            .terminal_size = [this] { return size_; },
                            .variables = variables_,
                            .clock = *clock_,
                            .stop = stop_.get_token()};
    return cli::Run(arguments, environment);
  }
  int RunScale(const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"action",         "run", "ScaleDeployment", "-p",
                                          "deployment=web", "-p",  "namespace=shop",  "-p",
                                          "replicas=3"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Command(arguments);
  }
  void Play(std::vector<v1::ExecutionUpdate> updates, grpc::Status end = grpc::Status::OK) {
    server_.executions.scripts.push_back({.updates = std::move(updates), .end = std::move(end)});
  }
  std::string out() const { return out_.str(); }
  std::string err() const { return err_.str(); }

  FakeServer server_;
  InstantClock instant_;
  SystemClock system_;
  Clock* clock_ = &instant_;
  std::istringstream in_;
  std::ostringstream out_, err_;
  std::stop_source stop_;
  bool terminal_ = false;
  TerminalSize size_ = {.columns = 200, .rows = 24};
  std::map<std::string, std::string> variables_;
};

inline int64_t CountLines(const std::string& text) {
  return std::count(text.begin(), text.end(), '\n');
}

inline const grpc::Status kDraining(grpc::StatusCode::UNAVAILABLE, "draining");

// As the server refuses: a code, a message and the reason in an ErrorInfo.
inline grpc::Status Refusal(grpc::StatusCode code, const std::string& reason,
                            const std::string& message) {
  google::rpc::ErrorInfo info;
  info.set_domain("capstan.dev");
  info.set_reason(reason);
  google::rpc::Status status;
  status.set_code(code);
  status.set_message(message);
  status.add_details()->PackFrom(info);
  return {code, message, status.SerializeAsString()};
}

}  // namespace capstan::cli
