// Looks at the plans of the statements that run all the time.
#pragma once

#include <string>
#include <vector>

#include "tests/storage/store_fixture.h"

namespace capstan::storage {

class PlanTest : public StoreTest {
 protected:
  // What is wrong with the plans of all hot statements now: sequential scans; with `large` tables
  // also scans of a whole index, which the planner may choose while tables are tiny.
  std::vector<std::string> BadPlans(bool large = false);

  // `count` ended executions with events, keys and outcomes, and as many ready ones in leases
  // of 16.
  void Fill(int count);
};

}  // namespace capstan::storage
