#include "cli/workflow_file.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "absl/strings/str_join.h"
#include "cli/file_input.h"
#include "core/text.h"

namespace capstan::cli {
namespace {

// A key that names a file, what stands for it when the text is there, and where files of it are.
struct FileKey {
  std::string_view key;
  std::string_view text_key;
  std::string_view kind;
};

constexpr FileKey kModelKeys[] = {{"prompt_file", "prompt", "prompts"},
                                  {"system_prompt_file", "system_prompt", "prompts"},
                                  {"schema_file", "schema", "schemas"}};
constexpr FileKey kJudgeKeys[] = {{"prompt_file", "prompt", "prompts"}};
constexpr FileKey kVariableKeys[] = {{"fragment", "text", "prompts/fragments"}};

// One place of the file that gets another text.
struct Change {
  size_t begin = 0;
  size_t end = 0;
  std::string text;
};

// One line of YAML that holds any text: JSON's strings are YAML.
std::string Quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

class Inliner {
 public:
  Inliner(std::string_view yaml, std::string_view file, const workflow::ReadPart& read)
      : yaml_(yaml), file_(file), read_(read) {}

  void Look(const YAML::Node& root) {
    for (const YAML::Node& step : List(root, "steps")) {
      LookAt(Part(step, "llm"), kModelKeys);
      LookAt(Part(Part(step, "gate"), "judge"), kJudgeKeys);
      for (const YAML::Node& check : List(step, "checks")) LookAt(Part(check, "judge"), kJudgeKeys);
    }
    for (const YAML::Node& variable : List(root, "variables")) LookAt(variable, kVariableKeys);
  }

  absl::StatusOr<std::string> Result() {
    if (!errors_.empty()) return absl::InvalidArgumentError(absl::StrJoin(errors_, "\n"));
    std::sort(changes_.begin(), changes_.end(),
              [](const Change& a, const Change& b) { return a.begin < b.begin; });
    std::string text;
    size_t at = 0;
    for (const Change& change : changes_) {
      Append(&text, yaml_.substr(at, change.begin - at), change.text);
      at = change.end;
    }
    return Cat(text, yaml_.substr(at));
  }

 private:
  // What stands under the key, null where there is none.
  static YAML::Node Part(const YAML::Node& node, const char* key) {
    const YAML::Node part = node.IsMap() ? node[key] : YAML::Node();
    return part ? part : YAML::Node();
  }

  static YAML::Node List(const YAML::Node& node, const char* key) {
    const YAML::Node list = Part(node, key);
    return list.IsSequence() ? list : YAML::Node(YAML::NodeType::Sequence);
  }

  template <size_t kCount>
  void LookAt(const YAML::Node& node, const FileKey (&keys)[kCount]) {
    if (!node.IsMap()) return;
    for (const auto& pair : node) {
      if (!pair.first.IsScalar() || !pair.second.IsScalar()) continue;
      const auto* found = std::find_if(std::begin(keys), std::end(keys), [&](const FileKey& key) {
        return key.key == pair.first.Scalar();
      });
      if (found != std::end(keys)) Replace(*found, pair.first, pair.second);
    }
  }

  void Replace(const FileKey& key, const YAML::Node& name, const YAML::Node& value) {
    const std::string wanted = value.Scalar();
    const size_t begin = static_cast<size_t>(name.Mark().pos);
    const size_t value_begin = static_cast<size_t>(value.Mark().pos);
    const size_t end = EndOf(wanted, value_begin);
    if (yaml_.substr(begin, key.key.size()) != key.key || end == 0 ||
        !IsPlainGap(begin + key.key.size(), value_begin)) {
      return Error(name, key, wanted, "want the name written plainly after its key");
    }
    absl::StatusOr<std::string> text = read_(key.kind, wanted);
    if (!text.ok()) return Error(name, key, wanted, std::string(text.status().message()));
    if (key.key == "fragment" && text->find("{{") != std::string::npos) {
      return Error(name, key, wanted,
                   "it has {{, which would be taken for a variable; write it as text here");
    }
    changes_.push_back({begin, begin + key.key.size(), std::string(key.text_key)});
    changes_.push_back({value_begin, end, Quoted(*text)});
  }

  // Where the value that begins there ends, bare or quoted; 0 when it stands there otherwise.
  size_t EndOf(const std::string& value, size_t begin) const {
    for (const std::string& form : {value, Cat("\"", value, "\""), Cat("'", value, "'")}) {
      if (!value.empty() && yaml_.substr(begin, form.size()) == form) return begin + form.size();
    }
    return 0;
  }

  bool IsPlainGap(size_t begin, size_t end) const {
    if (end <= begin) return false;
    const std::string_view gap = yaml_.substr(begin, end - begin);
    return std::count(gap.begin(), gap.end(), ':') == 1 &&
           gap.find_first_not_of(" \t:") == std::string_view::npos;
  }

  void Error(const YAML::Node& node, const FileKey& key, const std::string& got,
             const std::string& why) {
    errors_.push_back(
        Cat(file_, ":", node.Mark().line + 1, ": ", key.key, ": got \"", got, "\": ", why));
  }

  const std::string_view yaml_;
  const std::string_view file_;
  const workflow::ReadPart& read_;
  std::vector<Change> changes_;
  std::vector<std::string> errors_;
};

// A name of a file in its folder, nothing that leads out of it.
bool IsFileName(std::string_view name) {
  return !name.empty() && name.front() != '.' &&
         name.find_first_of("/\\") == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

}  // namespace

workflow::ReadPart PartsOf(const std::string& catalog_dir) {
  return [catalog = std::filesystem::path(catalog_dir)](
             std::string_view kind, std::string_view name) -> absl::StatusOr<std::string> {
    if (!IsFileName(name)) return absl::InvalidArgumentError(Cat("want a file of ", kind, "/"));
    std::istringstream none;
    return ReadInput((catalog / kind / name).string(), none);
  };
}

absl::StatusOr<std::string> WithTexts(std::string_view yaml, std::string_view file,
                                      const workflow::ReadPart& read) {
  try {
    Inliner inliner(yaml, file, read);
    inliner.Look(YAML::Load(std::string(yaml)));
    return inliner.Result();
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(
        Cat(file, ":", error.mark.line + 1, ": not YAML: ", error.msg));
  }
}

}  // namespace capstan::cli
