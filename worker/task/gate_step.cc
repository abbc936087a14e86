// What decides the gate of a step: a model that judges, or the script of a gate that was refused.
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/task/judgement.h"
#include "worker/task/model_turn.h"
#include "worker/task/step_kind.h"

namespace capstan::worker {
namespace {

using v1::IterationFinished;
using Gate = engine::v1::TaskState::Gate;

class GateKind final : public StepKind {
 public:
  explicit GateKind(const StepTools& tools) : tools_(tools) {}

  StepResult Work(const StepContext& context, IterationTranscript& transcript,
                  std::stop_token stop) override {
    const v1::StepGate& gate = context.definition->gate();
    StepResult result;
    task::IterationEnded& ended = result.ended;
    ended = EndOf(context);
    if (context.state.gate().stage() == Gate::STAGE_SCRIPT) {
      RunCommand(tools_, context, gate.script(), transcript, stop, ended);
      return result;
    }
    const Verdict verdict =
        Judge(tools_, context, gate.judge(), context.values, context.run.max_cost_microusd,
              context.run.timeout, transcript, stop);
    Take(verdict, ended);
    return result;
  }

 private:
  static void Take(const Verdict& verdict, task::IterationEnded& ended) {
    ended.message = verdict.words;
    ended.warnings = verdict.warnings;
    AddUsage(verdict.usage, ended);
    switch (verdict.end) {
      case Verdict::End::kPassed:
        ended.status = IterationFinished::STATUS_COMPLETE;
        return;
      case Verdict::End::kNotPassed:
        ended.status = IterationFinished::STATUS_FAILED;
        return;
      case Verdict::End::kStopped:
        ended.status = IterationFinished::STATUS_STOPPED;
        ended.message = "stopped";
        return;
      case Verdict::End::kNotAsked:
        ended.status = IterationFinished::STATUS_ERROR;
        ended.error = verdict.error;
        ended.transient = verdict.transient;
        ended.retry_after = verdict.retry_after;
        ended.reason = verdict.reason;
        return;
    }
  }

  const StepTools tools_;
};

}  // namespace

std::unique_ptr<StepKind> MakeGate(const StepTools& tools) {
  return std::make_unique<GateKind>(tools);
}

}  // namespace capstan::worker
