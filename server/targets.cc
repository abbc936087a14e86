#include "server/targets.h"

#include "core/status_macros.h"
#include "core/target_name.h"
#include "core/text.h"
#include "server/audit_text.h"
#include "server/errors.h"
#include "server/proto_time.h"
#include "server/validate.h"

namespace capstan::server {
namespace {

constexpr std::string_view kTokenPurpose = "targets";

v1::TargetStatus ToProto(const storage::TargetRow& row) {
  v1::TargetStatus target;
  target.set_name(TargetName(row.key));
  if (!row.holder.IsNone()) {
    target.set_holder(ExecutionName(row.holder));
    *target.mutable_hold_time() = server::ToProto(row.held_at);
  }
  for (const storage::TargetWaiter& waiter : row.waiting)
    target.add_waiting(ExecutionName(waiter.id));
  if (!row.blocked_by.IsNone()) target.set_blocked_by(ExecutionName(row.blocked_by));
  target.set_block_message(row.block_message);
  target.set_consecutive_failures(row.failures);
  if (row.backoff_until != absl::InfinitePast())
    *target.mutable_backoff_until() = server::ToProto(row.backoff_until);
  target.set_last_action(row.last_action);
  if (row.last_success_at != absl::InfinitePast())
    *target.mutable_last_success_time() = server::ToProto(row.last_success_at);
  return target;
}

}  // namespace

absl::Status ListTargetsNow(const Parts& parts, const v1::ListTargetsRequest& request,
                            v1::ListTargetsResponse& response) {
  CAPSTAN_ASSIGN_OR_RETURN(const int size,
                           CheckPageSize(request.page_size(), kDefaultListPageSize));
  std::string after;
  if (!request.page_token().empty()) {
    absl::StatusOr<std::string> opened = parts.tokens.Open(kTokenPurpose, request.page_token());
    if (!opened.ok()) {
      return InvalidField("page_token",
                          "got a text that is no token of this list, want that of "
                          "the last answer or nothing");
    }
    after = *std::move(opened);
  }
  CAPSTAN_ASSIGN_OR_RETURN(std::vector<storage::TargetRow> rows,
                           parts.admin.ListTargets(after, size + 1));
  const bool more = static_cast<int>(rows.size()) > size;
  if (more) rows.resize(static_cast<std::size_t>(size));
  for (const storage::TargetRow& row : rows) *response.add_targets() = ToProto(row);
  if (more) response.set_next_page_token(parts.tokens.Seal(kTokenPurpose, rows.back().key));
  return absl::OkStatus();
}

absl::Status ClearNow(const Parts& parts, const std::string& caller,
                      const v1::ClearTargetBlockRequest& request,
                      v1::ClearTargetBlockResponse& response) {
  const std::optional<std::string> key = ParseTargetName(request.name());
  if (!key) {
    return InvalidField("name", Cat("got \"", request.name().substr(0, 80),
                                    "\", want targets/{kind}/{namespace}/{name} or "
                                    "targets/{kind}/{name}"));
  }
  CAPSTAN_RETURN_IF_ERROR(CheckReason(request.reason()));
  absl::StatusOr<storage::TargetRow> cleared =
      parts.admin.ClearTargetBlock(*key, AuditText({{"kind", "clear_target_block"},
                                                    {"caller", caller},
                                                    {"target", request.name()},
                                                    {"reason", request.reason()}}));
  if (absl::IsFailedPrecondition(cleared.status())) {
    return Error(absl::StatusCode::kFailedPrecondition, "NOT_BLOCKED",
                 Cat(request.name(), " is not blocked"));
  }
  CAPSTAN_RETURN_IF_ERROR(cleared.status());
  *response.mutable_target() = ToProto(*cleared);
  return absl::OkStatus();
}

}  // namespace capstan::server
