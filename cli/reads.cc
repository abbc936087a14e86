#include "cli/reads.h"

#include <utility>

namespace capstan::cli {

grpc::Status GetExecution(const Session& session, v1::ExecutionService::Stub& stub,
                          v1::Execution* execution) {
  v1::GetExecutionRequest request;
  request.set_name(ExecutionName(session));
  v1::GetExecutionResponse response;
  grpc::Status status = session.Unary([&](grpc::ClientContext& context) {
    return stub.GetExecution(&context, request, &response);
  });
  *execution = std::move(*response.mutable_execution());
  return status;
}

}  // namespace capstan::cli
