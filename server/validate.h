// Checks what callers send, before anything is read or stored. Pure. Errors are INVALID_ARGUMENT
// with every violation as "field: got X, want Y".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "capstan/v1/execution_service.pb.h"
#include "core/catalog/catalog.h"
#include "core/catalog/request_check.h"
#include "core/ids.h"

namespace capstan::server {

inline constexpr int kMaxBatchRequests = 1000;
inline constexpr int kMaxLabels = 32;
inline constexpr std::size_t kMaxLabelKeyBytes = 63;
inline constexpr std::size_t kMaxLabelValueBytes = 128;
inline constexpr std::size_t kMaxParentNameBytes = 253;
inline constexpr std::size_t kMaxReasonBytes = 1024;
inline constexpr int kMaxPageSize = 1000;
inline constexpr int kDefaultListPageSize = 50;
inline constexpr int kDefaultEventsPageSize = 100;
inline constexpr int kMaxRetries = 5;

using catalog::kDefaultPriority;
using catalog::kDefaultRetries;

// A request that may be stored, with what the catalog makes of it.
struct CheckedAction {
  const catalog::ActionDefinition* action = nullptr;
  absl::Duration timeout;  // in force
  std::int32_t priority = kDefaultPriority;
  std::int32_t max_retries = kDefaultRetries;
  std::string request_id;  // lower case; empty: none
  v1::Target target;
};

// An unknown action is refused with the names that are known.
absl::StatusOr<CheckedAction> CheckExecuteAction(const v1::ExecuteActionRequest& request,
                                                 const catalog::Catalog& catalog);

// What tells two requests apart that carry the same request_id: SHA-256 over the request without
// request_id and wait_until, the same for the same content on every server.
std::string RequestHash(const v1::ExecuteActionRequest& request);
// The same for a request of another kind, and of its kind; the caller takes its request_id out.
std::string MessageHash(const google::protobuf::Message& body);

absl::Status CheckBatch(const v1::BatchExecuteActionsRequest& request);

// "executions/{uuid}".
absl::StatusOr<ExecutionId> CheckExecutionName(std::string_view name);

// after_seq and its like fit the store's 32-bit numbers; anything larger is beyond every event, and
// is returned as the largest number.
absl::StatusOr<std::int32_t> CheckAfterSeq(std::int64_t after_seq);

// 0 means `default_size`, more than kMaxPageSize means that.
absl::StatusOr<int> CheckPageSize(std::int32_t page_size, int default_size);

// In lower case; empty is fine.
absl::StatusOr<std::string> CheckRequestId(const std::string& request_id);
// A reason that must be given.
absl::Status CheckReason(const std::string& reason);
absl::Status CheckCancel(const v1::CancelExecutionRequest& request);
absl::Status CheckCancelAll(const v1::CancelExecutionsRequest& request);
absl::Status CheckReadLog(const v1::ReadLogRequest& request);

}  // namespace capstan::server
