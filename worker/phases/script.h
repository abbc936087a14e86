// What the scripted engine says and does: a YAML or JSON file.
//
//   replies:                    # the first that fits is given
//     - step: implement         # without it: any step; so for iteration and attempt
//       iteration: 2
//       attempt: 1
//       text: [I look., I write.]            # pieces of text, or one
//       files: [{path: src/a.txt, content: hello}]   # written into the workspace
//       answer: {status: complete}           # a mapping becomes JSON; a text is given as it is
//       usage: {model: scripted, input_tokens: 10, output_tokens: 5}
//     - step: review
//       error: transient        # a name of PhaseErrorName
//       message: overloaded
//       retry_after: 30s
//     - step: design
//       needs_microusd: 40      # with less to spend it ends with error budget, and costs nothing
//     - step: spec
//       judgement: true         # when it is asked to judge the step, as a gate or a check; never
//       otherwise answer: {status: fail, reason: too vague}
//     - step: build
//       hold: true              # says its text, then nothing until it is stopped or out of time
//   default: {answer: {status: complete}}      # not for judgements
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "worker/phases/phase_engine.h"

namespace capstan::phases {

struct ScriptedReply {
  std::string step;
  std::optional<int> iteration;
  std::optional<int> attempt;
  bool judgement = false;
  std::vector<std::string> text;
  std::vector<std::pair<std::string, std::string>> files;  // relative path, content
  std::string answer;
  PhaseError error = PhaseError::kNone;
  std::string message;
  absl::Duration retry_after;
  std::vector<Usage> usage;
  bool hold = false;
  std::int64_t needs_microusd = 0;
};

class Script {
 public:
  static constexpr std::size_t kMaxFileBytes = 4 << 20;

  // INVALID_ARGUMENT: one line a mistake, with file and line; start-up stops.
  static absl::StatusOr<Script> Parse(const std::string& file, const std::string& text);
  // Also NOT_FOUND and RESOURCE_EXHAUSTED: the file.
  static absl::StatusOr<Script> Load(const std::string& path);

  // Null: nothing fits and there is no default.
  const ScriptedReply* Find(const PhaseRequest& request) const;

 private:
  std::vector<ScriptedReply> replies_;
  std::optional<ScriptedReply> default_;
};

}  // namespace capstan::phases
