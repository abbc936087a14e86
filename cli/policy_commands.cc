#include "cli/policy_commands.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "capstan/v1/admin_service.grpc.pb.h"
#include "cli/exit_code.h"
#include "cli/line_filter.h"
#include "cli/policy_replay.h"
#include "core/find_program.h"
#include "core/status_macros.h"
#include "core/text.h"

namespace capstan::cli {
namespace {

constexpr int kPageSize = 1000;
constexpr char kCheckProgram[] = "capstan-policy-check";
// Longer than any decision may take with its repeats.
constexpr absl::Duration kSilence = absl::Seconds(60);

absl::StatusOr<std::unique_ptr<LineFilter>> StartRules(const Options& options) {
  CAPSTAN_ASSIGN_OR_RETURN(
      const std::string program,
      FindProgram(options.check_program.empty() ? kCheckProgram : options.check_program));
  std::vector<std::string> arguments = {"--replay"};
  for (const std::string& bundle : options.required_bundles)
    arguments.insert(arguments.end(), {"--required", bundle});
  arguments.insert(arguments.end(), {"--", options.bundle_dir});
  return LineFilter::Start(program, std::move(arguments), kSilence);
}

absl::StatusOr<std::vector<Replayed>> Decide(LineFilter& rules,
                                             const std::vector<v1::StoredPolicyDecision>& decisions,
                                             std::stop_token stop) {
  std::vector<std::string> inputs;
  for (const v1::StoredPolicyDecision& decision : decisions) {
    inputs.push_back(decision.input_json());
    std::replace(inputs.back().begin(), inputs.back().end(), '\n', ' ');
  }
  CAPSTAN_ASSIGN_OR_RETURN(const std::vector<std::string> answers, rules.Ask(inputs, stop));
  std::vector<Replayed> all;
  for (const std::string& answer : answers) {
    CAPSTAN_ASSIGN_OR_RETURN(Replayed replayed, ParseReplayed(answer));
    all.push_back(std::move(replayed));
  }
  return all;
}

int RulesFail(Session& session, const absl::Status& status) {
  if (session.environment.stop.stop_requested()) return kInterrupted;
  return UsageError(session.environment,
                    Cat(session.options.bundle_dir, ": ", std::string(status.message())));
}

grpc::Status ListPage(Session& session, v1::AdminService::Stub& stub,
                      const v1::ListPolicyDecisionsRequest& request,
                      v1::ListPolicyDecisionsResponse& page) {
  return session.Unary([&](grpc::ClientContext& context) {
    return stub.ListPolicyDecisions(&context, request, &page);
  });
}

void Print(Session& session, const std::string& text, const std::string& json) {
  session.environment.out << (session.options.output == Output::kJson ? json : text) << std::flush;
}

}  // namespace

int PolicyReplay(Session& session) {
  absl::StatusOr<std::unique_ptr<LineFilter>> rules = StartRules(session.options);
  if (!rules.ok()) return UsageError(session.environment, std::string(rules.status().message()));
  auto stub = v1::AdminService::NewStub(session.channel);
  v1::ListPolicyDecisionsRequest request;
  request.set_page_size(kPageSize);
  request.mutable_since()->set_seconds(
      absl::ToUnixSeconds(session.environment.clock.Now() - session.options.since));
  ReplayReport report;
  do {
    v1::ListPolicyDecisionsResponse page;
    const grpc::Status status = ListPage(session, *stub, request, page);
    if (!status.ok()) return session.Fail(status);
    const std::vector<v1::StoredPolicyDecision> decisions(page.decisions().begin(),
                                                          page.decisions().end());
    const auto replayed = Decide(**rules, decisions, session.environment.stop);
    if (!replayed.ok()) return RulesFail(session, replayed.status());
    for (std::size_t i = 0; i < decisions.size(); ++i) {
      if (const absl::Status added = report.Add(decisions[i], (*replayed)[i]); !added.ok())
        return UsageError(session.environment, std::string(added.message()));
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  // Bad rules are bad even where there is nothing to decide.
  if (const absl::Status ended = (*rules)->Finish(session.environment.stop); !ended.ok())
    return RulesFail(session, ended);
  Print(session, report.Text(), report.Json());
  return report.clean() ? kOk : kFindings;
}

int PolicyExplainDecision(Session& session) {
  absl::StatusOr<std::unique_ptr<LineFilter>> rules = StartRules(session.options);
  if (!rules.ok()) return UsageError(session.environment, std::string(rules.status().message()));
  auto stub = v1::AdminService::NewStub(session.channel);
  v1::ListPolicyDecisionsRequest request;
  request.set_page_size(kPageSize);
  request.set_execution(ExecutionName(session));
  std::optional<v1::StoredPolicyDecision> wanted;
  do {
    v1::ListPolicyDecisionsResponse page;
    const grpc::Status status = ListPage(session, *stub, request, page);
    if (!status.ok()) return session.Fail(status);
    for (const v1::StoredPolicyDecision& decision : page.decisions()) {
      if (session.options.decision_number == 0 ||
          decision.number() == session.options.decision_number)
        wanted = decision;
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  if (!wanted) {
    return session.Fail(
        {grpc::StatusCode::NOT_FOUND,
         Cat(request.execution(), " has no decision",
             session.options.decision_number == 0 ? std::string()
                                                  : Cat(" ", session.options.decision_number),
             " in the store")});
  }
  const auto replayed = Decide(**rules, {*wanted}, session.environment.stop);
  if (!replayed.ok()) return RulesFail(session, replayed.status());
  const absl::StatusOr<Explanation> explanation = Explain(*wanted, replayed->front());
  if (!explanation.ok())
    return UsageError(session.environment, std::string(explanation.status().message()));
  Print(session, explanation->text, explanation->json);
  return explanation->same_rules && explanation->same_result ? kOk : kFindings;
}

}  // namespace capstan::cli
