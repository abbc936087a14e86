#include "server/policy_decisions.h"

#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "server/errors.h"
#include "server/proto_time.h"
#include "server/validate.h"

namespace capstan::server {
namespace {

constexpr std::string_view kTokenPurpose = "policy decisions";

// Of the documents on a page. One alone may be up to 3 MiB; clients take messages of 4 MiB.
constexpr std::int64_t kMaxPageBytes = std::int64_t{1} << 20;

v1::StoredPolicyDecision ToProto(storage::DecisionRow row) {
  v1::StoredPolicyDecision decision;
  decision.set_execution(ExecutionName(row.execution));
  decision.set_number(row.number);
  *decision.mutable_time() = server::ToProto(row.at);
  decision.set_bundle_digest(std::move(row.bundle_digest));
  decision.set_input_json(std::move(row.input_json));
  decision.set_result_json(std::move(row.result_json));
  decision.set_allow(row.allow);
  return decision;
}

// A token is "{uuid} {number}" of the last decision.
absl::Status ReadToken(const TokenMaker& tokens, const std::string& token,
                       storage::DecisionRange& range) {
  if (token.empty()) return absl::OkStatus();
  const absl::StatusOr<std::string> opened = tokens.Open(kTokenPurpose, token);
  if (opened.ok()) {
    const std::pair<std::string, std::string> parts = absl::StrSplit(*opened, ' ');
    const std::optional<ExecutionId> after = ExecutionId::Parse(parts.first);
    if (after && absl::SimpleAtoi(parts.second, &range.after_number)) {
      range.after = *after;
      return absl::OkStatus();
    }
  }
  return InvalidField("page_token",
                      "got a text that is no token of this list, want that of the last answer or "
                      "nothing");
}

}  // namespace

absl::Status ListDecisionsNow(const Parts& parts, const v1::ListPolicyDecisionsRequest& request,
                              v1::ListPolicyDecisionsResponse& response) {
  CAPSTAN_ASSIGN_OR_RETURN(const int size,
                           CheckPageSize(request.page_size(), kDefaultListPageSize));
  storage::DecisionRange range;
  CAPSTAN_RETURN_IF_ERROR(ReadToken(parts.tokens, request.page_token(), range));
  if (request.has_since()) range.since = FromProto(request.since());
  if (!request.execution().empty()) {
    const std::optional<ExecutionId> id = ParseExecutionName(request.execution());
    if (!id) {
      return InvalidField("execution", Cat("got \"", request.execution().substr(0, 80),
                                           "\", want executions/{uuid} or nothing"));
    }
    range.execution = *id;
  }
  CAPSTAN_ASSIGN_OR_RETURN(storage::DecisionPage page,
                           parts.admin.ListDecisions(range, size, kMaxPageBytes));
  if (page.more) {
    const storage::DecisionRow& last = page.rows.back();
    response.set_next_page_token(
        parts.tokens.Seal(kTokenPurpose, Cat(last.execution.ToString(), " ", last.number)));
  }
  for (storage::DecisionRow& row : page.rows) *response.add_decisions() = ToProto(std::move(row));
  return absl::OkStatus();
}

}  // namespace capstan::server
