// Strict reading of a YAML file: every key is asked for by name, what was not asked for is an
// error, and each error says file, line and key path. Errors are collected, so that one run shows
// all of them. Internal to the catalog.
#pragma once

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace capstan::catalog {

// Collects what is wrong with one file.
class YamlErrors {
 public:
  explicit YamlErrors(std::string file) : file_(std::move(file)) {}

  void Add(const YAML::Node& node, std::string_view path, const std::string& what);

  // OK, or INVALID_ARGUMENT with a line for each error.
  absl::Status status() const;

 private:
  std::string file_;
  std::vector<std::string> lines_;
};

// One mapping. A key that is missing or of the wrong kind adds an error and gives an empty value.
class YamlMap {
 public:
  // `node` may be anything: not a mapping is an error.
  YamlMap(YAML::Node node, std::string path, YamlErrors& errors);

  bool Has(std::string_view key) const;
  std::string Text(std::string_view key);
  std::optional<std::string> OptionalText(std::string_view key);
  std::optional<int64_t> OptionalInteger(std::string_view key);
  std::optional<absl::Duration> OptionalDuration(std::string_view key,
                                                 bool zero_too = false);  // 90s, 5m
  bool Flag(std::string_view key, bool otherwise);
  std::vector<std::string> Texts(std::string_view key);              // at least one
  std::map<std::string, std::string> TextMap(std::string_view key);  // keys to scalars
  YamlMap Map(std::string_view key);
  std::vector<YamlMap> Maps(std::string_view key);  // at least one

  // Adds an error for each key that nothing asked for. Call when all were read.
  void RefuseOthers();

  // Adds an error about the value of `key` (about the mapping itself when it has no such key).
  void Refuse(std::string_view key, const std::string& what);

 private:
  YAML::Node Take(std::string_view key);
  YAML::Node Require(std::string_view key);
  std::string PathOf(std::string_view key) const;

  YAML::Node node_;
  std::string path_;
  YamlErrors* errors_;
  std::map<std::string, YAML::Node, std::less<>> values_;
  std::set<std::string, std::less<>> taken_;
};

}  // namespace capstan::catalog
