#include "storage/project_money.h"

#include <algorithm>
#include <set>

#include "core/status_macros.h"
#include "storage/sql.h"
#include "storage/target_rows.h"

namespace capstan::storage {
namespace {

// Of those that wait for one project, woken by one step; others by the next. By a new limit.
constexpr std::int64_t kWokenByStep = 64;
constexpr std::int64_t kWokenByLimit = 10'000;

using Key = std::pair<std::string, std::string>;

Array Texts(const std::set<std::string>& all) {
  Array texts(Element::kText, all.size() * 64);
  for (const std::string& one : all) texts.Add(one);
  return texts;
}

absl::StatusOr<Rows> LockRows(Connection& connection, const std::set<std::string>& projects) {
  CAPSTAN_ASSIGN_OR_RETURN(Rows rows,
                           connection.Run(sql::kProjectLock, Params().Add(Texts(projects))));
  if (rows.size() == static_cast<int>(projects.size())) return rows;
  CAPSTAN_RETURN_IF_ERROR(
      connection.Run(sql::kProjectMake, Params().Add(Texts(projects))).status());
  return connection.Run(sql::kProjectLock, Params().Add(Texts(projects)));
}

// Those that wait for `project` and can do with what is left of it; nullopt: it has no limit.
absl::Status AddWaiting(Connection& connection, const std::string& project,
                        std::optional<std::int64_t> left, std::int64_t most,
                        std::vector<ExecutionId>& out) {
  Params params = Params().Add(project);
  left.has_value() ? params.Add(*left) : params.Null();
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows, connection.Run(sql::kProjectWaiting, params.Add(most)));
  for (int i = 0; i < rows.size(); ++i) out.push_back(rows.Uuid<ExecutionId>(i, 0));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<LockedProjects> LockProjects(Connection& connection,
                                            absl::Span<const BudgetStep* const> steps) {
  std::set<std::string> projects;
  std::set<Key> keys;
  for (const BudgetStep* step : steps) {
    projects.insert(step->project);
    for (const BudgetStep::Month& month : step->months) keys.insert({step->project, month.month});
    if (step->wait) keys.insert({step->project, step->wait->month});
  }
  LockedProjects money;
  if (projects.empty()) return money;
  CAPSTAN_ASSIGN_OR_RETURN(const Rows limits, LockRows(connection, projects));
  std::map<std::string, std::int64_t> limit;
  for (int i = 0; i < limits.size(); ++i) limit[limits.Text(i, 0)] = limits.Int(i, 1);
  Array names(Element::kText, keys.size() * 64), months(Element::kText, keys.size() * 16);
  for (const auto& [project, month] : keys) {
    names.Add(project);
    months.Add(month);
  }
  CAPSTAN_ASSIGN_OR_RETURN(
      const Rows rows,
      connection.Run(sql::kProjectMoney, Params().Add(std::move(names)).Add(std::move(months))));
  for (int i = 0; i < rows.size(); ++i) {
    money[{rows.Text(i, 0), rows.Text(i, 1)}] = {limit[rows.Text(i, 0)], rows.Int(i, 2),
                                                 rows.Int(i, 3)};
  }
  return money;
}

bool TakeStep(const BudgetStep& step, LockedProjects& money) {
  LockedProjects then;
  for (const BudgetStep::Month& month : step.months) {
    const Key key = {step.project, month.month};
    ProjectMoney& row = then.insert({key, money[key]}).first->second;
    row.spent += month.billed;
    row.reserved += month.reserved - month.reserved_before;
    const bool tested = month.begins && !step.goes_beyond && row.limit > 0;
    if (tested && (month.unbounded || row.left() < 0)) return false;
  }
  if (step.wait) {
    const Key key = {step.project, step.wait->month};
    const ProjectMoney& row = then.insert({key, money[key]}).first->second;
    if (row.limit == 0 || row.left() > step.wait->needs) return false;
  }
  for (const auto& [key, row] : then) {
    if (row.left() < money[key].left()) money[key] = row;
  }
  return true;
}

absl::Status StoreBudgetSteps(Connection& connection, absl::Span<const StoredBudgetStep> steps,
                              LockedProjects money, std::vector<ExecutionId>& wake) {
  struct Change {
    std::int64_t billed = 0;
    bool is_upper_bound = false;
  };
  std::map<Key, Change> changes;
  std::map<Key, std::int64_t> least_needs;  // of those that wait
  const LockedProjects before = money;
  Array ids(Element::kUuid, 0), months(Element::kText, 0), projects(Element::kText, 0);
  Array reserved(Element::kInt8, 0);
  bool reserves = false;
  for (const StoredBudgetStep& stored : steps) {
    if (const auto& wait = stored.step->wait; wait.has_value()) {
      const auto [place, first] =
          least_needs.insert({{stored.step->project, wait->month}, wait->needs});
      if (!first) place->second = std::min(place->second, wait->needs);
    }
    for (const BudgetStep::Month& month : stored.step->months) {
      const Key key = {stored.step->project, month.month};
      ProjectMoney& row = money.at(key);
      row.spent += month.billed;
      row.reserved += month.reserved - month.reserved_before;
      if (month.billed > 0) {
        changes[key].billed += month.billed;
        changes[key].is_upper_bound = changes[key].is_upper_bound || month.is_upper_bound;
      }
      if (month.reserved == month.reserved_before) continue;
      reserves = true;
      ids.Add(stored.id);
      months.Add(month.month);
      projects.Add(stored.step->project);
      reserved.Add(month.reserved);
    }
  }
  if (reserves) {
    Params params;
    params.Add(std::move(ids)).Add(std::move(months));
    params.Add(std::move(projects)).Add(std::move(reserved));
    CAPSTAN_RETURN_IF_ERROR(connection.Run(sql::kProjectReserve, params).status());
  }
  if (!changes.empty()) {
    Array names(Element::kText, 0), in(Element::kText, 0), billed(Element::kInt8, 0);
    Array bounds(Element::kBool, 0);
    for (const auto& [key, change] : changes) {
      names.Add(key.first);
      in.Add(key.second);
      billed.Add(change.billed);
      bounds.Add(change.is_upper_bound);
    }
    Params params;
    params.Add(std::move(names)).Add(std::move(in));
    params.Add(std::move(billed)).Add(std::move(bounds));
    CAPSTAN_RETURN_IF_ERROR(connection.Run(sql::kProjectSpend, params).status());
  }
  for (const auto& [key, row] : money) {
    const ProjectMoney& was = before.at(key);
    const auto needs = least_needs.find(key);
    const bool more = row.left() > was.left() || row.reserved < was.reserved ||
                      (needs != least_needs.end() && row.left() > needs->second);
    if (row.limit == 0 || !more || row.left() <= 0) continue;
    CAPSTAN_RETURN_IF_ERROR(AddWaiting(connection, key.first, row.left(), kWokenByStep, wake));
  }
  return absl::OkStatus();
}

absl::Status SetProjectLimit(Connection& connection, const std::string& project,
                             std::int64_t limit) {
  CAPSTAN_RETURN_IF_ERROR(LockRows(connection, {project}).status());
  CAPSTAN_RETURN_IF_ERROR(
      connection.Run(sql::kProjectSet, Params().Add(project).Add(limit)).status());
  CAPSTAN_ASSIGN_OR_RETURN(const Rows rows,
                           connection.Run(sql::kProjectRead, Params().Add(project)));
  const ProjectRow row = ReadProjectRow(rows, project);
  std::optional<std::int64_t> left;
  if (limit > 0) left = limit - row.spent - row.reserved;
  std::vector<ExecutionId> wake;
  CAPSTAN_RETURN_IF_ERROR(AddWaiting(connection, project, left, kWokenByLimit, wake));
  return WakeThese(connection, wake);
}

ProjectRow ReadProjectRow(const Rows& rows, const std::string& project) {
  ProjectRow row;
  row.project = project;
  row.limit = rows.Int(0, 0);
  row.month = rows.Text(0, 1);
  row.spent = rows.Int(0, 2);
  row.reserved = rows.Int(0, 3);
  row.is_upper_bound = rows.Bool(0, 4);
  const std::vector<ExecutionId> executions = rows.Uuids<ExecutionId>(0, 5);
  const std::vector<std::int64_t> amounts = rows.Ints(0, 6);
  for (std::size_t i = 0; i < executions.size() && i < amounts.size(); ++i)
    row.largest.push_back({executions[i], amounts[i]});
  return row;
}

}  // namespace capstan::storage
