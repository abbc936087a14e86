#include "storage/parent_line.h"

#include <algorithm>
#include <iterator>

#include "core/status_macros.h"
#include "storage/connection.h"
#include "storage/sql.h"

namespace capstan::storage {
namespace {

// Of a line that nothing limits any more.
constexpr int kMostRead = 1000;

}  // namespace

bool HasPlace(const ParentLine& line, const ExecutionId& id, int limit) {
  if (limit == 0 || line.in_flight.contains(id)) return true;
  const auto ahead = std::distance(line.waiting.begin(), line.waiting.lower_bound(id));
  return static_cast<std::int64_t>(line.in_flight.size()) + ahead < limit;
}

std::vector<ExecutionId> NextInLine(const ParentLine& line, int limit) {
  std::vector<ExecutionId> next;
  std::copy_if(line.waiting.begin(), line.waiting.end(), std::back_inserter(next),
               [&](const ExecutionId& id) { return HasPlace(line, id, limit); });
  return next;
}

absl::StatusOr<std::map<std::string, ParentLine>> ReadParentLines(
    Connection& connection, const std::vector<std::string>& parents, int limit) {
  Array names(Element::kText, parents.size() * 64);
  for (const std::string& parent : parents) names.Add(parent);
  CAPSTAN_ASSIGN_OR_RETURN(
      const Rows rows,
      connection.Run(
          sql::kSiblingRead,
          Params().Add(std::move(names)).Add(std::int64_t{limit == 0 ? kMostRead : limit})));
  std::map<std::string, ParentLine> lines;
  for (int i = 0; i < rows.size(); ++i) {
    ParentLine& line = lines[rows.Text(i, 0)];
    (rows.Bool(i, 2) ? line.in_flight : line.waiting).insert(rows.Uuid<ExecutionId>(i, 1));
  }
  return lines;
}

}  // namespace capstan::storage
