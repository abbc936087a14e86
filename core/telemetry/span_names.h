// The names of all spans and of the attributes they carry, so that dashboards, tests and code
// agree.
#pragma once

#include <string_view>

namespace capstan::telemetry {

// An RPC's span is named by its full method, "capstan.v1.ExecutionService/ExecuteAction".
inline constexpr std::string_view kSpanSubmit = "submit";  // until the flush has committed
inline constexpr std::string_view kSpanQueueWait =
    "queue wait";                                        // submission or wake until the claim
inline constexpr std::string_view kSpanClaim = "claim";  // from the claim until the worker lets go
inline constexpr std::string_view kSpanPolicy = "policy";         // one evaluation
inline constexpr std::string_view kSpanFacts = "facts";           // reading the cluster for it
inline constexpr std::string_view kSpanJobCreate = "job create";  // creating the suspended Job
inline constexpr std::string_view kSpanJobArm = "job arm";        // starting it
inline constexpr std::string_view kSpanJobWait = "job wait";      // from armed to finished

inline constexpr std::string_view kSpanStep = "step";  // one iteration of a task's step

inline constexpr std::string_view kAttributeStep = "capstan.step";
inline constexpr std::string_view kAttributeIteration = "capstan.iteration";
inline constexpr std::string_view kAttributeWorkflow = "capstan.workflow";
inline constexpr std::string_view kAttributeExecution = "capstan.execution";
inline constexpr std::string_view kAttributeAction = "capstan.action";
inline constexpr std::string_view kAttributeWorker = "capstan.worker";
inline constexpr std::string_view kAttributeDecision = "capstan.policy.decision";
inline constexpr std::string_view kAttributePolicyDigest = "capstan.policy.digest";
inline constexpr std::string_view kAttributeOutcome = "capstan.outcome";
inline constexpr std::string_view kAttributeRpcSystem = "rpc.system.name";
inline constexpr std::string_view kAttributeRpcMethod = "rpc.method";
inline constexpr std::string_view kAttributeRpcStatus = "rpc.response.status_code";

}  // namespace capstan::telemetry
