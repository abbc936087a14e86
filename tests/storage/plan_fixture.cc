#include "tests/storage/plan_fixture.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "storage/sql.h"

namespace capstan::storage {
namespace {

using ::capstan::testing::MustRunSql;

// The statements of the hot connections; those of the Reader are planned for each execution.
const Statement* const kHot[] = {
    &sql::kSubmit,          &sql::kSubmitExisting, &sql::kCommit,
    &sql::kCommitSettle,    &sql::kCommitPark,     &sql::kCommitDecide,
    &sql::kCommitArtifact,  &sql::kLogAppend,      &sql::kLeaseClaim,
    &sql::kLeaseLoad,       &sql::kExecutionLoad,  &sql::kEventFirst,
    &sql::kLeaseDiscard,    &sql::kLeaseRelease,   &sql::kLeaseReleaseAll,
    &sql::kLeaseReap,       &sql::kLeaseSplit,     &sql::kWake,
    &sql::kWakeCandidates,  &sql::kWakeLock,       &sql::kWakeNext,
    &sql::kWorkerHeartbeat, &sql::kWorkerLeases,   &sql::kSweepSlice,
    &sql::kSweepLock,       &sql::kSweepLease,     &sql::kFeedRead,
    &sql::kSignalRead,      &sql::kArtifactRead,   &sql::kSignalCount,
    &sql::kLaunchGate,      &sql::kStopInForce,    &sql::kTargetLock,
    &sql::kTargetMake,      &sql::kTargetStore,    &sql::kTargetRead,
    &sql::kWakeThese,       &sql::kCommitApproval, &sql::kAuditAppend,
    &sql::kApprovalList,    &sql::kParkedStopped,  &sql::kSiblingRead,
    &sql::kSiblingHold,     &sql::kSiblingLeave,
};

int ParameterCount(const std::string& text) {
  int count = 0;
  while (text.find(absl::StrCat("$", count + 1)) != std::string::npos) ++count;
  return count;
}

// Scans of whole tables: sequential ones, and those by an index without a condition on it unless a
// LIMIT stops them
// (`limited`).
void FindScans(const nlohmann::json& node, bool limited,
               std::vector<std::pair<std::string, std::string>>& found) {
  const std::string type = node.value("Node Type", "");
  const std::string relation = node.value("Relation Name", "");
  limited = limited || type == "Limit";
  const bool index =
      type == "Index Scan" || type == "Index Only Scan" || type == "Bitmap Index Scan";
  if (!relation.empty() && type == "Seq Scan" && relation != "worker" &&
      relation != "feed_horizon") {
    found.emplace_back("Seq Scan", relation);
  }
  if (index && !node.contains("Index Cond") && !limited && relation != "worker") {
    found.emplace_back(type + " of everything", relation);
  }
  for (const auto& child : node.value("Plans", nlohmann::json::array()))
    FindScans(child, limited, found);
}

}  // namespace

std::vector<std::string> PlanTest::BadPlans(bool large) {
  std::vector<std::string> bad;
  for (const Statement* statement : kHot) {
    std::string nulls;
    for (int i = 0; i < ParameterCount(statement->text); ++i)
      absl::StrAppend(&nulls, i == 0 ? "(NULL" : ", NULL");
    if (!nulls.empty()) nulls += ")";
    const auto rows = MustRunSql(
        dsn_, absl::StrCat("SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; "
                           "SET enable_hashjoin = off; SET enable_mergejoin = off; SET "
                           "cpu_tuple_cost = 1; SET cpu_index_tuple_cost = 1; "
                           "SET jit = off; PREPARE q AS ",
                           statement->text, "; EXPLAIN (FORMAT JSON) EXECUTE q", nulls));
    std::string text;
    for (const auto& row : rows) absl::StrAppend(&text, row[0], "\n");
    const auto plan = nlohmann::json::parse(text);
    std::vector<std::pair<std::string, std::string>> scans;
    FindScans(plan[0]["Plan"], !large, scans);
    for (const auto& [scan, relation] : scans) {
      if (large && Sql("SELECT pg_relation_size('" + relation + "')") == "0")
        continue;  // an empty partition
      bad.push_back(absl::StrCat(statement->name, ": ", scan, " of ", relation));
    }
  }
  return bad;
}

void PlanTest::Fill(int count) {
  MustRunSql(dsn_, absl::StrCat(R"sql(
    SET synchronous_commit = off;
    CREATE TEMP TABLE made AS
      SELECT (substr(uuid_floor(now())::text, 1, 14) || '7' || lpad(to_hex(n % 4096), 3, '0') || '-8000-' ||
              lpad(to_hex(n), 12, '0'))::uuid AS id, n, n % 2 = 0 AS ended
      FROM generate_series(1, )sql",
                                2 * count, R"sql() AS n;
    INSERT INTO execution (id, last_seq, state, queue, priority, action, caller, lease_id)
      SELECT id, 1, CASE WHEN ended THEN 6 ELSE 1 END, 1, 3, 'ScaleDeployment', 'filler',
             CASE WHEN ended THEN NULL ELSE -(n / 32) - 1 END FROM made;
    INSERT INTO event (execution_id, seq, events, body) SELECT id, 1, 1, '\x0a0178' FROM made;
    INSERT INTO request_key (key, execution_id, request_hash) SELECT gen_random_uuid(), id, 'x' FROM made;
    INSERT INTO outcome (execution_id, state, failure_reason) SELECT id, 6, 0 FROM made WHERE ended;
    INSERT INTO lease (id, queue, priority, ids)
      SELECT -(n / 32) - 1, 1, 3, array_agg(id) FROM made WHERE NOT ended GROUP BY n / 32;
    INSERT INTO feed (kind, ids, seqs) SELECT 1, array_agg(id), array_agg(1) FROM made GROUP BY n / 1000;
    )sql"));
}

}  // namespace capstan::storage
