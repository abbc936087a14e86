// Asks executions to cancel, with an entry of the audit log for each.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/repeated_field.h"
#include "server/audit_text.h"
#include "storage/reader.h"
#include "storage/types.h"

namespace capstan::server {

storage::NewSignal CancelSignal(const std::string& caller, const std::string& execution,
                                const std::string& reason);

// Asks a task to pause or to go on. `Request` has a name and a reason.
template <class Request>
storage::NewSignal PauseSignal(storage::SignalKind kind, const std::string& caller,
                               const Request& request) {
  return {.kind = kind,
          .caller = caller,
          .reason = request.reason(),
          .audit = AuditText({{"kind", kind == storage::SignalKind::kPause ? "pause" : "resume"},
                              {"caller", caller},
                              {"execution", request.name()},
                              {"reason", request.reason()}})};
}

// Those of some executions that are to be cancelled.
using Choose =
    std::function<absl::StatusOr<std::vector<ExecutionId>>(std::vector<ExecutionId> page)>;

// Cancels those live executions that `filter` finds and `choose` takes, page by page, at most
// 10,000; adds their names to `cancelled`. One that has ended meanwhile is left out.
absl::Status CancelLive(storage::Reader& reader, const storage::ExecutionFilter& filter,
                        const std::string& caller, const std::string& reason, const Choose& choose,
                        google::protobuf::RepeatedPtrField<std::string>& cancelled);

}  // namespace capstan::server
