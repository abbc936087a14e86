#include "cli/render_plan.h"

#include "cli/render_words.h"
#include "cli/text_format.h"
#include "core/text.h"

namespace capstan::cli {
namespace {

constexpr int kMostObjects = 20;  // that one line names

std::string RadiusText(const v1::BlastRadius& radius) {
  std::string text = "Touches: ";
  if (radius.objects().empty()) Append(&text, "no object");
  const char* separator = "";
  for (int i = 0; i < radius.objects_size() && i < kMostObjects; ++i) {
    Append(&text, separator, OneLine(radius.objects(i)));
    separator = ", ";
  }
  if (radius.objects_size() > kMostObjects)
    Append(&text, " and ", radius.objects_size() - kMostObjects, " more");
  if (radius.pods() > 0)
    Append(&text, "; ", radius.pods(), radius.pods() == 1 ? " pod" : " pods",
           " may start, be replaced or stop");
  return text;
}

}  // namespace

std::string PlanText(const v1::Plan& plan) {
  std::string text;
  if (plan.has_policy_decision())
    AppendLine(&text, Cat("Policy: ", DecisionText(plan.policy_decision())));
  for (const v1::ConditionResult& result : plan.condition_results())
    AppendLine(&text, Cat("Check: ", ConditionText(result)));
  if (plan.has_blast_radius()) AppendLine(&text, RadiusText(plan.blast_radius()));
  for (const v1::ResourceChange& change : plan.expected_changes())
    AppendLine(&text, Cat("Expected: ", ChangeText(change)));
  AppendLine(&text, Cat("Undone by: ", plan.has_rollback() ? RollbackText(plan.rollback())
                                                           : "nothing that is known"));
  AppendLine(&text,
             Cat("Server-side dry run of the Job: ",
                 plan.dry_run_error().empty() ? "accepted"
                                              : Cat("REFUSED: ", OneLine(plan.dry_run_error()))));
  AppendLine(&text, Cat("Plan: sha256:", OneLine(plan.digest())));
  return text;
}

}  // namespace capstan::cli
