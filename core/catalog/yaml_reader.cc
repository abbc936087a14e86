#include "core/catalog/yaml_reader.h"

#include <utility>

#include "absl/strings/numbers.h"

#include "absl/strings/str_join.h"
#include "core/text.h"

namespace capstan::catalog {

void YamlErrors::Add(const YAML::Node& node, std::string_view path, const std::string& what) {
  YAML::Mark mark = node.Mark();
  std::string line = mark.is_null() ? "" : Cat(":", mark.line + 1);
  lines_.push_back(Cat(file_, line, ": ", path, path.empty() ? "" : ": ", what));
}

absl::Status YamlErrors::status() const {
  if (lines_.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(lines_, "\n"));
}

YamlMap::YamlMap(YAML::Node node, std::string path, YamlErrors& errors)
    : node_(std::move(node)), path_(std::move(path)), errors_(&errors) {
  if (!node_.IsMap()) {
    errors_->Add(node_, path_, "want a mapping");
    return;
  }
  for (const auto& entry : node_) {
    if (!entry.first.IsScalar()) {
      errors_->Add(entry.first, path_, "want a text as key");
    } else if (!values_.emplace(entry.first.Scalar(), entry.second).second) {
      errors_->Add(entry.first, PathOf(entry.first.Scalar()), "given twice");
    }
  }
}

bool YamlMap::Has(std::string_view key) const { return values_.find(key) != values_.end(); }

std::string YamlMap::Text(std::string_view key) {
  YAML::Node node = Require(key);
  if (!node.IsDefined()) return "";
  if (node.IsScalar() && !node.Scalar().empty()) return node.Scalar();
  errors_->Add(node, PathOf(key), "want a text");
  return "";
}

std::optional<std::string> YamlMap::OptionalText(std::string_view key) {
  if (!Has(key)) return std::nullopt;
  return Text(key);
}

std::optional<int64_t> YamlMap::OptionalInteger(std::string_view key) {
  YAML::Node node = Take(key);
  if (!node.IsDefined()) return std::nullopt;
  int64_t value = 0;
  if (node.IsScalar() && absl::SimpleAtoi(node.Scalar(), &value)) return value;
  errors_->Add(node, PathOf(key), "want an integer");
  return std::nullopt;
}

std::optional<absl::Duration> YamlMap::OptionalDuration(std::string_view key, bool zero_too) {
  YAML::Node node = Take(key);
  if (!node.IsDefined()) return std::nullopt;
  absl::Duration value;
  const absl::Duration least = zero_too ? absl::ZeroDuration() : absl::Seconds(1);
  if (node.IsScalar() && absl::ParseDuration(node.Scalar(), &value) && value >= least &&
      absl::Trunc(value, absl::Seconds(1)) == value) {
    return value;
  }
  errors_->Add(node, PathOf(key), "want a duration of whole seconds such as 90s or 5m");
  return std::nullopt;
}

bool YamlMap::Flag(std::string_view key, bool otherwise) {
  YAML::Node node = Take(key);
  if (!node.IsDefined()) return otherwise;
  if (node.IsScalar() && node.Scalar() == "true") return true;
  if (node.IsScalar() && node.Scalar() == "false") return false;
  errors_->Add(node, PathOf(key), "want true or false");
  return otherwise;
}

std::vector<std::string> YamlMap::Texts(std::string_view key) {
  YAML::Node node = Require(key);
  std::vector<std::string> texts;
  if (!node.IsDefined()) return texts;
  if (!node.IsSequence() || node.size() == 0) {
    errors_->Add(node, PathOf(key), "want a list of texts");
    return texts;
  }
  for (const YAML::Node& item : node) {
    if (item.IsScalar()) {
      texts.push_back(item.Scalar());
    } else {
      errors_->Add(item, Cat(PathOf(key), "[", texts.size(), "]"), "want a text");
    }
  }
  return texts;
}

std::map<std::string, std::string> YamlMap::TextMap(std::string_view key) {
  std::map<std::string, std::string> texts;
  YamlMap map = Map(key);
  for (const auto& [name, value] : map.values_) texts[name] = map.Text(name);
  return texts;
}

YamlMap YamlMap::Map(std::string_view key) {
  YAML::Node node = Require(key);
  // What is missing was reported once: an empty mapping keeps the caller going.
  if (!node.IsDefined()) node = YAML::Node(YAML::NodeType::Map);
  return YamlMap(node, PathOf(key), *errors_);
}

std::vector<YamlMap> YamlMap::Maps(std::string_view key) {
  YAML::Node node = Require(key);
  std::vector<YamlMap> maps;
  if (!node.IsDefined()) return maps;
  if (!node.IsSequence() || node.size() == 0) {
    errors_->Add(node, PathOf(key), "want a list");
    return maps;
  }
  for (const YAML::Node& item : node) {
    maps.emplace_back(item, Cat(PathOf(key), "[", maps.size(), "]"), *errors_);
  }
  return maps;
}

void YamlMap::RefuseOthers() {
  for (const auto& [key, value] : values_) {
    if (taken_.count(key) == 0) errors_->Add(value, PathOf(key), "unknown key");
  }
}

void YamlMap::Refuse(std::string_view key, const std::string& what) {
  auto found = values_.find(key);
  errors_->Add(found == values_.end() ? node_ : found->second, PathOf(key), what);
}

YAML::Node YamlMap::Take(std::string_view key) {
  auto found = values_.find(key);
  if (found == values_.end()) return YAML::Node(YAML::NodeType::Undefined);
  taken_.emplace(key);
  return found->second;
}

YAML::Node YamlMap::Require(std::string_view key) {
  YAML::Node node = Take(key);
  if (!node.IsDefined()) errors_->Add(node_, PathOf(key), "missing");
  return node;
}

std::string YamlMap::PathOf(std::string_view key) const {
  return Cat(path_, path_.empty() ? "" : ".", key);
}

}  // namespace capstan::catalog
