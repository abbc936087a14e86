// Rows of stop_in_force.sql, stop_read.sql and stop_store.sql.
#pragma once

#include <vector>

#include "storage/rows.h"
#include "storage/types.h"

namespace capstan::storage {

inline std::vector<StopRow> ReadStopRows(const Rows& rows) {
  std::vector<StopRow> stops;
  for (int i = 0; i < rows.size(); ++i) {
    StopRow stop{rows.Int(i, 0),  static_cast<StopScope>(rows.Int(i, 1)),
                 rows.Text(i, 2), rows.Text(i, 3),
                 rows.Text(i, 4), rows.Time(i, 5),
                 std::nullopt};
    if (!rows.IsNull(i, 6)) stop.lifted_at = rows.Time(i, 6);
    stops.push_back(std::move(stop));
  }
  return stops;
}

}  // namespace capstan::storage
