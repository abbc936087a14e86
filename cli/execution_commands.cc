#include "cli/execution_commands.h"

#include <utility>

#include "capstan/v1/execution_service.grpc.pb.h"
#include "cli/exit_code.h"
#include "cli/follow_command.h"
#include "cli/reads.h"
#include "cli/render_event.h"
#include "cli/render_execution.h"
#include "cli/text_format.h"
#include "core/projection.h"
#include "core/text.h"

namespace capstan::cli {
namespace {

constexpr int kMaxLogAttempts = 12;  // in a row without a byte
constexpr absl::Duration kLogRetryDelay = absl::Seconds(1);

int PrintEvents(Session& session, v1::ExecutionService::Stub& stub) {
  v1::ListEventsRequest request;
  request.set_name(ExecutionName(session));
  request.set_page_size(kPageSize);
  v1::ListEventsResponse all;
  do {
    v1::ListEventsResponse page;
    grpc::Status status = session.Unary(
        [&](grpc::ClientContext& context) { return stub.ListEvents(&context, request, &page); });
    if (!status.ok()) return session.Fail(status);
    all.mutable_events()->MergeFrom(page.events());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  std::string text;
  for (const v1::ExecutionEvent& event : all.events()) Append(&text, EventLine(event), "\n");
  session.Print(all, text);
  return kOk;
}

// One stream of the log from `*offset` on. True when it came to its end.
bool CopyLog(Session& session, v1::ExecutionService::Stub& stub, v1::ReadLogRequest* request,
             grpc::Status* status, bool* progress) {
  grpc::ClientContext context;
  std::stop_callback cancel(session.environment.stop, [&] { context.TryCancel(); });
  auto reader = stub.ReadLog(&context, *request);
  v1::ReadLogResponse piece;
  while (reader->Read(&piece)) {
    session.environment.out << piece.data() << std::flush;
    *progress = *progress || !piece.data().empty();
    request->set_offset(piece.next_offset());
  }
  *status = reader->Finish();
  return status->ok();
}

}  // namespace

int ExecutionGet(Session& session) {
  auto stub = v1::ExecutionService::NewStub(session.channel);
  if (session.options.events) return PrintEvents(session, *stub);
  v1::Execution execution;
  const grpc::Status status = GetExecution(session, *stub, &execution);
  if (!status.ok()) return session.Fail(status);
  session.Print(execution, Details(execution, session.invocation()));
  return kOk;
}

int ExecutionList(Session& session) {
  auto stub = v1::ExecutionService::NewStub(session.channel);
  v1::ListExecutionsRequest request;
  request.set_filter(session.options.filter);
  return ListUpToLimit<v1::ListExecutionsResponse>(
      session, std::move(request),
      [&](grpc::ClientContext* context, const v1::ListExecutionsRequest& page_request,
          v1::ListExecutionsResponse* page) {
        return stub->ListExecutions(context, page_request, page);
      },
      [](v1::ListExecutionsResponse& page) { return page.mutable_executions(); }, ExecutionTable);
}

int ExecutionWatch(Session& session) {
  const WatchMode mode =
      session.options.output == Output::kJson ? WatchMode::kJson : TextMode(session);
  return FollowToTheEnd(session, mode,
                        [&](Follower& follower) { return follower.Watch(ExecutionName(session)); });
}

int ExecutionCancel(Session& session) {
  auto stub = v1::ExecutionService::NewStub(session.channel);
  v1::CancelExecutionRequest request;
  request.set_name(ExecutionName(session));
  request.set_reason(session.options.reason);
  v1::CancelExecutionResponse response;
  grpc::Status status = session.Unary([&](grpc::ClientContext& context) {
    return stub->CancelExecution(&context, request, &response);
  });
  if (!status.ok()) return session.Fail(status);
  const v1::Execution& execution = response.execution();
  std::string text = IsTerminal(execution.state())
                         ? Cat("It had ended already: ", StateText(execution), "\n")
                         : Cat("Cancel requested; it is ", StateText(execution),
                               " now. Watch it: ", session.invocation().program,
                               " execution watch ", ShellQuoted(request.name()), "\n");
  session.Print(execution, text);
  return kOk;
}

int ExecutionLogs(Session& session) {
  auto stub = v1::ExecutionService::NewStub(session.channel);
  v1::ReadLogRequest request;
  request.set_name(ExecutionName(session));
  request.set_offset(session.options.offset);
  request.set_follow(session.options.follow);
  grpc::Status status;
  for (int attempts = 0; attempts < kMaxLogAttempts; ++attempts) {
    bool progress = false;
    if (CopyLog(session, *stub, &request, &status, &progress)) return kOk;
    if (progress) attempts = 0;
    const bool resumable = session.options.follow && request.offset() > session.options.offset &&
                           status.error_code() == grpc::StatusCode::UNAVAILABLE;
    if (!resumable || !session.environment.clock.SleepFor(kLogRetryDelay, session.environment.stop))
      break;
  }
  return session.Fail(status);
}

}  // namespace capstan::cli
