#include "server/emergency_stops.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "core/catalog/dns_name.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "server/audit_text.h"
#include "server/cancel.h"
#include "server/errors.h"
#include "server/proto_time.h"
#include "server/snapshots.h"
#include "server/validate.h"
#include "storage/stop_scope.h"

namespace capstan::server {
namespace {

using storage::StopRow;
using storage::StopScope;

constexpr std::string_view kStopPrefix = "stops/";
constexpr std::string_view kWorkerPrefix = "workers/";
constexpr int kPage = 1000;
constexpr int kMostListed = 1000;

std::string StopName(std::int64_t id) { return Cat(kStopPrefix, id); }

v1::Stop ToProto(const StopRow& row) {
  v1::Stop stop;
  stop.set_name(StopName(row.id));
  switch (row.scope) {
    case StopScope::kAll:
      stop.mutable_scope()->set_all(true);
      break;
    case StopScope::kNamespace:
      stop.mutable_scope()->set_namespace_(row.subject);
      break;
    case StopScope::kAction:
      stop.mutable_scope()->set_action(row.subject);
      break;
    case StopScope::kWorker:
      stop.mutable_scope()->set_worker(Cat(kWorkerPrefix, row.subject));
      break;
  }
  stop.set_reason(row.reason);
  stop.set_caller(row.caller);
  *stop.mutable_create_time() = server::ToProto(row.created_at);
  if (row.lifted_at) *stop.mutable_lift_time() = server::ToProto(*row.lifted_at);
  return stop;
}

absl::StatusOr<storage::NewStop> CheckStop(const Parts& parts,
                                           const v1::EmergencyStopRequest& request) {
  storage::NewStop stop;
  const v1::StopScope& scope = request.scope();
  switch (scope.scope_case()) {
    case v1::StopScope::kAll:
      if (!scope.all()) return InvalidField("scope.all", "got false, want true or another scope");
      break;
    case v1::StopScope::kNamespace:
      if (!catalog::IsDnsLabel(scope.namespace_())) {
        return InvalidField("scope.namespace", Cat("got \"", scope.namespace_().substr(0, 80),
                                                   "\", want the name of a namespace"));
      }
      stop.scope = StopScope::kNamespace;
      stop.subject = scope.namespace_();
      break;
    case v1::StopScope::kAction:
      if (parts.catalog.Find(scope.action()) == nullptr) {
        return InvalidField("scope.action", Cat("got \"", scope.action().substr(0, 80),
                                                "\", want one of: ", parts.catalog.KnownNames()));
      }
      stop.scope = StopScope::kAction;
      stop.subject = scope.action();
      break;
    case v1::StopScope::kWorker: {
      std::string_view name = scope.worker();
      const bool named = name.substr(0, kWorkerPrefix.size()) == kWorkerPrefix;
      const auto id = named ? WorkerId::Parse(name.substr(kWorkerPrefix.size())) : std::nullopt;
      if (!id) {
        return InvalidField("scope.worker",
                            Cat("got \"", scope.worker().substr(0, 80), "\", want workers/{uuid}"));
      }
      stop.scope = StopScope::kWorker;
      stop.subject = id->ToString();
      break;
    }
    case v1::StopScope::SCOPE_NOT_SET:
      return InvalidField("scope", "got nothing, want all, namespace, action or worker");
  }
  CAPSTAN_RETURN_IF_ERROR(CheckReason(request.reason()));
  CAPSTAN_ASSIGN_OR_RETURN(stop.request_id, CheckRequestId(request.request_id()));
  stop.reason = request.reason();
  return stop;
}

// Those of some executions that the stop covers.
absl::StatusOr<std::vector<ExecutionId>> CoveredBy(const Parts& parts, const StopRow& stop,
                                                   const std::vector<ExecutionId>& ids) {
  CAPSTAN_ASSIGN_OR_RETURN(const std::vector<v1::Execution> executions,
                           ReadSnapshots(parts.reader, ids));
  std::vector<ExecutionId> covered;
  for (const v1::Execution& execution : executions) {
    const ExecutionId id = *ParseExecutionName(execution.name());
    std::string worker;
    if (stop.scope == StopScope::kWorker) {
      CAPSTAN_ASSIGN_OR_RETURN(const storage::StandingRow standing, parts.reader.ReadStanding(id));
      worker = standing.worker.ToString();
    }
    if (storage::Covers(stop, {execution.target().namespace_(), execution.action(), worker}))
      covered.push_back(id);
  }
  return covered;
}

// Cancels what has been launched in the stop's scope.
absl::Status CancelRunning(const Parts& parts, const StopRow& stop,
                           v1::EmergencyStopResponse& response) {
  storage::ExecutionFilter filter;
  filter.states = {v1::Execution::STATE_RUNNING};
  if (stop.scope == StopScope::kAction) filter.action = stop.subject;
  return CancelLive(
      parts.reader, filter, stop.caller,
      Cat("emergency stop ", StopName(stop.id), ": ", stop.reason),
      [&](const std::vector<ExecutionId>& page) { return CoveredBy(parts, stop, page); },
      *response.mutable_cancelled());
}

absl::StatusOr<std::int64_t> CheckStopName(const std::string& name) {
  std::int64_t id = 0;
  const std::string_view text = name;
  if (text.substr(0, kStopPrefix.size()) == kStopPrefix &&
      absl::SimpleAtoi(AbslView(text.substr(kStopPrefix.size())), &id) && id > 0) {
    return id;
  }
  return InvalidField("name", Cat("got \"", name.substr(0, 80), "\", want stops/{number}"));
}

// What waits because of this stop and of no other one.
absl::StatusOr<std::vector<ExecutionId>> WaitingFor(const Parts& parts, const StopRow& stop) {
  CAPSTAN_ASSIGN_OR_RETURN(std::vector<StopRow> others, parts.admin.StopsInForce());
  std::erase_if(others, [&](const StopRow& other) { return other.id == stop.id; });
  std::vector<ExecutionId> waiting;
  ExecutionId after;
  while (true) {
    CAPSTAN_ASSIGN_OR_RETURN(const std::vector<ExecutionId> ids,
                             parts.admin.ListStopped(after, kPage));
    if (ids.empty()) return waiting;
    after = ids.back();
    CAPSTAN_ASSIGN_OR_RETURN(const std::vector<v1::Execution> executions,
                             ReadSnapshots(parts.reader, ids));
    for (const v1::Execution& execution : executions) {
      // A stop of a worker holds whatever that worker came to; another worker may go on with it.
      const storage::LaunchScope launch = {execution.target().namespace_(), execution.action(), ""};
      const bool here = stop.scope == StopScope::kWorker || storage::Covers(stop, launch);
      if (here && storage::FindCovering(others, launch) == nullptr)
        waiting.push_back(*ParseExecutionName(execution.name()));
    }
  }
}

}  // namespace

absl::Status StopNow(const Parts& parts, const std::string& caller,
                     const v1::EmergencyStopRequest& request, v1::EmergencyStopResponse& response) {
  CAPSTAN_ASSIGN_OR_RETURN(storage::NewStop stop, CheckStop(parts, request));
  stop.caller = caller;
  stop.audit = AuditText({{"kind", "emergency_stop"},
                          {"caller", caller},
                          {"scope", request.scope().ShortDebugString()},
                          {"cancel_running", request.cancel_running() ? "true" : "false"},
                          {"reason", request.reason()}});
  CAPSTAN_ASSIGN_OR_RETURN(const StopRow stored, parts.admin.Stop(stop));
  if (stored.scope != stop.scope || stored.subject != stop.subject) {
    return Error(absl::StatusCode::kAlreadyExists, "REQUEST_ID_REUSED",
                 Cat("request_id: was used with another scope, by ", StopName(stored.id)),
                 {{"stop", StopName(stored.id)}});
  }
  *response.mutable_stop() = ToProto(stored);
  // After its commit, in later statements: what was launched before it is seen now.
  if (request.cancel_running() && !stored.lifted_at) {
    CAPSTAN_RETURN_IF_ERROR(CancelRunning(parts, stored, response));
  }
  return absl::OkStatus();
}

absl::Status ListStopsNow(const Parts& parts, v1::ListEmergencyStopsResponse& response) {
  CAPSTAN_ASSIGN_OR_RETURN(std::vector<StopRow> stops, parts.admin.StopsInForce());
  if (stops.size() > kMostListed) stops.resize(kMostListed);
  for (const StopRow& stop : stops) *response.add_stops() = ToProto(stop);
  return absl::OkStatus();
}

absl::Status LiftNow(const Parts& parts, const std::string& caller,
                     const v1::LiftEmergencyStopRequest& request,
                     v1::LiftEmergencyStopResponse& response) {
  CAPSTAN_ASSIGN_OR_RETURN(const std::int64_t id, CheckStopName(request.name()));
  CAPSTAN_RETURN_IF_ERROR(CheckReason(request.reason()));
  absl::StatusOr<StopRow> stop = parts.admin.ReadStop(id);
  if (absl::IsNotFound(stop.status())) {
    return Error(absl::StatusCode::kNotFound, "STOP_NOT_FOUND",
                 Cat("name: there is no ", request.name()));
  }
  CAPSTAN_RETURN_IF_ERROR(stop.status());
  CAPSTAN_ASSIGN_OR_RETURN(std::vector<ExecutionId> waiting, WaitingFor(parts, *stop));
  if (!request.validate_only()) {
    CAPSTAN_ASSIGN_OR_RETURN(*stop,
                             parts.admin.LiftStop(id, caller, request.reason(),
                                                  AuditText({{"kind", "lift_emergency_stop"},
                                                             {"caller", caller},
                                                             {"stop", request.name()},
                                                             {"reason", request.reason()}})));
    // Again: what was parked until the lift was committed. What has left the list since was woken
    // by a worker that was faster.
    CAPSTAN_ASSIGN_OR_RETURN(const std::vector<ExecutionId> later, WaitingFor(parts, *stop));
    const std::vector<ExecutionId> before = std::exchange(waiting, {});
    std::set_union(before.begin(), before.end(), later.begin(), later.end(),
                   std::back_inserter(waiting));
    for (std::size_t begin = 0; begin < waiting.size(); begin += kPage) {
      const auto first = waiting.begin() + static_cast<std::ptrdiff_t>(begin);
      const auto last =
          waiting.begin() + static_cast<std::ptrdiff_t>(std::min(waiting.size(), begin + kPage));
      CAPSTAN_RETURN_IF_ERROR(parts.admin.Wake({first, last}));
    }
  }
  *response.mutable_stop() = ToProto(*stop);
  response.set_waiting_count(static_cast<std::int64_t>(waiting.size()));
  if (waiting.size() > kMostListed) waiting.resize(kMostListed);
  for (const ExecutionId& one : waiting) response.add_waiting(ExecutionName(one));
  return absl::OkStatus();
}

}  // namespace capstan::server
