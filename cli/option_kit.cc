#include "cli/option_kit.h"

#include <cmath>

#include "absl/strings/numbers.h"
#include "core/text.h"

namespace capstan::cli {
namespace {

constexpr double kMostUsd = 1e6;

std::string ReadDuration(const std::string& text, absl::Duration* duration) {
  if (absl::ParseDuration(text, duration) && *duration > absl::ZeroDuration()) return "";
  return Cat("got \"", text, "\", want a duration such as 90s or 5m");
}

}  // namespace

CLI::App* AddGroup(CLI::App* root, const std::string& name, const std::string& help) {
  CLI::App* group = root->add_subcommand(name, help);
  group->require_subcommand(1);
  group->fallthrough();
  return group;
}

CLI::App* AddCommand(CLI::App* group, const std::string& name, const std::string& help,
                     Command command, Options* options) {
  CLI::App* app = group->add_subcommand(name, help);
  app->fallthrough();
  app->callback([options, command] { options->command = command; });
  return app;
}

void AddName(CLI::App* app, const std::string& what, const std::string& help, Options* options) {
  app->add_option(what, options->name, help)->required();
}

void AddReason(CLI::App* app, Options* options, const std::string& flags, const std::string& help) {
  app->add_option_function<std::string>(
         flags,
         [options, flags](const std::string& text) {
           if (text.empty()) throw CLI::ValidationError(flags, "got nothing, want a text");
           options->reason = text;
         },
         help)
      ->required()
      ->type_name("TEXT");
}

void AddLimit(CLI::App* app, Options* options) {
  app->add_option("--limit", options->limit, "At most this many (default 50)")
      ->check(CLI::Range(1, kMaxLimit));
}

void AddSubmission(CLI::App* app, Options* options) {
  AddRepeated(app, "--label", &options->labels, "KEY=VALUE",
              "A label to find the execution by; may be repeated");
  app->add_option("--parent", options->parent, "Name of the workflow whose step this is");
  app->add_option("--parent-step", options->parent_step, "Number of the step, from 1")
      ->check(CLI::Range(1, 1 << 30));
  app->add_option("--priority", options->priority, "1 (first) to 5 (last), 3 by default")
      ->check(CLI::Range(1, 5));
}

void AddWatching(CLI::App* app, Options* options) {
  app->add_flag("--plain", options->plain, "A line for each event, also on a terminal");
  AddDuration(app, "--wait-timeout", &options->wait_timeout,
              "Stop waiting after this long; the execution goes on");
}

void AddFollowing(CLI::App* app, Options* options) {
  app->add_option(
         "--request-id", options->request_id,
         "UUID that makes the run idempotent: the same one never runs twice (default: a new one)")
      ->type_name("UUID");
  app->add_flag("--no-wait", options->no_wait, "Return as soon as the request is stored");
  AddWatching(app, options);
}

void AddPlanDigest(CLI::App* app, Options* options) {
  app->add_option("--plan-digest", options->plan_digest,
                  "Digest of the plan that was looked at (default: that of the open approval); "
                  "refused when the plan has changed since")
      ->type_name("SHA256");
}

void AddDuration(CLI::App* app, const std::string& flag, absl::Duration* duration,
                 const std::string& help) {
  app->add_option_function<std::string>(
         flag,
         [flag, duration](const std::string& text) {
           if (std::string error = ReadDuration(text, duration); !error.empty()) {
             throw CLI::ValidationError(flag, error);
           }
         },
         help)
      ->type_name("DURATION");
}

CLI::Option* AddUsd(CLI::App* app, const std::string& name, double least, int64_t* microusd,
                    const std::string& help) {
  const auto read = [name, least, microusd](const std::string& text) {
    double usd = 0;
    if (!absl::SimpleAtod(text, &usd) || !(usd >= least && usd <= kMostUsd)) {
      throw CLI::ValidationError(name,
                                 Cat("got \"", text, "\", want US dollars such as 2.50, at most ",
                                     static_cast<int64_t>(kMostUsd)));
    }
    *microusd = std::llround(usd * 1e6);
  };
  return app->add_option_function<std::string>(name, read, help)->type_name("USD");
}

void AddRepeated(CLI::App* app, const std::string& flag, std::vector<std::string>* values,
                 const std::string& type, const std::string& help) {
  app->add_option(flag, *values, help)->allow_extra_args(false)->type_name(type);
}

}  // namespace capstan::cli
