#include "core/config/program.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace capstan::config {
namespace {

// What the words on the command line ask for.
struct CommandLine {
  std::vector<std::string> words;
  Sources sources;
  bool help = false;
  bool version = false;
};

absl::StatusOr<CommandLine> ParseCommandLine(int argc, const char* const* argv) {
  CommandLine line;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (!absl::StartsWith(word, "-")) {
      line.words.push_back(word);
      continue;
    }
    const size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    if (name == "--help" || name == "-h") {
      line.help = true;
    } else if (name == "--version") {
      line.version = true;
    } else if (name == "--config") {
      if (equals == std::string::npos && i + 1 == argc) {
        return absl::InvalidArgumentError("--config: want a file");
      }
      line.sources.file = equals == std::string::npos ? argv[++i] : word.substr(equals + 1);
    } else if (!absl::StartsWith(name, "--") || equals == std::string::npos) {
      return absl::InvalidArgumentError(absl::StrCat(word, ": unknown flag; settings are written ",
                                                     "--section.key=value, --help lists them"));
    } else {
      line.sources.flags.emplace_back(name.substr(2), word.substr(equals + 1));
    }
  }
  return line;
}

std::string Help(const Program& program, const google::protobuf::Descriptor& config) {
  std::string text = absl::StrCat(program.name, ": ", program.purpose, "\n\nUsage:\n");
  std::vector<Command> commands = {{"", "run until SIGTERM"}};
  commands.insert(commands.end(), program.commands.begin(), program.commands.end());
  commands.push_back({"config validate", "check the configuration and exit"});
  commands.push_back({"config print", "print the effective configuration, without secrets"});
  for (const Command& command : commands) {
    absl::StrAppend(&text,
                    absl::StrFormat("  %s %-16s %s\n", program.name, command.name, command.help));
  }
  absl::StrAppend(&text,
                  "\nFlags:\n"
                  "  --config FILE              YAML file\n"
                  "  --<setting>=<value>        over the file and the environment\n"
                  "  --help, --version\n"
                  "\nSettings, with their environment variable, type and default:\n");
  for (const Setting& setting : Settings(config)) {
    absl::StrAppend(&text, absl::StrFormat("  %-34s %-42s %-14s %s\n", setting.path,
                                           setting.variable, setting.type, setting.default_value));
  }
  return text;
}

StartUp Refuse(const Program& program, const absl::Status& status, std::ostream& err) {
  err << program.name << ": " << status.message() << "\n";
  return {kExitUsage, ""};
}

}  // namespace

StartUp Begin(const Program& program, int argc, const char* const* argv,
              google::protobuf::Message& config, const std::function<absl::Status()>& validate,
              const Environment& environment, std::ostream& out, std::ostream& err) {
  absl::StatusOr<CommandLine> line = ParseCommandLine(argc, argv);
  if (!line.ok()) return Refuse(program, line.status(), err);
  if (line->help) {
    out << Help(program, *config.GetDescriptor());
    return {kExitOk, ""};
  }
  if (line->version) {
    out << program.name << " " << program.version << "\n";
    return {kExitOk, ""};
  }

  const std::string command = absl::StrJoin(line->words, " ");
  const bool prints = command == "config print";
  const bool validates = command == "config validate";
  const bool known =
      command.empty() || prints || validates ||
      std::any_of(program.commands.begin(), program.commands.end(),
                  [&](const Command& candidate) { return candidate.name == command; });
  if (!known) {
    return Refuse(
        program,
        absl::InvalidArgumentError(absl::StrCat("unknown command \"", command, "\"; see --help")),
        err);
  }

  line->sources.environment = environment;
  if (absl::Status status = Load(line->sources, config); !status.ok()) {
    return Refuse(program, status, err);
  }
  if (absl::Status status = validate(); !status.ok()) return Refuse(program, status, err);
  if (prints) out << Print(config);
  if (validates) out << "the configuration is valid\n";
  if (prints || validates) return {kExitOk, ""};
  return {std::nullopt, command};
}

StartUp Begin(const Program& program, int argc, const char* const* argv,
              google::protobuf::Message& config, const std::function<absl::Status()>& validate) {
  const Environment process = [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  };
  return Begin(program, argc, argv, config, validate, process, std::cout, std::cerr);
}

}  // namespace capstan::config
