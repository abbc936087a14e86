// What tests of model engines share.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <ostream>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/clock.h"
#include "core/status_macros.h"
#include "tests/support/model_stub/model_stub.h"
#include "worker/phases/model_table.h"
#include "worker/phases/phase_engine.h"

namespace capstan::phases {

// Time passes only by sleeping, at once.
class SleepingClock final : public Clock {
 public:
  absl::Time Now() override { return absl::FromUnixSeconds(1'700'000'000) + BootTime(); }
  absl::Duration BootTime() override {
    absl::MutexLock lock(&mu_);
    return now_;
  }
  bool SleepFor(absl::Duration duration, std::stop_token stop) override {
    absl::MutexLock lock(&mu_);
    if (stop.stop_requested()) return false;
    now_ += duration;
    sleeps_.push_back(duration);
    return true;
  }
  std::vector<absl::Duration> Sleeps() {
    absl::MutexLock lock(&mu_);
    return sleeps_;
  }

 private:
  absl::Mutex mu_;
  absl::Duration now_ ABSL_GUARDED_BY(mu_) = absl::Seconds(1);
  std::vector<absl::Duration> sleeps_ ABSL_GUARDED_BY(mu_);
};

class Listener final : public PhaseObserver {
 public:
  void OnText(std::string_view piece) override {
    text += piece;
    if (stop_at_text != nullptr) stop_at_text->request_stop();
  }
  void OnToolCall(std::string_view tool, std::string_view input_json) override {
    calls.emplace_back(tool);
    inputs.emplace_back(input_json);
    if (stop_at_tool != nullptr) stop_at_tool->request_stop();
  }
  void OnToolResult(std::string_view tool, std::string_view result, bool is_error) override {
    results.push_back(std::string(tool) + (is_error ? " failed: " : ": ") + std::string(result));
  }
  void OnRetry(PhaseError error, int, absl::Duration wait) override {
    retries.push_back(error);
    waits.push_back(wait);
  }

  std::string text;
  std::vector<std::string> calls;
  std::vector<std::string> inputs;
  std::vector<std::string> results;
  std::vector<PhaseError> retries;
  std::vector<absl::Duration> waits;
  std::stop_source* stop_at_text = nullptr;
  std::stop_source* stop_at_tool = nullptr;
};

inline void PrintTo(PhaseError error, std::ostream* out) { *out << PhaseErrorName(error); }

// The one entry that is expected; fails the test otherwise.
inline Usage Only(const std::vector<Usage>& usage) {
  EXPECT_EQ(usage.size(), 1u);
  return usage.empty() ? Usage{} : usage[0];
}

inline ModelTable ShippedModels() {
  absl::StatusOr<ModelTable> table =
      ModelTable::Load(std::string(CAPSTAN_SOURCE_DIR) + "/catalog/models.yaml");
  CAPSTAN_CHECK(table.ok());
  return *std::move(table);
}

inline std::unique_ptr<testing::ModelStub> StartStub() {
  absl::StatusOr<std::unique_ptr<testing::ModelStub>> stub = testing::ModelStub::Start();
  CAPSTAN_CHECK(stub.ok());
  return *std::move(stub);
}

inline constexpr char kAnswerSchema[] =
    R"({"type":"object","properties":{"status":{"type":"string"},"summary":{"type":"string"}},)"
    R"("required":["status"],"additionalProperties":false})";

}  // namespace capstan::phases
