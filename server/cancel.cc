#include "server/cancel.h"

#include "core/status_macros.h"
#include "server/audit_text.h"

namespace capstan::server {
namespace {

constexpr int kPage = 1000;
constexpr int kMostCancelled = 10'000;

}  // namespace

storage::NewSignal CancelSignal(const std::string& caller, const std::string& execution,
                                const std::string& reason) {
  return {
      .kind = storage::SignalKind::kCancel,
      .caller = caller,
      .reason = reason,
      .audit = AuditText(
          {{"kind", "cancel"}, {"caller", caller}, {"execution", execution}, {"reason", reason}})};
}

absl::Status CancelLive(storage::Reader& reader, const storage::ExecutionFilter& filter,
                        const std::string& caller, const std::string& reason, const Choose& choose,
                        google::protobuf::RepeatedPtrField<std::string>& cancelled) {
  ExecutionId after;
  while (true) {
    CAPSTAN_ASSIGN_OR_RETURN(std::vector<ExecutionId> ids, reader.ListLive(filter, after, kPage));
    if (ids.empty()) return absl::OkStatus();
    after = ids.back();
    CAPSTAN_ASSIGN_OR_RETURN(ids, choose(std::move(ids)));
    for (const ExecutionId& id : ids) {
      if (cancelled.size() == kMostCancelled) return absl::OkStatus();
      const std::string name = ExecutionName(id);
      CAPSTAN_ASSIGN_OR_RETURN(const storage::SignalResult stored,
                               reader.AppendSignal(id, CancelSignal(caller, name, reason)));
      if (stored == storage::SignalResult::kStored) *cancelled.Add() = name;
    }
  }
  return absl::OkStatus();
}

}  // namespace capstan::server
