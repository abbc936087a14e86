#include "core/catalog/catalog.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/escaping.h"

#include "absl/strings/str_join.h"
#include "core/catalog/action_loader.h"
#include "core/status_macros.h"
#include "core/text.h"

namespace capstan::catalog {
namespace {

constexpr size_t kMaxShownName = 64;

absl::StatusOr<std::vector<std::string>> ListYamlFiles(const std::string& directory) {
  std::vector<std::string> files;
  std::error_code error;
  std::filesystem::directory_iterator entries(directory, error);
  if (error) {
    return absl::NotFoundError(Cat("catalog directory ", directory, ": ", error.message()));
  }
  for (const auto& entry : entries) {
    if (entry.path().extension() == ".yaml") files.push_back(entry.path().string());
  }
  if (files.empty()) {
    return absl::NotFoundError(Cat("catalog directory ", directory, ": no *.yaml in it"));
  }
  std::sort(files.begin(), files.end());
  return files;
}

absl::StatusOr<ActionDefinition> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) {
    return absl::InvalidArgumentError(Cat(path, ": cannot be read, or is empty"));
  }
  return ParseAction(path, text.str());
}

// The inverse must exist and take exactly what the rollback gives.
absl::Status CheckRollback(const Catalog& catalog, const ActionDefinition& action) {
  if (!action.rollback) return absl::OkStatus();
  const ActionDefinition* inverse = catalog.Find(action.rollback->action);
  if (inverse == nullptr) {
    return absl::InvalidArgumentError(Cat(action.name, ": rollback.action: got \"",
                                          action.rollback->action,
                                          "\", want one of: ", catalog.KnownNames()));
  }
  for (const auto& [name, text] : action.rollback->parameters) {
    if (inverse->FindParameter(name) == nullptr) {
      return absl::InvalidArgumentError(Cat(action.name, ": rollback.parameters.", name, ": ",
                                            inverse->name, " has no such parameter"));
    }
  }
  for (const ParameterDefinition& parameter : inverse->parameters) {
    if (parameter.required && action.rollback->parameters.count(parameter.name) == 0) {
      return absl::InvalidArgumentError(Cat(action.name, ": rollback.parameters.", parameter.name,
                                            ": missing, ", inverse->name, " requires it"));
    }
  }
  const auto given = std::count_if(
      inverse->exactly_one_of.begin(), inverse->exactly_one_of.end(),
      [&](const std::string& name) { return action.rollback->parameters.count(name) != 0; });
  if (!inverse->exactly_one_of.empty() && given != 1) {
    return absl::InvalidArgumentError(Cat(action.name,
                                          ": rollback.parameters: want exactly one of ",
                                          absl::StrJoin(inverse->exactly_one_of, ", ")));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Catalog> Catalog::Load(const std::string& directory) {
  CAPSTAN_ASSIGN_OR_RETURN(std::vector<std::string> files, ListYamlFiles(directory));
  std::vector<ActionDefinition> actions;
  std::vector<std::string> errors;
  for (const std::string& path : files) {
    absl::StatusOr<ActionDefinition> action = ReadFile(path);
    if (action.ok()) {
      actions.push_back(*std::move(action));
    } else {
      errors.emplace_back(action.status().message());
    }
  }
  if (!errors.empty()) return absl::InvalidArgumentError(absl::StrJoin(errors, "\n"));
  return Make(std::move(actions));
}

absl::StatusOr<Catalog> Catalog::Make(std::vector<ActionDefinition> actions) {
  if (actions.size() > kMaxActions) {
    return absl::InvalidArgumentError(Cat("more than ", kMaxActions, " actions"));
  }
  Catalog catalog;
  for (ActionDefinition& action : actions) {
    std::string name = action.name;
    if (!catalog.actions_.emplace(name, std::move(action)).second) {
      return absl::InvalidArgumentError(Cat("action \"", name, "\" is defined twice"));
    }
  }
  for (const auto& [name, action] : catalog.actions_) {
    CAPSTAN_RETURN_IF_ERROR(CheckRollback(catalog, action));
  }
  return catalog;
}

const ActionDefinition* Catalog::Find(std::string_view name) const {
  auto found = actions_.find(name);
  return found == actions_.end() ? nullptr : &found->second;
}

absl::StatusOr<std::reference_wrapper<const ActionDefinition>> Catalog::Require(
    std::string_view name) const {
  if (const ActionDefinition* action = Find(name)) return std::cref(*action);
  return absl::InvalidArgumentError(
      Cat("action: got \"", absl::Utf8SafeCHexEscape(AbslView(name.substr(0, kMaxShownName))),
          "\", want one of: ", KnownNames()));
}

std::vector<std::reference_wrapper<const ActionDefinition>> Catalog::List() const {
  std::vector<std::reference_wrapper<const ActionDefinition>> list;
  for (const auto& [name, action] : actions_) list.push_back(std::cref(action));
  return list;
}

std::string Catalog::KnownNames() const {
  return absl::StrJoin(actions_, ", ",
                       [](std::string* out, const auto& entry) { Append(out, entry.first); });
}

}  // namespace capstan::catalog
