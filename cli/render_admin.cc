#include "cli/render_admin.h"

#include <vector>

#include "cli/text_format.h"
#include "core/text.h"

namespace capstan::cli {
namespace {

std::string ScopeText(const v1::StopScope& scope) {
  switch (scope.scope_case()) {
    case v1::StopScope::kAll:
      return "everything";
    case v1::StopScope::kNamespace:
      return OneLine(Cat("namespace ", scope.namespace_()));
    case v1::StopScope::kAction:
      return OneLine(Cat("action ", scope.action()));
    case v1::StopScope::kWorker:
      return OneLine(scope.worker());
    default:
      return "something that this program does not know";
  }
}

std::string OrDash(const std::string& text) { return text.empty() ? "-" : OneLine(text); }

std::string LimitText(const v1::ProjectBudget& budget) {
  return budget.monthly_limit_microusd() > 0 ? Money(budget.monthly_limit_microusd()) : "no limit";
}

std::string SpentText(const v1::ProjectBudget& budget) {
  return Cat(budget.is_upper_bound() ? "<=" : "", Money(budget.spent_microusd()));
}

std::string LeftText(const v1::ProjectBudget& budget) {
  if (budget.monthly_limit_microusd() == 0) return "-";
  const int64_t left =
      budget.monthly_limit_microusd() - budget.spent_microusd() - budget.reserved_microusd();
  return left < 0 ? Cat("-", Money(-left)) : Money(left);
}

// BLOCKED, BACKOFF until …, HELD or FREE.
std::string StandingText(const v1::TargetStatus& target, absl::Time now) {
  if (!target.blocked_by().empty()) return "BLOCKED";
  if (target.has_backoff_until() && ToTime(target.backoff_until()) > now)
    return Cat("BACKOFF until ", Time(target.backoff_until()));
  return target.holder().empty() ? "FREE" : "HELD";
}

}  // namespace

std::string StopTable(const google::protobuf::RepeatedPtrField<v1::Stop>& stops) {
  std::vector<std::vector<std::string>> rows = {{"NAME", "SCOPE", "CALLER", "CREATED", "REASON"}};
  for (const v1::Stop& stop : stops) {
    rows.push_back({OneLine(stop.name()), ScopeText(stop.scope()), OneLine(stop.caller()),
                    Time(stop.create_time()), OneLine(stop.reason())});
  }
  return Table(rows);
}

std::string StoppedText(const v1::EmergencyStopResponse& response, bool cancel_running,
                        const Invocation& invocation) {
  const v1::Stop& stop = response.stop();
  if (stop.has_lift_time()) {
    return Cat(OneLine(stop.name()), " was lifted at ", Time(stop.lift_time()),
               ": it stops nothing any more.\n");
  }
  std::string text = Cat("Stopped: ", ScopeText(stop.scope()), " (", OneLine(stop.name()),
                         "). Nothing in this scope is launched from now on.\n");
  for (const std::string& execution : response.cancelled())
    Append(&text, "  cancel requested: ", OneLine(execution), "\n");
  if (cancel_running && response.cancelled().empty()) Append(&text, "Nothing was running in it.\n");
  if (!cancel_running) Append(&text, "What has been launched goes on.\n");
  return Cat(text, "To lift it: ", invocation.program, " stop lift ", ShellQuoted(stop.name()),
             " --reason=WHY\n");
}

std::string LiftedText(const v1::LiftEmergencyStopResponse& response, bool validate_only) {
  const v1::Stop& stop = response.stop();
  std::string text = validate_only
                         ? Cat("Dry run: ", OneLine(stop.name()), " (", ScopeText(stop.scope()),
                               ") stays in force. Lifting it would start ")
                         : Cat("Lifted: ", OneLine(stop.name()), " (", ScopeText(stop.scope()),
                               "). Starting now: ");
  Append(&text, response.waiting_count(),
         response.waiting_count() == 1 ? " execution" : " executions", ".\n");
  for (const std::string& execution : response.waiting())
    Append(&text, "  ", OneLine(execution), "\n");
  if (response.waiting_count() > response.waiting_size())
    Append(&text, "  and ", response.waiting_count() - response.waiting_size(), " more\n");
  return text;
}

std::string TargetTable(const google::protobuf::RepeatedPtrField<v1::TargetStatus>& targets,
                        absl::Time now) {
  std::vector<std::vector<std::string>> rows = {
      {"NAME", "STANDING", "HOLDER", "HELD FOR", "WAITING", "FAILURES", "BLOCKED BY", "WHY"}};
  for (const v1::TargetStatus& target : targets) {
    rows.push_back({OneLine(target.name()), StandingText(target, now), OrDash(target.holder()),
                    Age(target.hold_time(), now), Cat(target.waiting_size()),
                    Cat(target.consecutive_failures()), OrDash(target.blocked_by()),
                    OneLine(target.block_message())});
  }
  return Table(rows);
}

std::string ClearedText(const v1::TargetStatus& target) {
  std::string text = Cat("Cleared: ", OneLine(target.name()), ". ");
  if (target.waiting().empty()) return Cat(text, "Nothing waits for it.\n");
  return Cat(text, "Next of ", target.waiting_size(), " that wait: ", OneLine(target.waiting(0)),
             "\n");
}

std::string BudgetTable(const google::protobuf::RepeatedPtrField<v1::ProjectBudget>& budgets) {
  std::vector<std::vector<std::string>> rows = {
      {"PROJECT", "MONTH", "LIMIT", "SPENT", "RESERVED", "LEFT"}};
  for (const v1::ProjectBudget& budget : budgets) {
    rows.push_back({OneLine(budget.project()), OneLine(budget.month()), LimitText(budget),
                    SpentText(budget), Money(budget.reserved_microusd()), LeftText(budget)});
  }
  return Table(rows);
}

std::string BudgetText(const v1::ProjectBudget& budget) {
  const std::string limit = budget.monthly_limit_microusd() > 0
                                ? Cat(" may cost ", LimitText(budget), " a month")
                                : " has no limit";
  return Cat("Set: project ", OneLine(budget.project()), limit, "; in ", OneLine(budget.month()),
             " ", SpentText(budget), " is spent and ", Money(budget.reserved_microusd()),
             " reserved.\n");
}

std::string AuditText(const v1::VerifyAuditResponse& response) {
  std::string text;
  for (const v1::VerifyAuditResponse::Problem& problem : response.problems()) {
    Append(&text, "chain ", OneLine(problem.chain()));
    if (problem.number() > 0) Append(&text, " row ", problem.number());
    Append(&text, ": ", OneLine(problem.message()), "\n");
  }
  if (response.problems().empty()) {
    Append(&text, "The audit log is whole.\n");
  } else {
    Append(&text, "The audit log is NOT whole: ", response.problems_size(),
           response.problems_size() == 1 ? " problem" : " problems", ".\n");
  }
  std::vector<std::vector<std::string>> rows = {{"CHAIN", "ROWS", "HASH OF THE LAST"}};
  for (const v1::VerifyAuditResponse::Chain& chain : response.chains())
    rows.push_back({OneLine(chain.name()), Cat(chain.rows()), OneLine(chain.hash())});
  return Cat(text, Table(rows));
}

}  // namespace capstan::cli
