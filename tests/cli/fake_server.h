// A server of the API in this process whose answers a test writes down beforehand.
#pragma once

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "capstan/v1/admin_service.grpc.pb.h"
#include "capstan/v1/approval_service.grpc.pb.h"
#include "capstan/v1/catalog_service.grpc.pb.h"
#include "capstan/v1/execution_service.grpc.pb.h"

namespace capstan::cli {

// One stream: what it sends, whether it then waits until the client leaves, and how it ends.
struct Script {
  std::vector<v1::ExecutionUpdate> updates;
  grpc::Status end = grpc::Status::OK;
  bool hang = false;
  bool deduplicated = false;
};

// One stream of a transcript: what it sends and how it ends.
struct Reading {
  std::vector<v1::TranscriptEntry> entries;
  bool eof = true;
  grpc::Status end = grpc::Status::OK;
};

// How the next unary calls end, in order: OK when nothing is written down.
class Refusals {
 public:
  void Push(grpc::Status status) { statuses_.push_back(std::move(status)); }
  grpc::Status Next() {
    if (statuses_.empty()) return grpc::Status::OK;
    grpc::Status status = std::move(statuses_.front());
    statuses_.pop_front();
    return status;
  }

 private:
  std::deque<grpc::Status> statuses_;
};

// What "capstan-caller" of a call said; empty when it said nothing.
inline std::string CallerOf(const grpc::ServerContext& context) {
  const auto found = context.client_metadata().find("capstan-caller");
  if (found == context.client_metadata().end()) return "";
  return {found->second.data(), found->second.size()};
}

class FakeExecutions final : public v1::ExecutionService::Service {
 public:
  grpc::Status ExecuteAction(grpc::ServerContext* context, const v1::ExecuteActionRequest* request,
                             grpc::ServerWriter<v1::ExecuteActionResponse>* writer) override {
    submitted.push_back(*request);
    return Play<v1::ExecuteActionResponse>(context, writer);
  }
  grpc::Status RunTask(grpc::ServerContext* context, const v1::RunTaskRequest* request,
                       grpc::ServerWriter<v1::RunTaskResponse>* writer) override {
    tasks.push_back(*request);
    return Play<v1::RunTaskResponse>(context, writer);
  }
  grpc::Status PauseExecution(grpc::ServerContext*, const v1::PauseExecutionRequest* request,
                              v1::PauseExecutionResponse* response) override {
    paused.push_back(*request);
    *response->mutable_execution() = execution;
    return refusals.Next();
  }
  grpc::Status ResumeExecution(grpc::ServerContext*, const v1::ResumeExecutionRequest* request,
                               v1::ResumeExecutionResponse* response) override {
    resumed.push_back(*request);
    *response->mutable_execution() = execution;
    return refusals.Next();
  }
  grpc::Status ReadTranscript(grpc::ServerContext*, const v1::ReadTranscriptRequest* request,
                              grpc::ServerWriter<v1::ReadTranscriptResponse>* writer) override {
    transcripts_read.push_back(*request);
    if (readings.empty()) return {grpc::StatusCode::UNAVAILABLE, "draining"};
    const Reading reading = readings.front();
    readings.pop_front();
    v1::ReadTranscriptResponse response;
    for (const v1::TranscriptEntry& entry : reading.entries) {
      *response.mutable_entry() = entry;
      writer->Write(response);
    }
    response.Clear();
    response.set_eof(true);
    if (reading.eof) writer->Write(response);
    return reading.end;
  }
  grpc::Status WatchExecution(grpc::ServerContext* context,
                              const v1::WatchExecutionRequest* request,
                              grpc::ServerWriter<v1::WatchExecutionResponse>* writer) override {
    callers.push_back(CallerOf(*context));
    watched.push_back(*request);
    return Play<v1::WatchExecutionResponse>(context, writer);
  }
  grpc::Status GetExecution(grpc::ServerContext*, const v1::GetExecutionRequest* request,
                            v1::GetExecutionResponse* response) override {
    if (request->name() != execution.name())
      return {grpc::StatusCode::NOT_FOUND, "no such execution"};
    *response->mutable_execution() = execution;
    return grpc::Status::OK;
  }
  grpc::Status ListExecutions(grpc::ServerContext*, const v1::ListExecutionsRequest* request,
                              v1::ListExecutionsResponse* response) override {
    listed.push_back(*request);
    *response = pages.front();
    pages.pop_front();
    return grpc::Status::OK;
  }
  grpc::Status ListEvents(grpc::ServerContext*, const v1::ListEventsRequest* request,
                          v1::ListEventsResponse* response) override {
    // A page of one event each.
    const int at = request->page_token().empty() ? 0 : std::stoi(request->page_token());
    *response->add_events() = events.at(at);
    if (at + 1 < static_cast<int>(events.size()))
      response->set_next_page_token(std::to_string(at + 1));
    return grpc::Status::OK;
  }
  grpc::Status CancelExecution(grpc::ServerContext*, const v1::CancelExecutionRequest* request,
                               v1::CancelExecutionResponse* response) override {
    cancelled.push_back(*request);
    *response->mutable_execution() = execution;
    return grpc::Status::OK;
  }
  grpc::Status ReadLog(grpc::ServerContext*, const v1::ReadLogRequest* request,
                       grpc::ServerWriter<v1::ReadLogResponse>* writer) override {
    // One half a stream, when followed: the first breaks in the middle.
    const size_t half = log.size() / 2;
    const bool first = request->offset() == 0 && request->follow();
    v1::ReadLogResponse piece;
    piece.set_data(first ? log.substr(0, half) : log.substr(request->offset()));
    piece.set_next_offset(request->offset() + static_cast<int64_t>(piece.data().size()));
    piece.set_eof(!first);
    writer->Write(piece);
    return first ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "draining") : grpc::Status::OK;
  }

  grpc::Status RetryExecution(grpc::ServerContext*, const v1::RetryExecutionRequest* request,
                              v1::RetryExecutionResponse* response) override {
    retried.push_back(*request);
    *response->mutable_execution() = execution;
    response->set_deduplicated(deduplicated);
    return refusals.Next();
  }
  grpc::Status RollbackExecution(grpc::ServerContext*, const v1::RollbackExecutionRequest* request,
                                 v1::RollbackExecutionResponse* response) override {
    rolled_back.push_back(*request);
    *response->mutable_execution() = execution;
    response->set_deduplicated(deduplicated);
    return refusals.Next();
  }
  grpc::Status ExplainExecution(grpc::ServerContext*, const v1::ExplainExecutionRequest* request,
                                v1::ExplainExecutionResponse* response) override {
    explained.push_back(*request);
    *response = explanation;
    return refusals.Next();
  }

  // Blocks until a stream that hangs is open.
  void AwaitHanging() {
    std::unique_lock lock(mu_);
    changed_.wait(lock, [&] { return hanging_; });
  }

  std::deque<Script> scripts;    // one for each ExecuteAction, RunTask and WatchExecution, in order
  std::deque<Reading> readings;  // one for each ReadTranscript; then no server answers
  std::vector<v1::RunTaskRequest> tasks;
  std::vector<v1::PauseExecutionRequest> paused;
  std::vector<v1::ResumeExecutionRequest> resumed;
  std::vector<v1::ReadTranscriptRequest> transcripts_read;
  v1::Execution execution;
  std::deque<v1::ListExecutionsResponse> pages;
  std::vector<v1::ExecutionEvent> events;
  std::string log;
  std::vector<v1::ExecuteActionRequest> submitted;
  std::vector<v1::WatchExecutionRequest> watched;
  std::vector<v1::ListExecutionsRequest> listed;
  std::vector<v1::CancelExecutionRequest> cancelled;
  Refusals refusals;
  bool deduplicated = false;
  v1::ExplainExecutionResponse explanation;
  std::vector<v1::RetryExecutionRequest> retried;
  std::vector<v1::RollbackExecutionRequest> rolled_back;
  std::vector<v1::ExplainExecutionRequest> explained;
  std::vector<std::string> callers;  // of each WatchExecution

 private:
  static void SetDeduplicated(v1::ExecuteActionResponse& response, bool value) {
    response.set_deduplicated(value);
  }
  static void SetDeduplicated(v1::RunTaskResponse& response, bool value) {
    response.set_deduplicated(value);
  }
  static void SetDeduplicated(v1::WatchExecutionResponse&, bool) {}

  template <class Response>
  grpc::Status Play(grpc::ServerContext* context, grpc::ServerWriter<Response>* writer) {
    if (scripts.empty())
      return {grpc::StatusCode::INTERNAL, "the test wrote down no further stream"};
    const Script script = scripts.front();
    scripts.pop_front();
    for (const v1::ExecutionUpdate& update : script.updates) {
      Response response;
      *response.mutable_update() = update;
      SetDeduplicated(response, script.deduplicated);
      writer->Write(response);
    }
    if (script.hang) WaitForLeave(context, writer);
    return script.end;
  }

  // Heartbeats until the client has left, which a write finds out.
  template <class Response>
  void WaitForLeave(grpc::ServerContext* context, grpc::ServerWriter<Response>* writer) {
    {
      std::lock_guard lock(mu_);
      hanging_ = true;
    }
    changed_.notify_all();
    Response heartbeat;
    heartbeat.mutable_update()->mutable_heartbeat();
    while (!context->IsCancelled() && writer->Write(heartbeat)) std::this_thread::yield();
  }

  std::mutex mu_;
  std::condition_variable changed_;
  bool hanging_ = false;
};

class FakeCatalog final : public v1::CatalogService::Service {
 public:
  grpc::Status ListActions(grpc::ServerContext*, const v1::ListActionsRequest*,
                           v1::ListActionsResponse* response) override {
    *response->add_actions() = action;
    return grpc::Status::OK;
  }
  grpc::Status GetAction(grpc::ServerContext*, const v1::GetActionRequest* request,
                         v1::GetActionResponse* response) override {
    if (request->name() != action.name()) return {grpc::StatusCode::NOT_FOUND, "no such action"};
    *response->mutable_action() = action;
    return grpc::Status::OK;
  }

  grpc::Status ListWorkflows(grpc::ServerContext*, const v1::ListWorkflowsRequest*,
                             v1::ListWorkflowsResponse* response) override {
    *response->add_workflows() = workflow;
    return grpc::Status::OK;
  }
  grpc::Status GetWorkflow(grpc::ServerContext*, const v1::GetWorkflowRequest* request,
                           v1::GetWorkflowResponse* response) override {
    workflows_read.push_back(request->name());
    *response->mutable_workflow() = workflow;
    return grpc::Status::OK;
  }
  grpc::Status PutWorkflow(grpc::ServerContext*, const v1::PutWorkflowRequest* request,
                           v1::PutWorkflowResponse* response) override {
    workflows_put.push_back(*request);
    *response->mutable_workflow() = workflow;
    response->set_unchanged(unchanged);
    return refusals.Next();
  }

  v1::Action action;
  v1::WorkflowVersion workflow;
  bool unchanged = false;
  Refusals refusals;
  std::vector<std::string> workflows_read;
  std::vector<v1::PutWorkflowRequest> workflows_put;
};

class FakeApprovals final : public v1::ApprovalService::Service {
 public:
  grpc::Status ListApprovals(grpc::ServerContext*, const v1::ListApprovalsRequest* request,
                             v1::ListApprovalsResponse* response) override {
    listed.push_back(*request);
    *response = pages.front();
    pages.pop_front();
    return grpc::Status::OK;
  }
  grpc::Status DecideApproval(grpc::ServerContext* context,
                              const v1::DecideApprovalRequest* request,
                              v1::DecideApprovalResponse* response) override {
    callers.push_back(CallerOf(*context));
    decided.push_back(*request);
    *response->mutable_execution() = execution;
    return refusals.Next();
  }

  std::deque<v1::ListApprovalsResponse> pages;
  v1::Execution execution;
  Refusals refusals;
  std::vector<v1::ListApprovalsRequest> listed;
  std::vector<v1::DecideApprovalRequest> decided;
  std::vector<std::string> callers;  // of each DecideApproval
};

class FakeAdmin final : public v1::AdminService::Service {
 public:
  grpc::Status ListWorkers(grpc::ServerContext*, const v1::ListWorkersRequest*,
                           v1::ListWorkersResponse* response) override {
    *response = workers;
    return grpc::Status::OK;
  }
  grpc::Status EmergencyStop(grpc::ServerContext*, const v1::EmergencyStopRequest* request,
                             v1::EmergencyStopResponse* response) override {
    stopped.push_back(*request);
    *response = stop;
    return refusals.Next();
  }
  grpc::Status ListEmergencyStops(grpc::ServerContext*, const v1::ListEmergencyStopsRequest*,
                                  v1::ListEmergencyStopsResponse* response) override {
    *response = stops;
    return refusals.Next();
  }
  grpc::Status LiftEmergencyStop(grpc::ServerContext*, const v1::LiftEmergencyStopRequest* request,
                                 v1::LiftEmergencyStopResponse* response) override {
    lifted.push_back(*request);
    *response = lift;
    return refusals.Next();
  }
  grpc::Status ListTargets(grpc::ServerContext*, const v1::ListTargetsRequest* request,
                           v1::ListTargetsResponse* response) override {
    targets_listed.push_back(*request);
    *response = target_pages.front();
    target_pages.pop_front();
    return grpc::Status::OK;
  }
  grpc::Status ClearTargetBlock(grpc::ServerContext*, const v1::ClearTargetBlockRequest* request,
                                v1::ClearTargetBlockResponse* response) override {
    cleared.push_back(*request);
    *response->mutable_target() = target;
    return refusals.Next();
  }
  grpc::Status SetProjectBudget(grpc::ServerContext*, const v1::SetProjectBudgetRequest* request,
                                v1::SetProjectBudgetResponse* response) override {
    budgets_set.push_back(*request);
    *response->mutable_budget() = budget;
    return refusals.Next();
  }
  grpc::Status ListProjectBudgets(grpc::ServerContext*, const v1::ListProjectBudgetsRequest*,
                                  v1::ListProjectBudgetsResponse* response) override {
    *response = budgets;
    return refusals.Next();
  }
  grpc::Status VerifyAudit(grpc::ServerContext*, const v1::VerifyAuditRequest*,
                           v1::VerifyAuditResponse* response) override {
    *response = audit;
    return refusals.Next();
  }

  grpc::Status ListPolicyDecisions(grpc::ServerContext*,
                                   const v1::ListPolicyDecisionsRequest* request,
                                   v1::ListPolicyDecisionsResponse* response) override {
    decisions_asked.push_back(*request);
    // A page of one decision each.
    const std::size_t at = request->page_token().empty() ? 0 : std::stoul(request->page_token());
    if (at < decisions.size()) *response->add_decisions() = decisions[at];
    if (at + 1 < decisions.size()) response->set_next_page_token(std::to_string(at + 1));
    return grpc::Status::OK;
  }

  Refusals refusals;
  v1::ListWorkersResponse workers;
  v1::EmergencyStopResponse stop;
  v1::ListEmergencyStopsResponse stops;
  v1::LiftEmergencyStopResponse lift;
  std::deque<v1::ListTargetsResponse> target_pages;
  v1::TargetStatus target;
  v1::ProjectBudget budget;
  v1::ListProjectBudgetsResponse budgets;
  v1::VerifyAuditResponse audit;
  std::vector<v1::EmergencyStopRequest> stopped;
  std::vector<v1::LiftEmergencyStopRequest> lifted;
  std::vector<v1::ListTargetsRequest> targets_listed;
  std::vector<v1::ClearTargetBlockRequest> cleared;
  std::vector<v1::SetProjectBudgetRequest> budgets_set;
  std::vector<v1::StoredPolicyDecision> decisions;
  std::vector<v1::ListPolicyDecisionsRequest> decisions_asked;
};

// All four on a free port of the loopback. Write the answers down before the client calls.
class FakeServer {
 public:
  explicit FakeServer(
      std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials()) {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", std::move(credentials), &port);
    builder.RegisterService(&executions);
    builder.RegisterService(&catalog);
    builder.RegisterService(&approvals);
    builder.RegisterService(&admin);
    server_ = builder.BuildAndStart();
    address = "127.0.0.1:" + std::to_string(port);
  }
  ~FakeServer() { server_->Shutdown(); }

  FakeExecutions executions;
  FakeCatalog catalog;
  FakeApprovals approvals;
  FakeAdmin admin;
  std::string address;

 private:
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace capstan::cli
