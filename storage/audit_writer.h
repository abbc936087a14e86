// One writer's chain of audit rows. Rows are appended within the transaction of the change they
// report, each with the hash of the one before.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/ids.h"
#include "storage/connection.h"

namespace capstan::storage {

// Not thread-safe; used under the transaction of its connection.
class AuditWriter {
 public:
  // `now` goes into the chain's name.
  explicit AuditWriter(absl::Time now) : chain_(AuditChainId::Make(now)) {}

  // Appends one row that holds these JSON values, in order. Nothing for none.
  absl::Status Append(Connection& connection, const std::vector<std::string>& entries) const;

 private:
  const AuditChainId chain_;
};

}  // namespace capstan::storage
