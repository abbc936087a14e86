// What callers and operators ask of a system beside running one action: requests for all ten
// actions, approvals, stops, blocks, retries and rollbacks.
#pragma once

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/scenarios/system.h"

namespace capstan::testing {

// ---- requests

using Parameter = std::variant<const char*, std::string, int, bool>;

// With a request id of its own.
v1::ExecuteActionRequest Request(const std::string& action,
                                 const std::map<std::string, Parameter>& parameters);
v1::ExecuteActionRequest DryRun(v1::ExecuteActionRequest request);

// ---- waiting

// Watches until it is BLOCKED for this reason; the event that says so. The stream has ended without
// one when from() is not set.
v1::StateChanged WaitBlocked(Server& server, const std::string& name,
                             v1::Execution::BlockReason reason);
// The same, of the n-th time it is BLOCKED for this reason.
v1::StateChanged WaitBlocked(Server& server, const std::string& name,
                             v1::Execution::BlockReason reason, int times);
// Watches until there is a snapshot with an open approval that is number `number`.
v1::ApprovalSummary WaitApproval(Server& server, const std::string& name, int number = 1);
// Watches each to its end.
std::vector<Streamed> WatchAll(Server& server, const std::vector<std::string>& names);

v1::Execution Get(Server& server, const std::string& name);

// ---- operators. Errors are the RPC's; `caller` as in Execute().

absl::Status Decide(Server& server, const std::string& name, const std::string& plan_digest,
                    bool approve, const std::string& caller);
absl::StatusOr<v1::ExplainExecutionResponse> Explain(Server& server, const std::string& name);
absl::StatusOr<std::string> Retry(Server& server, const std::string& name,
                                  bool accept_repeated_effect = false);
absl::StatusOr<std::string> Rollback(Server& server, const std::string& name);

v1::StopScope StopAll();
v1::StopScope StopNamespace(const std::string& name);
v1::StopScope StopAction(const std::string& action);
v1::StopScope StopWorker(const std::string& worker);
absl::StatusOr<v1::EmergencyStopResponse> Stop(Server& server, const v1::StopScope& scope,
                                               bool cancel_running = false);
absl::StatusOr<v1::LiftEmergencyStopResponse> Lift(Server& server, const std::string& stop,
                                                   bool validate_only = false);

absl::Status ClearBlock(Server& server, const std::string& target, const std::string& reason,
                        const std::string& caller = "");
// By name, of all pages.
std::map<std::string, v1::TargetStatus> Targets(Server& server);
std::vector<v1::Worker> Workers(Server& server);
// What VerifyAudit found wrong, in words.
std::vector<std::string> AuditProblems(Server& server);

// ---- files of the system's own catalog and policies

// Replaces every `from` in a file, which must have one.
void Replace(const std::string& file, const std::string& from, const std::string& to);
void WriteFile(const std::string& file, const std::string& text);
// A bundle of the policies: `rules` follow the package line and `import rego.v1`.
void WriteBundle(System& system, const std::string& name, const std::string& rules);
// Everything the database holds, as text.
std::string DumpDatabase(const System& system);

}  // namespace capstan::testing
