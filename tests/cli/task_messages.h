// Messages of the API as a server would send them, for one task of three steps.
#pragma once

#include <string>
#include <vector>

#include "tests/cli/sample_messages.h"

namespace capstan::cli {

inline v1::ExecutionEvent TaskAccepted() {
  return Event(1, R"pb(accepted {
                         caller: "anna"
                         request_id: "r1"
                         task {
                           workflow: "medium"
                           workflow_digest: "0123456789abcdef0123456789abcdef"
                           description {
                             id: "CAP-7"
                             title: "Add a limit"
                             description: "The export has none."
                             criteria { id: "C1" text: "it stops at 1000 rows" }
                           }
                           max_cost_microusd: 5000000
                           steps: "spec"
                           steps: "implement"
                           steps: "review"
                         }
                       })pb");
}

// Up to where the second step asks for another iteration, and one more.
inline std::vector<v1::ExecutionEvent> RunningTaskEvents() {
  return {
      TaskAccepted(),
      Event(2, "state_changed { from: STATE_PENDING to: STATE_RUNNING }"),
      Event(3, R"pb(workspace_ready {
                      workspace {
                        path: "/srv/room/1"
                        branch: "capstan/cap-7"
                        base_commit: "aaaabbbbccccddddeeee"
                        repository: "/srv/git/export"
                      }
                    })pb"),
      Event(4, R"pb(step_started {
                      step: "spec"
                      attempt: 1
                      iteration: 1
                      model: "strong"
                      engine: "claude_cli"
                    })pb"),
      Event(5, R"pb(usage_recorded {
                      step: "spec"
                      attempt: 1
                      iteration: 1
                      model: "big-model"
                      input_tokens: 1000
                      cache_creation_tokens: 20000
                      cache_read_tokens: 300000
                      effective_input_tokens: 321000
                      output_tokens: 4200
                      cost_microusd: 210000
                    })pb"),
      Event(6, R"pb(iteration_finished {
                      step: "spec"
                      attempt: 1
                      iteration: 1
                      status: STATUS_COMPLETE
                      duration { seconds: 2 }
                    })pb"),
      Event(7, R"pb(step_finished { step: "spec" state: STATE_SUCCEEDED })pb"),
      Event(8, R"pb(step_started {
                      step: "implement"
                      attempt: 1
                      iteration: 1
                      model: "fast"
                      engine: "claude_cli"
                    })pb"),
      Event(9, R"pb(iteration_finished {
                      step: "implement"
                      attempt: 1
                      iteration: 1
                      status: STATUS_CONTINUE
                      message: "a check did not pass"
                      checks { name: "build" state: STATE_PASSED }
                      checks { name: "tests" state: STATE_BLOCKED message: "2 of 7 failed" }
                      checks { name: "lint" state: STATE_WARNED message: "long line" }
                      checks { name: "typecheck" state: STATE_NOT_RUN message: "not brought" }
                      duration { seconds: 90 }
                      warnings: "a process was left behind"
                    })pb"),
      Event(10, R"pb(step_started {
                       step: "implement"
                       attempt: 1
                       iteration: 2
                       model: "fast"
                       engine: "claude_cli"
                     })pb"),
  };
}

inline std::vector<v1::ExecutionEvent> With(std::vector<v1::ExecutionEvent> events,
                                            const std::vector<std::string>& payloads) {
  for (const std::string& payload : payloads) {
    events.push_back(Event(static_cast<int64_t>(events.size()) + 1, payload));
  }
  return events;
}

inline std::vector<v1::ExecutionEvent> GoodTaskEvents() {
  return With(
      RunningTaskEvents(),
      {"step_finished { step: 'implement' state: STATE_SUCCEEDED }",
       "gate_decided { step: 'review' decider: 'profile' passed: true action: 'continue' }",
       "step_finished { step: 'review' state: STATE_SKIPPED message: 'its condition does not hold' "
       "}",
       "work_committed { commit: 'ffffeeeeddddccccbbbb' workspace_removed: true }",
       "state_changed { from: STATE_RUNNING to: STATE_SUCCEEDED outcome { effect: EFFECT_APPLIED } "
       "}"});
}

inline std::vector<v1::ExecutionEvent> FailedTaskEvents(const std::string& reason = "STEP_FAILED") {
  return With(RunningTaskEvents(),
              {"step_finished { step: 'implement' state: STATE_FAILED failure_reason: "
               "FAILURE_REASON_" +
                   reason + " message: 'it does not build' }",
               "state_changed { from: STATE_RUNNING to: STATE_FAILED failure_reason: "
               "FAILURE_REASON_" +
                   reason +
                   " message: 'step implement failed' outcome { effect: EFFECT_POSSIBLE } "
                   "}"});
}

// A step has submitted an execution, has asked it to end, and waits for it.
inline std::vector<v1::ExecutionEvent> ChildTaskEvents() {
  return With(RunningTaskEvents(),
              {"step_started { step: 'implement' attempt: 2 iteration: 1 }",
               "child_submitted { step: 'implement' attempt: 2 child: 'executions/c1' action: "
               "'ScaleDeployment' }",
               "child_cancelled { step: 'implement' child: 'executions/c1' reason: 'enough' }",
               "state_changed { from: STATE_RUNNING to: STATE_BLOCKED block_reason: "
               "BLOCK_REASON_CHILD message: 'waits for executions/c1 of step implement' }"});
}

// The step review waits: for a yes, or for an answer.
inline std::vector<v1::ExecutionEvent> WaitingTaskEvents(bool question) {
  return With(
      RunningTaskEvents(),
      {std::string("approval_requested { number: 1 plan_digest: 'd1' step: 'review' question: ") +
           (question ? "true" : "false") +
           " rule { quorum: 1 groups: 'sre' reason: 'Which table?' } expire_time { seconds: "
           "1800003600 } }",
       std::string("state_changed { from: STATE_RUNNING to: STATE_BLOCKED block_reason: "
                   "BLOCK_REASON_") +
           (question ? "USER_INPUT" : "APPROVAL") + " message: 'step review waits' }"});
}

}  // namespace capstan::cli
