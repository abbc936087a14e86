#include "tests/support/kubesim/program.h"

#include <cstdlib>

#include "tests/support/kubesim/capstan_action.h"
#include "tests/support/kubesim/kubectl.h"

namespace capstan::kubesim {
namespace {

std::optional<int> Sleep(ProgramRun& run) {
  absl::Duration duration =
      absl::Seconds(run.argv().size() > 1 ? std::strtod(run.argv()[1].c_str(), nullptr) : 0);
  if (run.Elapsed() >= duration) return 0;
  run.WakeAt(duration);
  return std::nullopt;
}

std::string FileName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

bool IsPrefix(const std::vector<std::string>& prefix, const std::vector<std::string>& argv) {
  if (prefix.size() > argv.size()) return false;
  for (size_t i = 0; i < prefix.size(); ++i) {
    if (i == 0 ? FileName(prefix[i]) != FileName(argv[i]) : prefix[i] != argv[i]) return false;
  }
  return true;
}

}  // namespace

ProgramRegistry ProgramRegistry::WithBuiltins() {
  ProgramRegistry registry;
  registry.Register({"kubectl"}, Kubectl);
  registry.Register({"capstan-action"}, CapstanAction);
  registry.Register({"sleep"}, Sleep);
  registry.Register({"true"}, [](ProgramRun&) { return 0; });
  registry.Register({"false"}, [](ProgramRun&) { return 1; });
  return registry;
}

void ProgramRegistry::Register(std::vector<std::string> argv_prefix, Program program) {
  entries_.push_back({std::move(argv_prefix), std::move(program)});
}

const Program* ProgramRegistry::Find(const std::vector<std::string>& argv) const {
  const Entry* best = nullptr;
  for (const Entry& entry : entries_) {
    bool fits = IsPrefix(entry.prefix, argv);
    if (fits && (best == nullptr || entry.prefix.size() >= best->prefix.size())) best = &entry;
  }
  return best == nullptr ? nullptr : &best->program;
}

}  // namespace capstan::kubesim
