#include "worker/phases/scripted_engine.h"

#include <algorithm>
#include <utility>

#include "core/text.h"
#include "worker/phases/json.h"
#include "worker/phases/workspace_file.h"

namespace capstan::phases {
namespace {

PhaseResult Failed(PhaseError error, std::string message) {
  PhaseResult result;
  result.error = error;
  result.message = std::move(message);
  return result;
}

}  // namespace

PhaseResult ScriptedEngine::Run(const PhaseRequest& request, PhaseObserver& observer,
                                std::stop_token stop) {
  const ScriptedReply* reply = script_.Find(request);
  if (reply == nullptr) {
    return Failed(PhaseError::kInvalidRequest,
                  Cat("script: got ", request.judgement ? "a judgement of " : "", "step ",
                      request.step, ", iteration ", request.iteration, ", attempt ",
                      request.attempt, ", want one that has a reply"));
  }
  if (request.max_cost_microusd > 0 && request.max_cost_microusd < reply->needs_microusd) {
    return Failed(PhaseError::kBudget, Cat("script: got ", request.max_cost_microusd,
                                           " microusd to spend, want ", reply->needs_microusd));
  }
  for (const std::string& text : reply->text) {
    if (stop.stop_requested()) break;
    observer.OnText(text);
  }
  if (stop.stop_requested()) return Failed(PhaseError::kStopped, "stopped");
  for (const auto& [path, content] : reply->files) {
    observer.OnToolCall("Write", JsonText({{"path", path}, {"content", content}}));
    const absl::Status written = WriteInWorkspace(request.workspace, path, content);
    observer.OnToolResult("Write", written.ok() ? "written" : std::string(written.message()),
                          !written.ok());
    if (!written.ok()) return Failed(PhaseError::kProcess, std::string(written.message()));
  }
  PhaseResult result;
  if (reply->hold) {
    result = Hold(request, std::move(stop));
  } else if (reply->error != PhaseError::kNone) {
    result = Failed(reply->error, reply->message);
    result.retry_after = reply->retry_after;
  } else if (reply->answer.empty()) {
    result = Failed(PhaseError::kNoAnswer, "the script has no answer here");
  } else {
    result.answer = reply->answer;
  }
  result.usage = reply->usage;
  return result;
}

PhaseResult ScriptedEngine::Hold(const PhaseRequest& request, std::stop_token stop) {
  if (!clock_.SleepFor(std::min(request.timeout, request.stall), std::move(stop))) {
    return Failed(PhaseError::kStopped, "stopped");
  }
  return request.stall < request.timeout
             ? Failed(PhaseError::kStalled, "stall: the script says nothing more")
             : Failed(PhaseError::kTimedOut, "timeout: the time of the call is over");
}

}  // namespace capstan::phases
