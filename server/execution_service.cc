#include "server/execution_service.h"

#include <atomic>
#include <memory>
#include <utility>

#include "core/machine/states.h"
#include "core/status_macros.h"
#include "core/target_name.h"
#include "core/telemetry/span_names.h"
#include "core/text.h"
#include "server/cancel.h"
#include "server/execution_stream.h"
#include "server/executions_stream.h"
#include "server/explain.h"
#include "server/filter.h"
#include "server/log_stream.h"
#include "server/methods.h"
#include "server/rpc.h"
#include "server/snapshots.h"
#include "server/submission.h"
#include "server/successors.h"
#include "server/task_submission.h"
#include "server/transcript_stream.h"
#include "server/validate.h"
#include "server/validate_task.h"

namespace capstan::server {
namespace {

// One BatchExecuteActions in progress; the last answer that arrives ends the call.
struct Batch {
  grpc::ServerUnaryReactor* reactor;
  Rpc rpc;
  std::atomic<int> left;

  void OneDone() {
    if (left.fetch_sub(1) == 1) Answer(reactor, rpc, absl::OkStatus());
  }
};

// A snapshot read fresh for a unary call.
template <class Use>
void AnswerWithSnapshot(const Parts& parts, grpc::ServerUnaryReactor* reactor,
                        std::shared_ptr<Rpc> rpc, const ExecutionId& id, Use use) {
  parts.events.ReadLatest(id, [=](const absl::StatusOr<EventListPtr>& list) {
    if (list.ok()) use((*list)->Snapshot());
    Answer(reactor, *rpc, list.status());
  });
}

absl::Status ListExecutionsNow(const Parts& parts, const v1::ListExecutionsRequest& request,
                               v1::ListExecutionsResponse& response) {
  CAPSTAN_ASSIGN_OR_RETURN(const int size,
                           CheckPageSize(request.page_size(), kDefaultListPageSize));
  CAPSTAN_ASSIGN_OR_RETURN(const storage::ExecutionFilter filter,
                           ParseFilter(request.filter(), StateTerms::kAllowed));
  ExecutionId before;
  if (!request.page_token().empty()) {
    CAPSTAN_ASSIGN_OR_RETURN(before,
                             ReadListToken(parts.tokens, request.filter(), request.page_token()));
  }
  CAPSTAN_ASSIGN_OR_RETURN(std::vector<ExecutionId> ids,
                           parts.reader.ListExecutions(filter, before, size + 1));
  const bool more = static_cast<int>(ids.size()) > size;
  if (more) ids.resize(size);
  if (ids.empty()) return absl::OkStatus();
  CAPSTAN_ASSIGN_OR_RETURN(std::vector<v1::Execution> found, ReadSnapshots(parts.reader, ids));
  for (v1::Execution& execution : found) *response.add_executions() = std::move(execution);
  if (more) {
    response.set_next_page_token(MakeListToken(parts.tokens, request.filter(), ids.back()));
  }
  return absl::OkStatus();
}

absl::Status ListEventsNow(const Parts& parts, const v1::ListEventsRequest& request,
                           v1::ListEventsResponse& response) {
  CAPSTAN_ASSIGN_OR_RETURN(const ExecutionId id, CheckExecutionName(request.name()));
  CAPSTAN_ASSIGN_OR_RETURN(const int size,
                           CheckPageSize(request.page_size(), kDefaultEventsPageSize));
  std::int32_t after = 0;
  if (!request.page_token().empty()) {
    CAPSTAN_ASSIGN_OR_RETURN(after, ReadEventsToken(parts.tokens, id, request.page_token()));
  }
  CAPSTAN_ASSIGN_OR_RETURN(std::vector<storage::StoredEvent> rows,
                           parts.reader.ReadEvents(id, after, size + 1));
  if (rows.empty() && after == 0) return ExecutionNotFound(request.name());
  const bool more = static_cast<int>(rows.size()) > size;
  if (more) rows.resize(size);
  for (const storage::StoredEvent& row : rows) {
    CAPSTAN_ASSIGN_OR_RETURN(*response.add_events(), DecodeEvent(row));
  }
  if (more) {
    response.set_next_page_token(MakeEventsToken(parts.tokens, id, rows.back().seq));
  }
  return absl::OkStatus();
}

// Submits what `make`, a StatusOr<Successor>(const EventList&), makes of an ended execution, and
// answers with the new one.
template <class Request, class Response, class Make>
grpc::ServerUnaryReactor* AnswerWithSuccessor(const Parts& parts, std::string_view method,
                                              grpc::CallbackServerContext* context,
                                              const Request* request, Response* response,
                                              Make make) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  auto rpc = std::make_shared<Rpc>(parts, method, *context);
  if (Refused(parts, reactor, *rpc)) return reactor;
  const absl::StatusOr<ExecutionId> id = CheckExecutionName(request->name());
  const absl::Status request_id = CheckRequestId(request->request_id()).status();
  if (!id.ok() || !request_id.ok()) {
    Answer(reactor, *rpc, id.ok() ? request_id : id.status());
    return reactor;
  }
  parts.events.ReadLatest(*id, [=, &parts](const absl::StatusOr<EventListPtr>& list) {
    if (!list.ok()) return Answer(reactor, *rpc, list.status());
    const auto submitted = [=, &parts](const absl::StatusOr<storage::SubmitResult>& result) {
      if (!result.ok()) return Answer(reactor, *rpc, result.status());
      response->set_deduplicated(result->deduplicated);
      AnswerWithSnapshot(parts, reactor, rpc, result->id, [response](v1::Execution snapshot) {
        *response->mutable_execution() = std::move(snapshot);
      });
    };
    if constexpr (std::is_same_v<Request, v1::RetryExecutionRequest>) {
      if (IsTask(**list)) return RetryTask(parts, rpc, *request, **list, submitted);
    }
    absl::StatusOr<Successor> next = make(**list);
    if (!next.ok()) return Answer(reactor, *rpc, next.status());
    Request body = *request;
    body.clear_request_id();
    next->links.request_hash = MessageHash(body);
    const auto kept = std::make_shared<const Successor>(*std::move(next));
    CheckAndSubmit(parts, *rpc, kept->request, kept->links,
                   [kept, submitted](const absl::StatusOr<storage::SubmitResult>& result) {
                     submitted(result);
                   });
  });
  return reactor;
}

absl::Status ExplainNow(const Parts& parts, const v1::ExplainExecutionRequest& request,
                        v1::ExplainExecutionResponse& response) {
  CAPSTAN_ASSIGN_OR_RETURN(const ExecutionId id, CheckExecutionName(request.name()));
  Situation situation;
  CAPSTAN_ASSIGN_OR_RETURN(situation.execution, ReadSnapshot(parts.reader, id, request.name()));
  CAPSTAN_ASSIGN_OR_RETURN(situation.standing, parts.reader.ReadStanding(id));
  CAPSTAN_ASSIGN_OR_RETURN(situation.target,
                           parts.admin.ReadTarget(TargetKey(situation.execution.target())));
  if (situation.execution.block_reason() == v1::Execution::BLOCK_REASON_BUDGET) {
    CAPSTAN_ASSIGN_OR_RETURN(situation.project,
                             parts.tasks.ReadProject(situation.execution.project()));
  }
  for (const v1::StepStatus& step : situation.execution.steps()) {
    const std::optional<ExecutionId> child = ParseExecutionName(step.child());
    if (step.state() != v1::StepStatus::STATE_RUNNING || !child.has_value()) continue;
    absl::StatusOr<v1::Execution> read = ReadSnapshot(parts.reader, *child, step.child());
    if (read.ok() && !machine::IsTerminal(read->state()))
      situation.children.push_back(*std::move(read));
  }
  response = Explain(situation);
  return absl::OkStatus();
}

// Asks a task to pause, or to go on.
template <class Request, class Response>
grpc::ServerUnaryReactor* AskTask(const Parts& parts, std::string_view method,
                                  grpc::CallbackServerContext* context, const Request* request,
                                  Response* response, storage::SignalKind kind) {
  return AnswerOnPool(parts, method, context, [=, &parts](Rpc& rpc) -> absl::Status {
    CAPSTAN_ASSIGN_OR_RETURN(const ExecutionId id, CheckExecutionName(request->name()));
    CAPSTAN_RETURN_IF_ERROR(CheckPause(request->reason()));
    CAPSTAN_ASSIGN_OR_RETURN(const v1::Execution before,
                             ReadSnapshot(parts.reader, id, request->name()));
    if (before.workflow().empty()) {
      return Error(absl::StatusCode::kFailedPrecondition, "NOT_A_TASK",
                   Cat(request->name(), " is an action: actions are cancelled, not paused"));
    }
    CAPSTAN_ASSIGN_OR_RETURN(
        const storage::SignalResult stored,
        parts.reader.AppendSignal(id, PauseSignal(kind, rpc.caller(), *request)));
    if (stored == storage::SignalResult::kAlreadyEnded) {
      return Error(absl::StatusCode::kFailedPrecondition, "ALREADY_ENDED",
                   Cat(request->name(), " has ended"));
    }
    CAPSTAN_ASSIGN_OR_RETURN(*response->mutable_execution(),
                             ReadSnapshot(parts.reader, id, request->name()));
    return absl::OkStatus();
  });
}

absl::Status CancelAllNow(const Parts& parts, const std::string& caller,
                          const v1::CancelExecutionsRequest& request,
                          v1::CancelExecutionsResponse& response) {
  CAPSTAN_RETURN_IF_ERROR(CheckCancelAll(request));
  storage::ExecutionFilter filter;
  filter.parent = request.parent();
  const auto all = [](std::vector<ExecutionId> page) { return page; };
  return CancelLive(parts.reader, filter, caller, request.reason(), all,
                    *response.mutable_cancelled());
}

Until UntilOf(v1::ExecuteActionRequest::WaitUntil wait_until) {
  return wait_until == v1::ExecuteActionRequest::WAIT_UNTIL_ACCEPTED ? Until::kSnapshot
                                                                     : Until::kTerminal;
}

}  // namespace

grpc::ServerWriteReactor<v1::ExecuteActionResponse>* ExecutionServiceImpl::ExecuteAction(
    grpc::CallbackServerContext* context, const v1::ExecuteActionRequest* request) {
  auto stream =
      std::make_shared<ExecutionStream<v1::ExecuteActionResponse>>(parts_, kExecuteAction, context);
  if (!stream->Open()) return stream.get();
  const Until until = UntilOf(request->wait_until());
  CheckAndSubmit(parts_, stream->rpc(), *request, {},
                 [stream, until](const absl::StatusOr<storage::SubmitResult>& result) {
                   if (!result.ok()) return stream->End(result.status());
                   stream->Follow({.id = result->id,
                                   .until = until,
                                   .deduplicated = result->deduplicated,
                                   .submitted = true});
                 });
  return stream.get();
}

grpc::ServerWriteReactor<v1::RunTaskResponse>* ExecutionServiceImpl::RunTask(
    grpc::CallbackServerContext* context, const v1::RunTaskRequest* request) {
  auto stream = std::make_shared<ExecutionStream<v1::RunTaskResponse>>(parts_, kRunTask, context);
  if (!stream->Open()) return stream.get();
  const Until until = UntilOf(request->wait_until());
  // The stream lives as long as its Rpc is used.
  CheckAndSubmitTask(parts_, std::shared_ptr<Rpc>(stream, &stream->rpc()), *request,
                     [stream, until](const absl::StatusOr<storage::SubmitResult>& result) {
                       if (!result.ok()) return stream->End(result.status());
                       stream->Follow({.id = result->id,
                                       .until = until,
                                       .deduplicated = result->deduplicated,
                                       .submitted = true});
                     });
  return stream.get();
}

grpc::ServerUnaryReactor* ExecutionServiceImpl::PauseExecution(
    grpc::CallbackServerContext* context, const v1::PauseExecutionRequest* request,
    v1::PauseExecutionResponse* response) {
  return AskTask(parts_, kPauseExecution, context, request, response, storage::SignalKind::kPause);
}

grpc::ServerUnaryReactor* ExecutionServiceImpl::ResumeExecution(
    grpc::CallbackServerContext* context, const v1::ResumeExecutionRequest* request,
    v1::ResumeExecutionResponse* response) {
  return AskTask(parts_, kResumeExecution, context, request, response,
                 storage::SignalKind::kResume);
}

grpc::ServerWriteReactor<v1::ReadTranscriptResponse>* ExecutionServiceImpl::ReadTranscript(
    grpc::CallbackServerContext* context, const v1::ReadTranscriptRequest* request) {
  auto stream = std::make_shared<TranscriptStream>(parts_, kReadTranscript, context);
  if (!stream->Open()) return stream.get();
  const absl::StatusOr<ExecutionId> id = CheckExecutionName(request->name());
  const absl::Status checked = CheckReadTranscript(*request);
  if (!id.ok() || !checked.ok()) {
    stream->End(id.ok() ? checked : id.status());
    return stream.get();
  }
  stream->Read(*id, *request);
  return stream.get();
}

grpc::ServerUnaryReactor* ExecutionServiceImpl::BatchExecuteActions(
    grpc::CallbackServerContext* context, const v1::BatchExecuteActionsRequest* request,
    v1::BatchExecuteActionsResponse* response) {
  auto batch = std::shared_ptr<Batch>(new Batch{context->DefaultReactor(),
                                                Rpc(parts_, kBatchExecuteActions, *context),
                                                {request->requests_size() + 1}});
  if (Refused(parts_, batch->reactor, batch->rpc)) return batch->reactor;
  if (absl::Status status = CheckBatch(*request); !status.ok()) {
    Answer(batch->reactor, batch->rpc, status);
    return batch->reactor;
  }
  // All slots first: the answers come on other threads, each to its own slot.
  for (int i = 0; i < request->requests_size(); ++i) response->add_results();
  for (int i = 0; i < request->requests_size(); ++i) {
    v1::BatchExecuteActionsResponse::Result* slot = response->mutable_results(i);
    CheckAndSubmit(parts_, batch->rpc, request->requests(i), {},
                   [batch, slot](const absl::StatusOr<storage::SubmitResult>& result) {
                     *slot->mutable_status() = ToRpcStatus(result.status());
                     if (result.ok()) {
                       slot->set_execution(ExecutionName(result->id));
                       slot->set_deduplicated(result->deduplicated);
                     }
                     batch->OneDone();
                   });
  }
  batch->OneDone();  // the one this handler held
  return batch->reactor;
}

grpc::ServerWriteReactor<v1::WatchExecutionResponse>* ExecutionServiceImpl::WatchExecution(
    grpc::CallbackServerContext* context, const v1::WatchExecutionRequest* request) {
  auto stream = std::make_shared<ExecutionStream<v1::WatchExecutionResponse>>(
      parts_, kWatchExecution, context);
  if (!stream->Open()) return stream.get();
  const absl::StatusOr<ExecutionId> id = CheckExecutionName(request->name());
  const absl::StatusOr<std::int32_t> after_seq = CheckAfterSeq(request->after_seq());
  if (!id.ok() || !after_seq.ok()) {
    stream->End(id.ok() ? after_seq.status() : id.status());
    return stream.get();
  }
  stream->Follow({.id = *id, .after_seq = *after_seq});
  return stream.get();
}

grpc::ServerWriteReactor<v1::WatchExecutionsResponse>* ExecutionServiceImpl::WatchExecutions(
    grpc::CallbackServerContext* context, const v1::WatchExecutionsRequest* request) {
  auto stream = std::make_shared<ExecutionsStream>(parts_, kWatchExecutions, context);
  if (stream->Open()) stream->Follow(*request);
  return stream.get();
}

grpc::ServerUnaryReactor* ExecutionServiceImpl::GetExecution(grpc::CallbackServerContext* context,
                                                             const v1::GetExecutionRequest* request,
                                                             v1::GetExecutionResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  auto rpc = std::make_shared<Rpc>(parts_, kGetExecution, *context);
  if (Refused(parts_, reactor, *rpc)) return reactor;
  const absl::StatusOr<ExecutionId> id = CheckExecutionName(request->name());
  if (!id.ok()) {
    Answer(reactor, *rpc, id.status());
    return reactor;
  }
  AnswerWithSnapshot(parts_, reactor, rpc, *id, [response](v1::Execution snapshot) {
    *response->mutable_execution() = std::move(snapshot);
  });
  return reactor;
}

grpc::ServerUnaryReactor* ExecutionServiceImpl::ListExecutions(
    grpc::CallbackServerContext* context, const v1::ListExecutionsRequest* request,
    v1::ListExecutionsResponse* response) {
  return AnswerOnPool(parts_, kListExecutions, context, [this, request, response](Rpc&) {
    return ListExecutionsNow(parts_, *request, *response);
  });
}

grpc::ServerUnaryReactor* ExecutionServiceImpl::ListEvents(grpc::CallbackServerContext* context,
                                                           const v1::ListEventsRequest* request,
                                                           v1::ListEventsResponse* response) {
  return AnswerOnPool(parts_, kListEvents, context, [this, request, response](Rpc&) {
    return ListEventsNow(parts_, *request, *response);
  });
}

grpc::ServerUnaryReactor* ExecutionServiceImpl::CancelExecution(
    grpc::CallbackServerContext* context, const v1::CancelExecutionRequest* request,
    v1::CancelExecutionResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  auto rpc = std::make_shared<Rpc>(parts_, kCancelExecution, *context);
  if (Refused(parts_, reactor, *rpc)) return reactor;
  const bool queued = parts_.pool.TrySubmit([this, reactor, rpc, request, response] {
    absl::StatusOr<ExecutionId> id = CheckExecutionName(request->name());
    absl::Status status = id.status();
    if (status.ok()) status = CheckCancel(*request);
    if (status.ok()) {
      // kAlreadyEnded is fine too: the snapshot says how it ended.
      status =
          parts_.reader
              .AppendSignal(*id, CancelSignal(rpc->caller(), request->name(), request->reason()))
              .status();
      if (absl::IsNotFound(status)) status = ExecutionNotFound(request->name());
    }
    if (!status.ok()) return Answer(reactor, *rpc, status);
    AnswerWithSnapshot(parts_, reactor, rpc, *id, [response](v1::Execution snapshot) {
      *response->mutable_execution() = std::move(snapshot);
    });
  });
  if (!queued) {
    Answer(reactor, *rpc,
           Error(absl::StatusCode::kResourceExhausted, "OVERLOADED", "too many calls wait"));
  }
  return reactor;
}

grpc::ServerUnaryReactor* ExecutionServiceImpl::CancelExecutions(
    grpc::CallbackServerContext* context, const v1::CancelExecutionsRequest* request,
    v1::CancelExecutionsResponse* response) {
  return AnswerOnPool(parts_, kCancelExecutions, context, [this, request, response](Rpc& rpc) {
    return CancelAllNow(parts_, rpc.caller(), *request, *response);
  });
}

grpc::ServerUnaryReactor* ExecutionServiceImpl::RetryExecution(
    grpc::CallbackServerContext* context, const v1::RetryExecutionRequest* request,
    v1::RetryExecutionResponse* response) {
  return AnswerWithSuccessor(parts_, kRetryExecution, context, request, response,
                             [this, request](const EventList& original) {
                               return MakeRetry(*request, original, parts_.catalog);
                             });
}

grpc::ServerUnaryReactor* ExecutionServiceImpl::RollbackExecution(
    grpc::CallbackServerContext* context, const v1::RollbackExecutionRequest* request,
    v1::RollbackExecutionResponse* response) {
  return AnswerWithSuccessor(
      parts_, kRollbackExecution, context, request, response,
      [request](const EventList& original) { return MakeRollback(*request, original); });
}

grpc::ServerUnaryReactor* ExecutionServiceImpl::ExplainExecution(
    grpc::CallbackServerContext* context, const v1::ExplainExecutionRequest* request,
    v1::ExplainExecutionResponse* response) {
  return AnswerOnPool(parts_, kExplainExecution, context, [this, request, response](Rpc&) {
    return ExplainNow(parts_, *request, *response);
  });
}

grpc::ServerWriteReactor<v1::ReadLogResponse>* ExecutionServiceImpl::ReadLog(
    grpc::CallbackServerContext* context, const v1::ReadLogRequest* request) {
  auto stream = std::make_shared<LogStream>(parts_, kReadLog, context);
  if (!stream->Open()) return stream.get();
  const absl::StatusOr<ExecutionId> id = CheckExecutionName(request->name());
  const absl::Status checked = CheckReadLog(*request);
  if (!id.ok() || !checked.ok()) {
    stream->End(id.ok() ? checked : id.status());
    return stream.get();
  }
  stream->Read(*id, request->offset(), request->follow());
  return stream.get();
}

}  // namespace capstan::server
