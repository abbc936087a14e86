#include "worker/policy/rego_program.h"

#include <time.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "worker/policy/ffi/capstan_rego.h"

namespace capstan::policy {
namespace {

// Longest message of the engine that is passed on; it quotes source lines.
constexpr std::size_t kMaxMessageBytes = 4096;

// What this thread has had of the processor.
absl::Duration ProcessorTime() {
  timespec used = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return absl::DurationFromTimespec(used);
}

class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { capstan_rego_free_buffer(&buffer_); }

  CapstanRegoBuffer* get() { return &buffer_; }
  std::string_view view() const {
    return {reinterpret_cast<const char*>(buffer_.data), buffer_.size};
  }

 private:
  CapstanRegoBuffer buffer_{nullptr, 0, 0};
};

CapstanRegoText View(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

std::vector<CapstanRegoModule> View(const std::vector<RegoModule>& modules) {
  std::vector<CapstanRegoModule> views;
  views.reserve(modules.size());
  for (const RegoModule& module : modules) {
    views.push_back({View(module.path), View(module.source)});
  }
  return views;
}

absl::Status ToStatus(std::int32_t code, std::string_view message) {
  const std::string text(message.substr(0, kMaxMessageBytes));
  switch (code) {
    case CAPSTAN_REGO_OK:
      return absl::OkStatus();
    case CAPSTAN_REGO_UNDEFINED:
      return absl::NotFoundError(text);
    case CAPSTAN_REGO_INVALID_ARGUMENT:
    case CAPSTAN_REGO_BAD_MODULE:
      return absl::InvalidArgumentError(text);
    case CAPSTAN_REGO_EVALUATION_ERROR:
      return absl::FailedPreconditionError(text);
    case CAPSTAN_REGO_TIMEOUT:
      return absl::DeadlineExceededError(text);
    case CAPSTAN_REGO_TOO_LARGE:
      return absl::ResourceExhaustedError(text);
    default:
      return absl::InternalError(absl::StrCat("policy engine: ", text));
  }
}

}  // namespace

absl::StatusOr<std::vector<RegoModuleInfo>> DescribeRego(const std::vector<RegoModule>& modules) {
  const std::vector<CapstanRegoModule> views = View(modules);
  Buffer out;
  const std::int32_t code = capstan_rego_describe(views.data(), views.size(), out.get());
  if (code != CAPSTAN_REGO_OK) return ToStatus(code, out.view());

  const nlohmann::json described = nlohmann::json::parse(out.view(), nullptr, false);
  if (!described.is_array()) return absl::InternalError("policy engine: bad description");
  std::vector<RegoModuleInfo> infos;
  for (const nlohmann::json& module : described) {
    infos.push_back(
        {module.at("path"), module.at("package"), module.at("rego_v1"), module.at("rules")});
  }
  return infos;
}

bool WorthAnotherTry(absl::Duration used, absl::Duration timeout) { return used < timeout / 2; }

void RegoProgram::Free::operator()(CapstanRegoPolicy* policy) const noexcept {
  capstan_rego_free_policy(policy);
}

absl::StatusOr<RegoProgram> RegoProgram::Compile(const std::vector<RegoModule>& modules,
                                                 std::string_view rule, const RegoLimits& limits) {
  const std::vector<CapstanRegoModule> views = View(modules);
  const CapstanRegoLimits ffi_limits{limits.max_input_bytes, limits.max_output_bytes};
  CapstanRegoPolicy* policy = nullptr;
  Buffer error;
  const std::int32_t code = capstan_rego_compile(views.data(), views.size(), View(rule),
                                                 &ffi_limits, &policy, error.get());
  if (code != CAPSTAN_REGO_OK) return ToStatus(code, error.view());
  return RegoProgram(policy, limits.timeout);
}

absl::StatusOr<std::string> RegoProgram::Evaluate(std::string_view rule,
                                                  std::string_view input_json) const {
  const absl::Time start = absl::Now();
  const absl::Duration used_before = ProcessorTime();
  absl::StatusOr<std::string> result = Try(rule, input_json, timeout_);
  if (!absl::IsDeadlineExceeded(result.status())) return result;
  const absl::Duration left = BudgetOf(timeout_) - (absl::Now() - start);
  if (!WorthAnotherTry(ProcessorTime() - used_before, timeout_) || left <= absl::ZeroDuration())
    return result;
  return Try(rule, input_json, std::min(left, timeout_));
}

absl::StatusOr<std::string> RegoProgram::Try(std::string_view rule, std::string_view input_json,
                                             absl::Duration timeout) const {
  Buffer out;
  const std::int32_t code = capstan_rego_evaluate(
      policy_.get(), View(rule), View(input_json),
      static_cast<std::uint64_t>(absl::ToInt64Nanoseconds(timeout)), out.get());
  if (code != CAPSTAN_REGO_OK) return ToStatus(code, out.view());
  return std::string(out.view());
}

}  // namespace capstan::policy
