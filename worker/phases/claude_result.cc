#include "worker/phases/claude_result.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/text.h"
#include "worker/phases/json.h"
#include "worker/phases/provider_error.h"
#include "worker/phases/usage.h"
#include "worker/process/warnings.h"

namespace capstan::phases {
namespace {

using Json = nlohmann::json;
using process::Result;

constexpr std::size_t kMaxMessageBytes = 1024;

struct Subtype {
  std::string_view name;
  PhaseError error;
};
constexpr std::array kSubtypes = {
    Subtype{"error_max_turns", PhaseError::kMaxTurns},
    Subtype{"error_max_budget_usd", PhaseError::kBudget},
    Subtype{"error_max_structured_output_retries", PhaseError::kNoAnswer},
};

std::string NameOf(const ModelTable& models, const std::string& name) {
  const Model* model = models.Find(name);
  return model == nullptr ? name : model->name;
}

// What the CLI billed, as it says. Never its `usage`, which is too low when it failed.
std::vector<Usage> BilledUsage(const StreamJson& stream, const Json& result,
                               const ModelTable& models) {
  std::vector<Usage> usage;
  const Json& by_model = Field(result, "modelUsage");
  if (!by_model.is_object()) return usage;
  for (const auto& [name, entry] : by_model.items()) {
    Usage one;
    one.model = NameOf(models, name);
    one.input_tokens = CountField(entry, "inputTokens");
    one.output_tokens = CountField(entry, "outputTokens");
    one.cache_creation_tokens = CountField(entry, "cacheCreationInputTokens");
    one.cache_read_tokens = CountField(entry, "cacheReadInputTokens");
    const Json& cost = Field(entry, "costUSD");
    const double dollars = cost.is_number() ? std::clamp(cost.get<double>(), 0.0, 1e9) : 0;
    // The dollars are sums of floating point numbers: only what is more than their noise rounds up.
    one.cost_microusd = static_cast<std::int64_t>(std::ceil(dollars * 1e6 - 1e-3));
    AddUsage(one, usage);
  }
  // Its num_turns counts one more than the calls that it made.
  for (const Usage& seen : stream.usage()) {
    for (Usage& one : usage) {
      if (one.model == NameOf(models, seen.model)) one.turns += seen.turns;
    }
  }
  return usage;
}

// Of a run that never said what it cost.
std::vector<Usage> LargestUsage(const StreamJson& stream, const Model& asked,
                                const ModelTable& models) {
  std::vector<Usage> usage;
  const auto add = [&](Usage one, const Model& model) {
    one.model = model.name;
    one.is_upper_bound = true;
    one.cost_microusd = CostOf(model.prices, one);
    AddUsage(one, usage);
  };
  const auto model_of = [&](const Usage& one) -> const Model& {
    const Model* model = models.Find(one.model);
    return model == nullptr ? asked : *model;
  };
  for (const Usage& seen : stream.usage()) add(seen, model_of(seen));
  if (!stream.in_flight().has_value()) return usage;
  Usage last = *stream.in_flight();
  const Model& model = model_of(last);
  last.turns = 1;
  last.output_tokens = model.max_output_tokens;
  if (last.effective_input() == 0) last.cache_creation_tokens = model.context_tokens;
  add(last, model);
  return usage;
}

// A lost try asked what a later one asked too: its input is known unless none came through.
void AddLostTries(const StreamJson& stream, const Model& model, std::vector<Usage>& usage) {
  if (stream.lost_tries() == 0) return;
  const std::int64_t input =
      stream.largest_input() > 0 ? stream.largest_input() : model.context_tokens;
  Usage lost;
  lost.model = model.name;
  lost.turns = stream.lost_tries();
  lost.cache_creation_tokens = input * lost.turns;
  lost.output_tokens = model.max_output_tokens * lost.turns;
  lost.cost_microusd = lost.turns * WorstCaseCost(model, input, model.max_output_tokens);
  lost.is_upper_bound = true;
  AddUsage(lost, usage);
}

PhaseResult Failed(PhaseError error, std::string message) {
  PhaseResult result;
  result.error = error;
  result.message = message.substr(0, kMaxMessageBytes);
  return result;
}

PhaseResult FailedCall(const Json& result) {
  const std::string text = TextField(result, "result");
  const auto status =
      static_cast<int>(std::min<std::int64_t>(CountField(result, "api_error_status"), 999));
  if (status != 0) return Failed(JudgeAnswer(status, text, {}).error, text);
  if (JudgeAnswer(400, text, {}).error == PhaseError::kContextOverflow) {
    return Failed(PhaseError::kContextOverflow, text);
  }
  return Failed(PhaseError::kTransient, text.empty() ? "the call of the model failed" : text);
}

PhaseResult JudgeResultLine(const Json& result, const PhaseRequest& request) {
  const std::string subtype = TextField(result, "subtype");
  for (const Subtype& known : kSubtypes) {
    if (known.name == subtype) return Failed(known.error, Cat("the program ended with ", subtype));
  }
  if (!Field(result, "is_error").is_boolean() || FlagField(result, "is_error")) {
    return FailedCall(result);
  }
  if (TextField(result, "stop_reason") == "refusal") {
    return Failed(PhaseError::kRefused, TextField(result, "result"));
  }
  PhaseResult done;
  if (request.schema.empty()) {
    done.answer = TextField(result, "result");
  } else if (const Json& answer = Field(result, "structured_output"); !answer.is_null()) {
    done.answer = JsonText(answer);
  }
  if (done.answer.empty()) {
    return Failed(PhaseError::kNoAnswer, Cat("the model ended without an answer in the schema: ",
                                             TextField(result, "result")));
  }
  return done;
}

// Without a result line.
PhaseResult JudgeEnd(const StreamJson& stream, const Result& process, const std::string& said) {
  switch (process.end) {
    case Result::End::kTimedOut:
      return Failed(PhaseError::kTimedOut, "timeout: the time of the call is over");
    case Result::End::kStopped:
      return Failed(PhaseError::kStopped, "stopped");
    case Result::End::kSignalled:
      return Failed(PhaseError::kProcess, Cat("killed by signal ", process.signal, ": ", said));
    case Result::End::kOutOfMemory:
      return Failed(PhaseError::kProcess, "out of memory");
    case Result::End::kOutputLimit:
      return Failed(PhaseError::kProcess, "it wrote more than it may");
    case Result::End::kDiskLimit:
      return Failed(PhaseError::kDiskLimit, process.message);
    case Result::End::kNotStarted:
      return Failed(PhaseError::kProcess, Cat("not started: ", process.message));
    case Result::End::kExited:
      break;
  }
  if (process.exit_code == 0) {
    return Failed(PhaseError::kTruncated, "the program ended without a result");
  }
  // It says in plain text what it does not take, before anything else.
  const PhaseError error = stream.any_event() ? PhaseError::kProcess : PhaseError::kInvalidRequest;
  return Failed(error, Cat("exit code ", process.exit_code, ": ", said));
}

}  // namespace

PhaseResult JudgeClaude(const StreamJson& stream, const Result& process,
                        const std::string& stderr_text, const PhaseRequest& request,
                        const Model& model, const ModelTable& models, ClaudeEnd end) {
  PhaseResult result;
  if (end == ClaudeEnd::kStalled) {
    result = Failed(PhaseError::kStalled, "stall: the program wrote nothing for too long");
  } else if (end == ClaudeEnd::kKeyRefused) {
    result = Failed(PhaseError::kAuthentication,
                    Cat("the provider refused the key: HTTP ", stream.retry_status()));
  } else if (stream.result().has_value() && process.end != Result::End::kStopped &&
             process.end != Result::End::kDiskLimit) {
    result = JudgeResultLine(*stream.result(), request);
  } else {
    result = JudgeEnd(stream, process, Cat(stream.noise(), stderr_text));
  }
  if (stream.result().has_value()) {
    result.usage = BilledUsage(stream, *stream.result(), models);
  } else if (stream.any_event() && end != ClaudeEnd::kKeyRefused) {
    result.usage = LargestUsage(stream, model, models);
  } else {
    // Nothing was asked, or nothing but the call that was refused.
    for (Usage usage : stream.usage()) {
      const Model* known = models.Find(usage.model);
      usage.cost_microusd = CostOf((known == nullptr ? model : *known).prices, usage);
      AddUsage(usage, result.usage);
    }
  }
  AddLostTries(stream, model, result.usage);
  result.warnings = process::Warnings(process);
  return result;
}

}  // namespace capstan::phases
