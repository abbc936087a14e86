#include "worker/phases/script.h"

#include <yaml-cpp/yaml.h>

#include <limits>

#include "absl/strings/numbers.h"
#include "core/catalog/yaml_reader.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "worker/phases/json.h"
#include "worker/phases/small_file.h"
#include "worker/phases/workspace_file.h"

namespace capstan::phases {
namespace {

using Json = nlohmann::json;
using catalog::YamlErrors;
using catalog::YamlMap;

constexpr int kMaxNodes = 100'000;

// Plain scalars have the types of JSON; what is quoted is a text. `left` bounds what aliases in the
// file can grow to.
Json ToJson(const YAML::Node& node, int depth, int& left) {
  if (--left < 0 || depth > kMaxJsonDepth) return nullptr;
  if (node.IsMap()) {
    Json object = Json::object();
    for (const auto& entry : node) {
      object[entry.first.Scalar()] = ToJson(entry.second, depth + 1, left);
    }
    return object;
  }
  if (node.IsSequence()) {
    Json array = Json::array();
    for (const YAML::Node& item : node) array.push_back(ToJson(item, depth + 1, left));
    return array;
  }
  if (!node.IsScalar()) return nullptr;
  const std::string& text = node.Scalar();
  if (node.Tag() == "!") return text;
  const std::optional<Json> typed = ParseJson(text);
  return typed.has_value() && typed->is_primitive() ? *typed : Json(text);
}

std::optional<PhaseError> ErrorNamed(std::string_view name) {
  for (int i = 0; i <= static_cast<int>(PhaseError::kProcess); ++i) {
    const auto error = static_cast<PhaseError>(i);
    if (PhaseErrorName(error) == name) return error;
  }
  return std::nullopt;
}

std::int64_t Number(YamlMap& map, std::string_view key, std::int64_t least, std::int64_t most,
                    std::int64_t otherwise) {
  if (!map.Has(key)) return otherwise;
  const std::int64_t number = map.OptionalInteger(key).value_or(least);
  if (number < least || number > most) {
    map.Refuse(key, Cat("got ", number, ", want ", least, " to ", most));
  }
  return number;
}

Usage ReadUsage(YamlMap& map) {
  constexpr std::int64_t kMost = 1'000'000'000'000;
  Usage usage;
  usage.model = map.OptionalText("model").value_or("scripted");
  usage.input_tokens = Number(map, "input_tokens", 0, kMost, 0);
  usage.output_tokens = Number(map, "output_tokens", 0, kMost, 0);
  usage.cache_creation_tokens = Number(map, "cache_creation_tokens", 0, kMost, 0);
  usage.cache_read_tokens = Number(map, "cache_read_tokens", 0, kMost, 0);
  usage.cost_microusd = Number(map, "cost_microusd", 0, kMost, 0);
  usage.turns = static_cast<int>(Number(map, "turns", 0, 1'000'000, 1));
  map.RefuseOthers();
  return usage;
}

void ReadFiles(YamlMap& map, ScriptedReply& reply) {
  for (YamlMap& file : map.Maps("files")) {
    const std::string path = file.Text("path");
    if (absl::Status good = CheckRelativePath(path); !path.empty() && !good.ok()) {
      file.Refuse("path", std::string(good.message()));
    }
    reply.files.emplace_back(path, file.OptionalText("content").value_or(""));
    file.RefuseOthers();
  }
}

void ReadError(YamlMap& map, ScriptedReply& reply) {
  const std::string name = map.OptionalText("error").value_or("none");
  const std::optional<PhaseError> error = ErrorNamed(name);
  if (error.has_value()) {
    reply.error = *error;
  } else {
    map.Refuse("error", Cat("got ", name, ", want one such as transient, budget or no_answer"));
  }
  reply.message = map.OptionalText("message").value_or("scripted");
  reply.retry_after = map.OptionalDuration("retry_after").value_or(absl::ZeroDuration());
}

// `node` is the mapping of `map`, which gives no values of its own kind for "text" and "answer".
ScriptedReply ReadReply(const YAML::Node& node, YamlMap& map) {
  constexpr std::int64_t kMost = std::numeric_limits<int>::max();
  ScriptedReply reply;
  reply.step = map.OptionalText("step").value_or("");
  if (map.Has("iteration"))
    reply.iteration = static_cast<int>(Number(map, "iteration", 1, kMost, 1));
  if (map.Has("attempt")) reply.attempt = static_cast<int>(Number(map, "attempt", 1, kMost, 1));
  reply.judgement = map.Flag("judgement", false);
  if (map.Has("text") && node["text"].IsSequence()) {
    reply.text = map.Texts("text");
  } else if (map.Has("text")) {
    reply.text = {map.Text("text")};
  }
  if (map.Has("files")) ReadFiles(map, reply);
  if (map.Has("answer") && node["answer"].IsMap()) {
    map.Map("answer");
    int left = kMaxNodes;
    reply.answer = JsonText(ToJson(node["answer"], 0, left));
    if (left < 0) map.Refuse("answer", Cat("want at most ", kMaxNodes, " values"));
  } else {
    reply.answer = map.OptionalText("answer").value_or("");
  }
  ReadError(map, reply);
  if (map.Has("usage")) {
    YamlMap usage = map.Map("usage");
    reply.usage.push_back(ReadUsage(usage));
  }
  reply.hold = map.Flag("hold", false);
  reply.needs_microusd = Number(map, "needs_microusd", 0, kMost, 0);
  map.RefuseOthers();
  return reply;
}

}  // namespace

absl::StatusOr<Script> Script::Parse(const std::string& file, const std::string& text) {
  YAML::Node root;
  try {
    root = YAML::Load(text);
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(Cat(file, ":", error.mark.line + 1, ": ", error.msg));
  }
  Script script;
  YamlErrors errors(file);
  YamlMap map(root, "", errors);
  if (map.Has("replies")) {
    std::size_t at = 0;
    for (YamlMap& entry : map.Maps("replies")) {
      const YAML::Node node = root["replies"][at++];
      if (node.IsMap()) script.replies_.push_back(ReadReply(node, entry));
    }
  }
  if (map.Has("default")) {
    YamlMap entry = map.Map("default");
    const YAML::Node node = root["default"];
    if (node.IsMap()) script.default_ = ReadReply(node, entry);
  }
  map.RefuseOthers();
  CAPSTAN_RETURN_IF_ERROR(errors.status());
  return script;
}

absl::StatusOr<Script> Script::Load(const std::string& path) {
  CAPSTAN_ASSIGN_OR_RETURN(const std::string text, ReadSmallFile(path, kMaxFileBytes));
  return Parse(path, text);
}

const ScriptedReply* Script::Find(const PhaseRequest& request) const {
  for (const ScriptedReply& reply : replies_) {
    if (reply.judgement == request.judgement &&
        (reply.step.empty() || reply.step == request.step) &&
        reply.iteration.value_or(request.iteration) == request.iteration &&
        reply.attempt.value_or(request.attempt) == request.attempt) {
      return &reply;
    }
  }
  return default_.has_value() && !request.judgement ? &*default_ : nullptr;
}

}  // namespace capstan::phases
