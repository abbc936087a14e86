#include "worker/validation.h"

#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/catalog/job_spec.h"
#include "core/catalog/parameters.h"
#include "core/catalog/target.h"
#include "core/log.h"
#include "core/status_macros.h"
#include "core/target_name.h"
#include "core/telemetry/span_names.h"
#include "google/protobuf/util/time_util.h"
#include "worker/decision_proto.h"

namespace capstan::worker {
namespace {

using google::protobuf::Struct;
using machine::Action;
using machine::Validated;
using Json = nlohmann::json;

constexpr char kRfc3339[] = "%Y-%m-%dT%H:%M:%SZ";

Json ToJson(const Struct& value) {
  std::string text;
  CAPSTAN_CHECK(google::protobuf::util::MessageToJsonString(value, &text).ok());
  return Json::parse(text);
}

Struct ToStruct(const Json& value) {
  Struct out;
  CAPSTAN_CHECK(google::protobuf::util::JsonStringToMessage(value.dump(), &out).ok());
  return out;
}

// What moves when the target is changed: its generation if it has one (its resourceVersion moves
// with every change of status), and its identity.
std::string VersionOf(const Json& target) {
  const Json& version = target.contains("generation") ? target["generation"]
                                                      : target.value("resource_version", Json());
  return absl::StrCat(target.value("uid", ""), " ", version.dump());
}

// Of the captured facts that the action's parameters set, by name.
v1::ResourceChange ExpectedChange(const v1::Target& target, const Struct& before,
                                  const Struct& parameters) {
  v1::ResourceChange change;
  *change.mutable_target() = target;
  *change.mutable_before() = before;
  *change.mutable_after() = before;
  for (auto& [name, value] : *change.mutable_after()->mutable_fields()) {
    const auto set = parameters.fields().find(name);
    if (set != parameters.fields().end()) value = set->second;
  }
  return change;
}

v1::BlastRadius RadiusOf(const catalog::ActionDefinition& definition, const v1::Target& target,
                         const Json& parameters, const Json& facts) {
  v1::BlastRadius radius;
  if (definition.reads_only()) return radius;
  radius.add_objects(TargetKey(target));
  const Json deployment = facts.value("deployment", Json::object());
  const Json node = facts.value("node", Json::object());
  if (parameters.contains("replicas") && deployment.contains("replicas")) {
    radius.set_pods(static_cast<int>(std::abs(parameters["replicas"].get<std::int64_t>() -
                                              deployment["replicas"].get<std::int64_t>())));
  } else if (deployment.contains("replicas")) {
    radius.set_pods(static_cast<int>(deployment["replicas"].get<std::int64_t>()));
  } else if (facts.contains("pod")) {
    radius.set_pods(1);
  } else if (definition.effect == catalog::EffectClass::kDestructive) {  // it empties the node
    for (const Json& pod : node.value("pods", Json::array())) {
      if (pod.value("daemon_set", false) || pod.value("mirror", false) ||
          pod.value("finished", false)) {
        continue;
      }
      radius.add_objects(
          absl::StrCat("Pod/", pod.value("namespace", ""), "/", pod.value("name", "")));
    }
    radius.set_pods(radius.objects_size() - 1);
  }
  return radius;
}

// What the Role that is made of this catalog entry allows its Job.
policy::PolicyInput::Account AccountOf(const catalog::ActionDefinition& definition,
                                       const std::string& name_space) {
  policy::PolicyInput::Account account = {
      catalog::ServiceAccountOf(definition.name), name_space, {}};
  for (const catalog::RbacRule& rule : definition.rbac) {
    account.rights.push_back(
        {std::string(catalog::Name(rule.scope)), rule.api_groups, rule.resources, rule.verbs});
  }
  return account;
}

// As JSON; the beginning of a long one, cut between characters.
std::string ValueText(const google::protobuf::Value& value) {
  constexpr std::size_t kMostShown = 200;
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(value, &text).ok()) return "?";
  if (text.size() <= kMostShown) return text;
  std::size_t end = kMostShown;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "…";
}

// How the captured facts differ from what they should be; empty when they do not. What says which
// version of the object it is does not count, nor what this action, which may be another one than
// the one that left them, does not capture.
std::string Difference(const Struct& expected, const Struct& found) {
  std::vector<std::string> differences;
  for (const auto& [name, value] : expected.fields()) {
    const auto now = found.fields().find(name);
    if (name == "resource_version" || now == found.fields().end()) continue;
    if (!google::protobuf::util::MessageDifferencer::Equals(now->second, value)) {
      differences.push_back(
          absl::StrCat(name, ": got ", ValueText(now->second), ", want ", ValueText(value)));
    }
  }
  std::sort(differences.begin(), differences.end());
  return absl::StrJoin(differences, "; ");
}

}  // namespace

bool IsInfrastructure(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsResourceExhausted(status) || absl::IsUnknown(status);
}

std::string RequestKey(const v1::Accepted& request) {
  return Sha256Hex(absl::StrCat(request.caller().size(), " ", request.caller(), " ",
                                request.action(), " ", TargetKey(request.target()), " ",
                                ToJson(request.parameters()).dump()));
}

Validator::Validator(const catalog::Catalog& catalog, policy::PolicyEngine& policy,
                     const policy::ConditionSet& conditions, kubernetes::Client& client,
                     Clock& clock, const telemetry::Tracer& tracer,
                     telemetry::WorkerMetrics& metrics, const ActionOptions& options)
    : catalog_(catalog),
      policy_(policy),
      conditions_(conditions),
      client_(client),
      facts_(client, clock),
      tracer_(tracer),
      metrics_(metrics),
      options_(options) {}

absl::StatusOr<Validator::Facts> Validator::ReadFacts(const catalog::ActionDefinition& definition,
                                                      const v1::Target& target,
                                                      const Struct& captured) {
  Facts facts;
  facts.as_json = Json::object();
  const kubernetes::FactTarget of = {.name_space = target.namespace_(),
                                     .name = target.name(),
                                     .captured = ToJson(captured),
                                     .kind = target.kind()};
  for (const std::string& fact : definition.facts) {
    CAPSTAN_ASSIGN_OR_RETURN(Json read, facts_.Read(fact, of));
    if (facts.as_json.empty()) facts.target = read;
    facts.as_json[fact] = std::move(read);
  }
  facts.as_struct = ToStruct(facts.as_json);
  return facts;
}

policy::Decision Validator::Decide(const ExecutionId& id,
                                   const catalog::ActionDefinition& definition,
                                   const Action& action, const Json& parameters,
                                   const v1::Target& target, const Facts& facts,
                                   const Surroundings& around, absl::Time now,
                                   const telemetry::TraceContext& trace) {
  policy::PolicyInput input;
  input.action = action.request.action();
  input.parameters = parameters;
  input.caller = action.request.caller();
  input.dry_run = action.request.dry_run();
  input.evaluation_time = now;
  input.target_resource = {target.kind(), target.name(), target.namespace_(),
                           facts.target.value("labels", std::map<std::string, std::string>{})};
  input.metadata = {ExecutionName(id), options_.actions_namespace};
  input.facts = facts.as_json;
  input.account = AccountOf(definition, options_.actions_namespace);
  if (asks_for_surroundings()) {
    input.environment = options_.environment;
    input.rate_limit_state = {around.launches, options_.rate_limit,
                              absl::ToInt64Seconds(options_.rate_window)};
    input.prior_dry_run = around.prior_dry_run;
    input.cluster_state = {around.changing, std::nullopt};  // of other clusters nothing is known
    input.running_actions = around.running;
  }
  if (const Json cluster = facts.as_json.value("cluster", Json()); cluster.is_object()) {
    input.cluster_info = {options_.installation, cluster.value("total_nodes", std::int64_t{0}),
                          cluster.value("schedulable_nodes", std::int64_t{0})};
  }
  if (action.data.has_approval()) {
    const auto& approval = action.data.approval();
    input.approval = {approval.given(), {approval.approvers().begin(), approval.approvers().end()}};
  }
  return EvaluatePolicy(policy_, input, tracer_, metrics_, trace);
}

std::vector<v1::ConditionResult> Validator::Evaluate(const std::vector<catalog::ConditionUse>& uses,
                                                     v1::ConditionResult::Phase phase,
                                                     const Action& action, const Json& parameters,
                                                     const Struct& before, const Json& facts,
                                                     absl::Time now) {
  const v1::Target& target = action.request.target();
  const bool after = phase == v1::ConditionResult::PHASE_POST;
  const Json input = {
      {"api_version", policy::kConditionInputApiVersion},
      {"phase", after ? "post" : "pre"},
      {"action", action.request.action()},
      {"parameters", parameters},
      {"target_resource",
       {{"kind", target.kind()}, {"name", target.name()}, {"namespace", target.namespace_()}}},
      {"facts", facts},
      {"before", ToJson(before)},
      {"evaluation_time", absl::FormatTime(kRfc3339, now, absl::UTCTimeZone())}};
  std::vector<v1::ConditionResult> results;
  for (const catalog::ConditionUse& use : uses) {
    v1::ConditionResult& result = results.emplace_back();
    result.set_phase(phase);
    result.set_name(use.name);
    const auto overridden = action.request.condition_overrides().find(use.name);
    result.set_required(overridden == action.request.condition_overrides().end()
                            ? use.required
                            : overridden->second);
    const policy::ConditionAnswer answer = conditions_.Evaluate(use.name, input, use.timeout);
    result.set_evaluated(answer.evaluated);
    result.set_passed(answer.passed);
    result.set_message(answer.message);
    *result.mutable_evaluation_time() =
        google::protobuf::util::TimeUtil::NanosecondsToTimestamp(absl::ToUnixNanos(now));
    metrics_.conditions
        .With({use.name, !answer.evaluated ? "error"
                         : answer.passed   ? "passed"
                                           : "failed"})
        .Increment();
  }
  return results;
}

// What the API server says to the Job, without storing it; empty when it would take it.
std::string Validator::TryJob(const std::string& rendered_job) {
  kubernetes::CallOptions call;
  call.timeout = options_.dry_run_timeout;
  call.repeat = kubernetes::Repeat::kAlways;
  call.dry_run = true;
  const absl::Status tried =
      client_.Create(kubernetes::kJobs, options_.actions_namespace, rendered_job, call).status();
  // A Job of this name is this execution's own.
  return tried.ok() || absl::IsAlreadyExists(tried) ? "" : std::string(tried.message());
}

Validation Validator::Validate(const ExecutionId& id, const Action& action,
                               const Surroundings& around, absl::Time now,
                               const telemetry::TraceContext& trace) {
  Validation out;
  Validated& result = out.input;
  const catalog::ActionDefinition* definition = catalog_.Find(action.request.action());
  if (definition == nullptr) {
    result.result = Validated::Result::kUnknownAction;
    result.message = absl::StrCat("action: got ", action.request.action(),
                                  ", want one of: ", catalog_.KnownNames());
    return out;
  }
  const absl::StatusOr<catalog::TypedParameters> parameters =
      catalog::ValidateParameters(*definition, action.request.parameters());
  if (!parameters.ok()) {
    result.result = Validated::Result::kInvalidParameters;
    result.message = std::string(parameters.status().message());
    return out;
  }
  result.target = catalog::TargetOf(*definition, *parameters);

  telemetry::Span facts_span = tracer_.StartSpan(telemetry::kSpanFacts, {.parent = trace});
  const absl::StatusOr<Facts> facts = ReadFacts(*definition, result.target, Struct());
  facts_span.SetError(facts.status());
  facts_span.End();
  if (!facts.ok()) {
    result.infrastructure = IsInfrastructure(facts.status());
    result.message =
        absl::StrCat("facts of the target could not be read: ", facts.status().message());
    return out;
  }
  result.target_found = facts->target.value("found", false);
  if (result.target_found) result.target.set_uid(facts->target.value("uid", ""));

  const Struct typed = catalog::ToStruct(*parameters);
  const Json parameters_json = ToJson(typed);
  const policy::Decision decision =
      Decide(id, *definition, action, parameters_json, result.target, *facts, around, now, trace);
  result.result = Validated::Result::kDecided;
  result.decision = ToProto(decision);
  out.decision_input_json = decision.input_json;
  out.decision_result_json = policy::ResultJson(decision);
  if (!decision.allow || !result.target_found) return out;

  const absl::StatusOr<Struct> before =
      catalog::Capture(*definition, action.request.parameters(), facts->as_struct);
  result.preconditions = Evaluate(definition->preconditions, v1::ConditionResult::PHASE_PRE, action,
                                  parameters_json, before.value_or(Struct()), facts->as_json, now);
  if (!before.ok()) {
    // A fact that is not there is as a rule what a precondition is about, and says better.
    const bool said = std::any_of(result.preconditions.begin(), result.preconditions.end(),
                                  [](const auto& one) { return one.required() && !one.passed(); });
    if (said) return out;
    result.result = Validated::Result::kInvalidParameters;
    result.message = std::string(before.status().message());
    return out;
  }
  result.before = *before;
  if (action.request.has_expected()) result.moved = Difference(action.request.expected(), *before);
  if (v1::RollbackPlan rollback = catalog::RollbackOf(*definition, *parameters, *before, id);
      !rollback.action().empty()) {
    result.rollback_digest = Sha256Hex(rollback.SerializeAsString());
    result.rollback = std::move(rollback);
  }
  const absl::StatusOr<catalog::RenderedJob> job =
      catalog::RenderJob({.execution = id,
                          .action = *definition,
                          .parameters = *parameters,
                          .timeout = absl::Seconds(action.request.timeout().seconds()),
                          .actions_namespace = options_.actions_namespace,
                          .installation = options_.installation,
                          .images = options_.images,
                          .traceparent = action.request.traceparent(),
                          .captured = *before,
                          .create_time = id.time()});
  if (!job.ok()) {
    result.result = Validated::Result::kInvalidParameters;
    result.message = absl::StrCat("the Job could not be rendered: ", job.status().message());
    return out;
  }
  result.rendered_job = job->json;
  result.job_digest = Sha256Hex(job->json);
  result.job_namespace = options_.actions_namespace;
  result.job_name = job->name;
  result.job_spec_hash = job->spec_hash;
  if (!definition->reads_only()) {
    const bool follows =
        !action.request.retry_of().empty() || !action.request.rollback_of().empty();
    result.claim = {TargetKey(result.target), definition->name,
                    action.request.on_conflict() == v1::Execution::ON_CONFLICT_COALESCE,
                    follows ? absl::ZeroDuration() : definition->cooldown};
  }
  result.blocks_after_failure = definition->blocks_after_failure;

  v1::Plan& plan = result.plan;
  plan.set_digest(Sha256Hex(
      absl::StrCat(job->json, "\n", decision.bundle_digest, "\n", VersionOf(facts->target))));
  plan.set_rendered_job(job->json);
  *plan.mutable_policy_decision() = result.decision;
  if (result.rollback.has_value()) *plan.mutable_rollback() = *result.rollback;
  for (const v1::ConditionResult& one : result.preconditions) *plan.add_condition_results() = one;
  *plan.mutable_blast_radius() =
      RadiusOf(*definition, result.target, parameters_json, facts->as_json);
  *plan.add_expected_changes() = ExpectedChange(result.target, *before, typed);
  const bool planning = action.request.dry_run() || result.decision.requires_approval();
  if (planning && action.data.step() <= machine::ActionState::STEP_VALIDATE)
    plan.set_dry_run_error(TryJob(job->json));
  return out;
}

machine::ReadBack Validator::ReadBack(const Action& action, absl::Time now) {
  machine::ReadBack out;
  const catalog::ActionDefinition* definition = catalog_.Find(action.request.action());
  if (definition == nullptr) return out;
  const absl::StatusOr<catalog::TypedParameters> parameters =
      catalog::ValidateParameters(*definition, action.request.parameters());
  if (!parameters.ok()) return out;
  const absl::StatusOr<Facts> facts =
      ReadFacts(*definition, action.request.target(), action.data.before());
  Json known = Json::object();
  if (facts.ok()) {
    known = facts->as_json;
    auto after = catalog::Capture(*definition, action.request.parameters(), facts->as_struct);
    if (after.ok()) out.after = *std::move(after);
  }
  // Facts that cannot be read are missing, and a condition that needs them says so.
  const std::vector<v1::ConditionResult> results =
      Evaluate(definition->postconditions, v1::ConditionResult::PHASE_POST, action,
               ToJson(catalog::ToStruct(*parameters)), action.data.before(), known, now);
  for (std::size_t i = 0; i < results.size(); ++i)
    out.postconditions.push_back({results[i], definition->postconditions[i].timeout});
  return out;
}

}  // namespace capstan::worker
