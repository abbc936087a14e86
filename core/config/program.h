// What the mains of capstan-server and capstan-worker share: flags, configuration, and the commands
// that only look at it.
//
//   v1::ServerConfig config;
//   config::StartUp start = config::Begin(kProgram, argc, argv, config,
//                                         [&] { return config::Validate(config); });
//   if (start.exit_code) return *start.exit_code;
//   if (start.command == "migrate") …
//
// Every program understands: --config FILE, --<setting>=<value>, --help, --version, `config
// validate`, `config print` (effective values, secrets hidden). Without a command it runs.
#pragma once

#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/config/load.h"

namespace capstan::config {

inline constexpr int kExitOk = 0;
inline constexpr int kExitUsage =
    2;  // a wrong flag, an unknown command, or a configuration that is refused

struct Command {
  std::string name;  // "migrate"
  std::string help;
};

struct Program {
  std::string name;     // "capstan-server"
  std::string purpose;  // one line for --help
  std::string version;
  std::vector<Command> commands;  // besides those every program has
};

struct StartUp {
  // Set: everything is done or refused and said; return it from main.
  std::optional<int> exit_code;
  // One of Program::commands, or empty: run.
  std::string command;
};

// Reads flags and configuration into `config`, checks it by `validate`, and answers the common
// commands on `out`. Errors go to `err`, one line. The log level of the configuration is not
// applied: that is the main's.
StartUp Begin(const Program& program, int argc, const char* const* argv,
              google::protobuf::Message& config, const std::function<absl::Status()>& validate,
              const Environment& environment, std::ostream& out, std::ostream& err);

// The same with the process's environment, standard output and standard error.
StartUp Begin(const Program& program, int argc, const char* const* argv,
              google::protobuf::Message& config, const std::function<absl::Status()>& validate);

}  // namespace capstan::config
