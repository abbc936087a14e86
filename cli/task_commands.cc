#include "cli/task_commands.h"

#include <utility>

#include "capstan/v1/execution_service.grpc.pb.h"
#include "cli/approval_commands.h"
#include "cli/exit_code.h"
#include "cli/file_input.h"
#include "cli/follow_command.h"
#include "cli/reads.h"
#include "cli/render_transcript.h"
#include "cli/task_input.h"
#include "cli/text_format.h"
#include "core/projection.h"
#include "core/status_macros.h"
#include "core/text.h"

namespace capstan::cli {
namespace {

using Decision = v1::DecideApprovalRequest;

constexpr int kMaxFirstReads = 3;        // before anything was received: is there a server at all?
constexpr int kMaxTranscriptReads = 12;  // in a row without an entry
constexpr absl::Duration kReadRetryDelay = absl::Seconds(1);
constexpr absl::Duration kHealthyStream = absl::Seconds(10);  // a quiet stream that lived so long

absl::StatusOr<v1::RunTaskRequest> ReadRequest(Session& session) {
  const TaskOptions& task = session.options.task;
  CAPSTAN_ASSIGN_OR_RETURN(v1::RunTaskRequest request, MakeTaskRequest(session.options));
  if (task.description_file == "-" && task.spec_file == "-") {
    return absl::InvalidArgumentError(
        "--spec-file: got standard input, which --description-file reads already");
  }
  if (!task.description_file.empty()) {
    CAPSTAN_ASSIGN_OR_RETURN(*request.mutable_task()->mutable_description(),
                             ReadInput(task.description_file, session.environment.in));
  }
  if (!task.spec_file.empty()) {
    CAPSTAN_ASSIGN_OR_RETURN(*request.mutable_task()->mutable_spec(),
                             ReadInput(task.spec_file, session.environment.in));
  }
  return request;
}

// PauseExecution and ResumeExecution: `call(context, request, response)`.
template <class Request, class Response, class Call>
int Steer(Session& session, const char* asked, const Call& call) {
  Request request;
  request.set_name(ExecutionName(session));
  request.set_reason(session.options.reason);
  Response response;
  const grpc::Status status = session.UnaryIdempotent(
      [&](grpc::ClientContext& context) { return call(&context, request, &response); });
  if (!status.ok()) return session.Fail(status);
  session.Print(response.execution(), Cat(asked, "; it is ", StateText(response.execution()),
                                          " now. Watch it: ", session.invocation().program,
                                          " task watch ", ShellQuoted(request.name()), "\n"));
  return kOk;
}

// Why what waits cannot be decided so; empty when it can.
std::string Mismatch(const v1::Execution& execution, bool answer, const std::string& reason) {
  const v1::ApprovalSummary& approval = execution.approval();
  if (approval.state() != v1::ApprovalSummary::STATE_PENDING) return "";  // the server says it
  if (answer && !approval.question())
    return Cat("step ", OneLine(approval.step()), " asks nothing: approve or reject it");
  if (!answer && approval.question() && reason.empty()) {
    return Cat("step ", OneLine(approval.step()),
               " asks, and a yes alone is no answer: ", OneLine(approval.reason()));
  }
  return "";
}

// "gate of step review of executions/…: why it was asked for".
std::string WaitingText(const v1::Execution& execution) {
  const v1::ApprovalSummary& approval = execution.approval();
  std::string text = Cat(approval.question() ? "the question of step " : "the gate of step ",
                         OneLine(approval.step()), " of ", OneLine(execution.name()));
  if (!approval.reason().empty()) Append(&text, ": ", OneLine(approval.reason()));
  return text;
}

int Decide(Session& session, Decision::Decision decision, bool answer) {
  auto stub = v1::ExecutionService::NewStub(session.channel);
  v1::Execution execution;
  const grpc::Status status = GetExecution(session, *stub, &execution);
  if (!status.ok()) return session.Fail(status);
  if (!execution.has_approval()) return NoApproval(session, execution);
  const Options& options = session.options;
  const bool approve = decision == Decision::DECISION_APPROVE;
  if (const std::string wrong = approve ? Mismatch(execution, answer, options.reason) : "";
      !wrong.empty()) {
    return session.Fail({grpc::StatusCode::FAILED_PRECONDITION, wrong});
  }
  Decision request;
  request.set_execution(execution.name());
  request.set_decision(decision);
  request.set_reason(options.reason.empty() ? "approved with capstan task approve"
                                            : options.reason);
  request.set_plan_digest(options.plan_digest.empty() ? execution.approval().plan_digest()
                                                      : options.plan_digest);
  const char* said = answer ? "Answered " : approve ? "Said yes to " : "Said no to ";
  return SendDecision(
      session, request,
      Cat(said, WaitingText(execution), "\nWatch it: ", session.invocation().program,
          " task watch ", ShellQuoted(execution.name()), "\n"));
}

// Reads a transcript to its end across broken connections.
class TranscriptReader {
 public:
  TranscriptReader(Session& session, v1::ExecutionService::Stub& stub)
      : session_(session), stub_(stub) {
    request_.set_name(ExecutionName(session));
    request_.set_after(session.options.after);
    request_.set_follow(session.options.follow);
    request_.set_step(session.options.step);
  }

  int Run() {
    for (int attempts = 1;; ++attempts) {
      bool healthy = false;
      const grpc::Status status = ReadOnce(&healthy);
      if (status.ok() && (complete_ || !request_.follow())) return kOk;
      if (healthy) attempts = 0;
      const bool resumable = status.ok() || status.error_code() == grpc::StatusCode::UNAVAILABLE;
      const int limit = received_ ? kMaxTranscriptReads : kMaxFirstReads;
      if (!resumable || attempts >= limit ||
          !session_.environment.clock.SleepFor(kReadRetryDelay, session_.environment.stop)) {
        return session_.Fail(
            status.ok() ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "the transcript ended early")
                        : status);
      }
    }
  }

 private:
  grpc::Status ReadOnce(bool* healthy) {
    const absl::Duration begin = session_.environment.clock.BootTime();
    grpc::ClientContext context;
    std::stop_callback cancel(session_.environment.stop, [&] { context.TryCancel(); });
    auto reader = stub_.ReadTranscript(&context, request_);
    v1::ReadTranscriptResponse response;
    while (reader->Read(&response)) {
      complete_ = complete_ || response.eof();
      if (!response.has_entry() || response.entry().number() <= request_.after()) continue;
      request_.set_after(response.entry().number());
      Print(response.entry());
      received_ = *healthy = true;
    }
    if (session_.environment.clock.BootTime() - begin >= kHealthyStream) *healthy = true;
    return reader->Finish();
  }

  void Print(const v1::TranscriptEntry& entry) {
    session_.environment.out << (session_.options.output == Output::kJson
                                     ? ToJson(entry, JsonLayout::kLine)
                                     : text_.Next(entry))
                             << std::flush;
  }

  Session& session_;
  v1::ExecutionService::Stub& stub_;
  v1::ReadTranscriptRequest request_;
  TranscriptText text_;
  bool received_ = false;  // an entry
  bool complete_ = false;  // nothing follows
};

}  // namespace

int TaskRun(Session& session) {
  absl::StatusOr<v1::RunTaskRequest> request = ReadRequest(session);
  if (!request.ok())
    return UsageError(session.environment, std::string(request.status().message()));
  const int code = FollowToTheEnd(session, SubmitMode(session),
                                  [&](Follower& follower) { return follower.Submit(*request); });
  return AdviseOnLostAnswer(session, code, request->request_id());
}

int TaskPause(Session& session) {
  auto stub = v1::ExecutionService::NewStub(session.channel);
  return Steer<v1::PauseExecutionRequest, v1::PauseExecutionResponse>(
      session, "Pause requested",
      [&](auto&&... arguments) { return stub->PauseExecution(arguments...); });
}

int TaskResume(Session& session) {
  auto stub = v1::ExecutionService::NewStub(session.channel);
  return Steer<v1::ResumeExecutionRequest, v1::ResumeExecutionResponse>(
      session, "Resume requested",
      [&](auto&&... arguments) { return stub->ResumeExecution(arguments...); });
}

int TaskApprove(Session& session) { return Decide(session, Decision::DECISION_APPROVE, false); }

int TaskReject(Session& session) { return Decide(session, Decision::DECISION_REJECT, false); }

int TaskAnswer(Session& session) { return Decide(session, Decision::DECISION_APPROVE, true); }

int TaskTranscript(Session& session) {
  auto stub = v1::ExecutionService::NewStub(session.channel);
  return TranscriptReader(session, *stub).Run();
}

}  // namespace capstan::cli
