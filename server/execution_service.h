// capstan.v1.ExecutionService: what its proto says. Handlers check, hand over and return; nothing
// here blocks a gRPC thread.
#pragma once

#include "capstan/v1/execution_service.grpc.pb.h"
#include "server/parts.h"

namespace capstan::server {

class ExecutionServiceImpl final : public v1::ExecutionService::CallbackService {
 public:
  explicit ExecutionServiceImpl(const Parts& parts) : parts_(parts) {}

  grpc::ServerWriteReactor<v1::ExecuteActionResponse>* ExecuteAction(
      grpc::CallbackServerContext* context, const v1::ExecuteActionRequest* request) override;
  grpc::ServerUnaryReactor* BatchExecuteActions(grpc::CallbackServerContext* context,
                                                const v1::BatchExecuteActionsRequest* request,
                                                v1::BatchExecuteActionsResponse* response) override;
  grpc::ServerWriteReactor<v1::WatchExecutionResponse>* WatchExecution(
      grpc::CallbackServerContext* context, const v1::WatchExecutionRequest* request) override;
  grpc::ServerWriteReactor<v1::WatchExecutionsResponse>* WatchExecutions(
      grpc::CallbackServerContext* context, const v1::WatchExecutionsRequest* request) override;
  grpc::ServerUnaryReactor* GetExecution(grpc::CallbackServerContext* context,
                                         const v1::GetExecutionRequest* request,
                                         v1::GetExecutionResponse* response) override;
  grpc::ServerUnaryReactor* ListExecutions(grpc::CallbackServerContext* context,
                                           const v1::ListExecutionsRequest* request,
                                           v1::ListExecutionsResponse* response) override;
  grpc::ServerUnaryReactor* ListEvents(grpc::CallbackServerContext* context,
                                       const v1::ListEventsRequest* request,
                                       v1::ListEventsResponse* response) override;
  grpc::ServerUnaryReactor* CancelExecution(grpc::CallbackServerContext* context,
                                            const v1::CancelExecutionRequest* request,
                                            v1::CancelExecutionResponse* response) override;
  grpc::ServerUnaryReactor* CancelExecutions(grpc::CallbackServerContext* context,
                                             const v1::CancelExecutionsRequest* request,
                                             v1::CancelExecutionsResponse* response) override;
  grpc::ServerUnaryReactor* RetryExecution(grpc::CallbackServerContext* context,
                                           const v1::RetryExecutionRequest* request,
                                           v1::RetryExecutionResponse* response) override;
  grpc::ServerUnaryReactor* RollbackExecution(grpc::CallbackServerContext* context,
                                              const v1::RollbackExecutionRequest* request,
                                              v1::RollbackExecutionResponse* response) override;
  grpc::ServerUnaryReactor* ExplainExecution(grpc::CallbackServerContext* context,
                                             const v1::ExplainExecutionRequest* request,
                                             v1::ExplainExecutionResponse* response) override;
  grpc::ServerWriteReactor<v1::ReadLogResponse>* ReadLog(
      grpc::CallbackServerContext* context, const v1::ReadLogRequest* request) override;
  grpc::ServerWriteReactor<v1::RunTaskResponse>* RunTask(
      grpc::CallbackServerContext* context, const v1::RunTaskRequest* request) override;
  grpc::ServerUnaryReactor* PauseExecution(grpc::CallbackServerContext* context,
                                           const v1::PauseExecutionRequest* request,
                                           v1::PauseExecutionResponse* response) override;
  grpc::ServerUnaryReactor* ResumeExecution(grpc::CallbackServerContext* context,
                                            const v1::ResumeExecutionRequest* request,
                                            v1::ResumeExecutionResponse* response) override;
  grpc::ServerWriteReactor<v1::ReadTranscriptResponse>* ReadTranscript(
      grpc::CallbackServerContext* context, const v1::ReadTranscriptRequest* request) override;

 private:
  const Parts& parts_;
};

}  // namespace capstan::server
