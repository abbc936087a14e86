#include "worker/task/model_turn.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace capstan::worker {

using phases::PhaseError;
using phases::PhaseRequest;
using phases::Usage;
using storage::TranscriptRole;
using v1::Execution;

namespace {

// What the engine tells goes to the transcript.
class Listener final : public phases::PhaseObserver {
 public:
  explicit Listener(IterationTranscript& transcript) : transcript_(transcript) {}

  void OnText(std::string_view text) override { transcript_.Text(text); }
  void OnToolCall(std::string_view tool, std::string_view input) override {
    transcript_.Entry(TranscriptRole::kToolCall,
                      absl::StrCat(std::string(tool), " ", std::string(input)));
  }
  void OnToolResult(std::string_view tool, std::string_view text, bool is_error) override {
    transcript_.Entry(
        TranscriptRole::kToolResult,
        absl::StrCat(std::string(tool), is_error ? " (error) " : " ", std::string(text)));
  }
  void OnRetry(PhaseError error, int tries, absl::Duration wait) override {
    transcript_.Entry(TranscriptRole::kNote,
                      absl::StrCat(std::string(phases::PhaseErrorName(error)), ": try ", tries + 1,
                                   " after ", absl::FormatDuration(wait)));
  }

 private:
  IterationTranscript& transcript_;
};

std::int64_t CostOf(const std::vector<Usage>& usage) {
  std::int64_t cost = 0;
  for (const Usage& one : usage) cost += one.cost_microusd;
  return cost;
}

std::int64_t CostOf(const task::IterationEnded& ended) {
  std::int64_t cost = 0;
  for (const v1::UsageRecorded& one : ended.usage) cost += one.cost_microusd();
  return cost;
}

}  // namespace

Exchange Converse(const StepTools& tools, phases::PhaseEngine& engine, PhaseRequest request,
                  const std::function<absl::Status(const std::string& answer)>& read,
                  IterationTranscript& transcript, std::stop_token stop) {
  const absl::Duration until = tools.clock.BootTime() + request.timeout;
  const std::int64_t most = request.max_cost_microusd;
  Exchange exchange;
  for (bool repaired = false;; repaired = true) {
    exchange.session = request.session;
    transcript.Entry(TranscriptRole::kPrompt, request.prompt);
    // What was asked is known before it costs anything.
    if (const absl::Status stored = transcript.Flush(); !stored.ok()) {
      exchange.end = Exchange::End::kNotStored;
      exchange.message = std::string(stored.message());
      return exchange;
    }
    Listener listener(transcript);
    exchange.turn = engine.Run(request, listener, stop);
    phases::PhaseResult& turn = exchange.turn;
    turn.answer = tools.redactor.Redact(turn.answer);
    turn.session_state = tools.redactor.Redact(turn.session_state);
    exchange.usage.insert(exchange.usage.end(), turn.usage.begin(), turn.usage.end());
    for (const std::string& warning : turn.warnings)
      exchange.warnings.push_back(tools.redactor.Redact(warning));
    const bool stopped = stop.stop_requested() || turn.error == PhaseError::kStopped;
    exchange.end = stopped ? Exchange::End::kStopped : Exchange::End::kErred;
    if (stopped || turn.error != PhaseError::kNone) return exchange;
    transcript.Entry(TranscriptRole::kResponse, turn.answer);
    const absl::Status usable = read(turn.answer);
    exchange.end = usable.ok() ? Exchange::End::kAnswered : Exchange::End::kUnusable;
    if (usable.ok()) return exchange;
    exchange.message = std::string(usable.message());
    transcript.Entry(TranscriptRole::kNote,
                     absl::StrCat("the answer cannot be used: ", exchange.message));
    const std::int64_t spent = CostOf(exchange.usage);
    if (repaired || (most > 0 && spent >= most)) return exchange;
    request.resume = !turn.session_state.empty();
    if (!request.resume) request.session = RandomUuid();
    request.session_state = turn.session_state;
    request.timeout = until - tools.clock.BootTime();
    request.max_cost_microusd = most > 0 ? most - spent : 0;
    request.prompt = absl::StrCat(
        "Your last answer cannot be used: ", exchange.message,
        "\nDo no further work. Answer again, with the same content, as the schema asks.");
  }
}

phases::PhaseEngine* EngineNamed(const StepTools& tools, const std::string& name) {
  const auto found = tools.engines.find(name.empty() ? tools.options.default_engine : name);
  return found == tools.engines.end() ? nullptr : found->second;
}

std::string ModelNamed(const StepTools& tools, const StepContext& context,
                       const std::string& name) {
  if (!name.empty()) return name;
  return context.workflow->model().empty() ? tools.options.default_model
                                           : context.workflow->model();
}

std::string NameOf(PhaseError error) {
  return absl::AsciiStrToUpper(std::string(phases::PhaseErrorName(error)));
}

Meaning MeaningOf(PhaseError error) {
  switch (error) {
    case PhaseError::kTransient:
    case PhaseError::kRateLimited:
    case PhaseError::kStalled:
    case PhaseError::kTruncated:
    case PhaseError::kProcess:
      return {true, Execution::FAILURE_REASON_PROVIDER};
    case PhaseError::kSpendLimit:
    case PhaseError::kBudget:
      return {false, Execution::FAILURE_REASON_BUDGET_EXCEEDED};
    case PhaseError::kDiskLimit:
      return {false, Execution::FAILURE_REASON_RESOURCE_EXHAUSTED};
    case PhaseError::kNoAnswer:
      return {false, Execution::FAILURE_REASON_INVALID_ANSWER};
    default:
      return {false, Execution::FAILURE_REASON_PROVIDER};
  }
}

void AddUsage(const std::vector<Usage>& usage, task::IterationEnded& ended) {
  for (const Usage& one : usage) {
    auto place = std::find_if(ended.usage.begin(), ended.usage.end(),
                              [&](const auto& row) { return row.model() == one.model; });
    if (place == ended.usage.end()) {
      place = ended.usage.emplace(ended.usage.end());
      place->set_step(ended.step);
      place->set_attempt(ended.attempt);
      place->set_iteration(ended.iteration);
      place->set_model(one.model);
    }
    v1::UsageRecorded& row = *place;
    row.set_input_tokens(row.input_tokens() + one.input_tokens);
    row.set_output_tokens(row.output_tokens() + one.output_tokens);
    row.set_cache_creation_tokens(row.cache_creation_tokens() + one.cache_creation_tokens);
    row.set_cache_read_tokens(row.cache_read_tokens() + one.cache_read_tokens);
    row.set_effective_input_tokens(row.effective_input_tokens() + one.effective_input());
    row.set_cost_microusd(row.cost_microusd() + one.cost_microusd);
    row.set_is_upper_bound(row.is_upper_bound() || one.is_upper_bound);
  }
}

bool IsSpent(const task::StepRun& run, const task::IterationEnded& ended) {
  return run.max_cost_microusd > 0 && CostOf(ended) >= run.max_cost_microusd;
}

std::int64_t LeftOf(const task::StepRun& run, const task::IterationEnded& ended) {
  return run.max_cost_microusd > 0 ? run.max_cost_microusd - CostOf(ended) : 0;
}

}  // namespace capstan::worker
