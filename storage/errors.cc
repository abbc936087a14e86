#include "storage/errors.h"

#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace capstan::storage {
namespace {
constexpr char kExisting[] = "capstan.storage/ExistingExecution";
}  // namespace

absl::Status RequestIdReused(const ExecutionId& existing) {
  absl::Status status = absl::AlreadyExistsError(
      absl::StrCat("request_id was used with another request, by ", ExecutionName(existing)));
  status.SetPayload(kExisting, absl::Cord(existing.ToString()));
  return status;
}

std::optional<ExecutionId> ExistingExecution(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kExisting);
  if (!payload.has_value()) return std::nullopt;
  return ExecutionId::Parse(std::string(*payload));
}

}  // namespace capstan::storage
