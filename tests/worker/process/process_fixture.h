// Shell scripts under the real supervisor.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>

#include "absl/strings/numbers.h"
#include "tests/support/temporary_directory.h"
#include "worker/process/process.h"

namespace capstan::process {

inline Options TestOptions() {
  Options options;
  options.supervisor = CAPSTAN_SUPERVISOR;
  options.grace = absl::Milliseconds(300);
  return options;
}

class ProcessFixture : public ::testing::Test {
 protected:
  void SetUp() override {
    auto runner = MakeRunner(TestOptions());
    ASSERT_TRUE(runner.ok()) << runner.status();
    runner_ = *std::move(runner);
  }

  // A script in a sandbox with a workspace, which is its folder.
  Spec Script(const std::string& script) const {
    Spec spec;
    spec.argv = {"sh", "-c", script};
    spec.environment = {{"PATH", "/usr/bin:/bin"}};
    spec.directory = workspace_.path();
    spec.sandbox.writable = {workspace_.path()};
    spec.limits.timeout = absl::Seconds(60);
    return spec;
  }

  Result Run(const Spec& spec, std::stop_token stop = {}) {
    out_.clear();
    err_.clear();
    return runner_->Run(
        spec,
        [this](Stream stream, std::string_view piece) {
          (stream == Stream::kOut ? out_ : err_).append(piece);
        },
        stop);
  }
  Result RunScript(const std::string& script) { return Run(Script(script)); }

  // How many processes of the machine have `marker` in their arguments.
  static int ProcessesWith(const std::string& marker) {
    int count = 0;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
      std::ifstream file(entry.path() / "cmdline", std::ios::binary);
      std::stringstream text;
      text << file.rdbuf();
      count += text.str().find(marker) != std::string::npos ? 1 : 0;
    }
    return count;
  }

  testing::TemporaryDirectory workspace_;
  std::unique_ptr<Runner> runner_;
  std::string out_;
  std::string err_;
};

}  // namespace capstan::process
