// The options of the policy time machine.
#include "absl/strings/numbers.h"
#include "cli/option_kit.h"
#include "core/text.h"

namespace capstan::cli {
namespace {

// A duration, or whole days: 7d.
std::string ReadAge(const std::string& text, absl::Duration* age) {
  int days = 0;
  if (text.ends_with("d") && absl::SimpleAtoi(text.substr(0, text.size() - 1), &days) && days > 0) {
    *age = absl::Hours(24) * days;
    return "";
  }
  if (absl::ParseDuration(text, age) && *age > absl::ZeroDuration()) return "";
  return Cat("got \"", text, "\", want a duration such as 7d, 12h or 30m");
}

}  // namespace

void AddPolicyCommands(CLI::App* root, Options* options) {
  CLI::App* group = AddGroup(root, "policy", "Ask other rules what they would have decided");
  CLI::App* replay =
      AddCommand(group, "replay", "Decide stored decisions again and list those that flip",
                 Command::kPolicyReplay, options);
  replay
      ->add_option_function<std::string>(
          "--since",
          [options](const std::string& text) {
            if (std::string error = ReadAge(text, &options->since); !error.empty())
              throw CLI::ValidationError("--since", error);
          },
          "Of executions submitted within this time (default 7d)")
      ->type_name("DURATION");
  CLI::App* explain =
      AddCommand(group, "explain-decision",
                 "Decide one stored decision again and say whether result and rules are the same",
                 Command::kPolicyExplainDecision, options);
  AddName(explain, "EXECUTION", kExecutionNameHelp, options);
  explain
      ->add_option("--number", options->decision_number,
                   "Which decision, from 1 (default: the last)")
      ->check(CLI::Range(1, 1 << 30));
  for (CLI::App* command : {replay, explain}) {
    command
        ->add_option("--bundle", options->bundle_dir, "Directory of the rules: one folder a bundle")
        ->type_name("DIR")
        ->required();
    command
        ->add_option("--required", options->required_bundles,
                     "Bundles that must be there, as the worker's policy.required_bundles: they "
                     "count in the digest")
        ->delimiter(',')
        ->allow_extra_args(false)
        ->type_name("BUNDLE");
    command
        ->add_option("--check-program", options->check_program,
                     "capstan-policy-check (default: beside this program, or on PATH)")
        ->type_name("PROGRAM");
  }
}

}  // namespace capstan::cli
