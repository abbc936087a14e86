#include "tests/support/kubesim/kubectl_line.h"

#include <set>

#include "tests/support/kubesim/object_store.h"
#include "tests/support/kubesim/text.h"

namespace capstan::kubesim {
namespace {

// Flags that stand for "true" by themselves.
const std::set<std::string_view> kSwitches = {"watch", "force", "ignore-daemonsets",
                                              "delete-emptydir-data"};

const std::map<std::string_view, std::string_view>& FlagNames() {
  static const std::map<std::string_view, std::string_view> names = {
      {"-n", "namespace"},
      {"--namespace", "namespace"},
      {"--replicas", "replicas"},
      {"--current-replicas", "current-replicas"},
      {"--timeout", "timeout"},
      {"--request-timeout", "request-timeout"},
      {"--watch", "watch"},
      {"-w", "watch"},
      {"--force", "force"},
      {"--ignore-daemonsets", "ignore-daemonsets"},
      {"--delete-emptydir-data", "delete-emptydir-data"},
      {"--grace-period", "grace-period"}};
  return names;
}

}  // namespace

std::string CommandLine::Flag(std::string_view name) const {
  auto flag = flags.find(name);
  return flag == flags.end() ? "" : flag->second;
}

CommandLine ParseKubectl(const std::vector<std::string>& argv) {
  CommandLine line;
  bool operands_only = false;
  for (size_t i = 1; i < argv.size(); ++i) {
    const std::string& word = argv[i];
    if (operands_only || !word.starts_with("-")) {
      line.operands.push_back(word);
      continue;
    }
    if (word == "--") {
      operands_only = true;
      continue;
    }
    size_t equals = word.find('=');
    auto flag = FlagNames().find(std::string_view(word).substr(0, equals));
    if (flag == FlagNames().end()) {
      line.error = Cat("error: unknown flag: ", word.substr(0, equals));
      return line;
    }
    std::string value = "true";
    if (equals != std::string::npos) {
      value = word.substr(equals + 1);
    } else if (!kSwitches.contains(flag->second)) {
      if (++i == argv.size()) {
        line.error = Cat("error: flag needs an argument: ", word);
        return line;
      }
      value = argv[i];
    }
    line.flags[std::string(flag->second)] = value;
  }
  return line;
}

int Fail(ProgramRun& run, const std::string& message) {
  run.Print(message + "\n");
  return 1;
}

int FailWith(ProgramRun& run, const ProgramRun::Reply& reply) {
  return Fail(run, Cat("Error from server (", TextAt(reply.body, {"reason"}),
                       "): ", TextAt(reply.body, {"message"})));
}

}  // namespace capstan::kubesim
