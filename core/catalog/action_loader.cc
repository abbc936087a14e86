#include "core/catalog/action_loader.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

#include "absl/strings/str_join.h"
#include "core/catalog/dns_name.h"
#include "core/catalog/parameters.h"
#include "core/catalog/quantity.h"
#include "core/catalog/text_template.h"
#include "core/catalog/yaml_reader.h"
#include "core/ids.h"
#include "core/text.h"

namespace capstan::catalog {
namespace {

constexpr const char* kShells[] = {"sh", "bash", "dash", "ash", "zsh", "ksh", "busybox", "env"};
constexpr const char* kVerbs[] = {"get",    "list",  "watch",  "create",
                                  "update", "patch", "delete", "deletecollection"};

// What a text may refer to.
struct References {
  const ActionDefinition& action;
  bool captured = false;
  bool timeout = false;
};

template <class Table>
bool Contains(const Table& table, std::string_view text) {
  return std::find(std::begin(table), std::end(table), text) != std::end(table);
}

bool IsPascalCase(std::string_view text) {
  return !text.empty() && absl::ascii_isupper(text[0]) &&
         std::all_of(text.begin(), text.end(), [](char c) { return absl::ascii_isalnum(c); });
}

bool IsSnakeCase(std::string_view text) {
  return !text.empty() && absl::ascii_islower(text[0]) &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_';
         });
}

// The enumerator whose name is the text of `key`.
template <class Enum>
Enum ReadEnum(YamlMap& map, std::string_view key, std::initializer_list<Enum> all) {
  std::string text = map.Text(key);
  for (Enum value : all) {
    if (!text.empty() && Name(value) == text) return value;
  }
  if (!text.empty()) {
    map.Refuse(key, Cat("got \"", text, "\", want one of ",
                        absl::StrJoin(all, ", ", [](std::string* out, Enum value) {
                          Append(out, Name(value));
                        })));
  }
  return *all.begin();
}

// Checks one text with references. Optional parameters without a default have no value to put in.
void CheckText(YamlMap& map, std::string_view key, std::string_view text,
               const References& allowed) {
  absl::StatusOr<std::vector<TextPiece>> pieces = SplitText(text);
  if (!pieces.ok()) return map.Refuse(key, std::string(pieces.status().message()));
  for (const TextPiece& piece : *pieces) {
    if (!piece.IsReference()) continue;
    if (piece.scope == "parameters") {
      const ParameterDefinition* parameter = allowed.action.FindParameter(piece.name);
      if (parameter == nullptr) {
        map.Refuse(key, Cat("parameter \"", piece.name, "\" is not declared"));
      } else if (!parameter->required && !parameter->default_value.has_value()) {
        map.Refuse(key, Cat("parameter \"", piece.name, "\" is optional and has no default"));
      }
    } else if (piece.scope == "captured" && allowed.captured) {
      if (allowed.action.capture.count(piece.name) == 0) {
        map.Refuse(key, Cat("\"", piece.name, "\" is not captured"));
      }
    } else if (!(piece.scope.empty() && piece.name == "timeout" && allowed.timeout)) {
      map.Refuse(key, Cat("unknown reference to \"", piece.scope, piece.scope.empty() ? "" : ".",
                          piece.name, "\""));
    }
  }
}

ParameterDefinition ReadParameter(YamlMap map) {
  ParameterDefinition parameter;
  parameter.name = map.Text("name");
  if (!parameter.name.empty() && !IsSnakeCase(parameter.name)) {
    map.Refuse("name", "want small letters, digits and _");
  }
  parameter.type = ReadEnum(
      map, "type", {ParameterType::kString, ParameterType::kInteger, ParameterType::kBoolean});
  if (map.Has("format")) {
    parameter.format =
        ReadEnum(map, "format", {ParameterFormat::kDnsLabel, ParameterFormat::kDnsSubdomain});
    if (parameter.type != ParameterType::kString) map.Refuse("format", "only strings have one");
  }
  parameter.min = map.OptionalInteger("min");
  parameter.max = map.OptionalInteger("max");
  if ((parameter.min || parameter.max) && parameter.type != ParameterType::kInteger) {
    map.Refuse(parameter.min ? "min" : "max", "only integers have bounds");
  }
  if (parameter.min && parameter.max && *parameter.min > *parameter.max) {
    map.Refuse("max", "is below min");
  }
  parameter.required = map.Flag("required", false);
  parameter.description = map.Text("description");
  if (std::optional<std::string> text = map.OptionalText("default")) {
    if (parameter.required) map.Refuse("default", "a required parameter has none");
    absl::StatusOr<ParameterValue> value = ParseParameterText(parameter, *text);
    if (value.ok()) {
      parameter.default_value = *std::move(value);
    } else {
      map.Refuse("default", std::string(value.status().message()));
    }
  }
  map.RefuseOthers();
  return parameter;
}

void ReadParameters(YamlMap& root, ActionDefinition& action) {
  if (!root.Has("parameters")) return;
  std::set<std::string> names;
  for (YamlMap& map : root.Maps("parameters")) {
    ParameterDefinition parameter = ReadParameter(map);
    if (!names.insert(parameter.name).second) map.Refuse("name", "declared twice");
    action.parameters.push_back(std::move(parameter));
  }
  if (action.parameters.size() > kMaxParameters) {
    root.Refuse("parameters", Cat("more than ", kMaxParameters));
  }
}

void ReadTarget(YamlMap map, ActionDefinition& action) {
  action.target.api_version = map.Text("api_version");
  action.target.kind = map.Text("kind");
  action.target.namespace_template = map.OptionalText("namespace").value_or("");
  action.target.name_template = map.Text("name");
  CheckText(map, "namespace", action.target.namespace_template, {action});
  CheckText(map, "name", action.target.name_template, {action});
  map.RefuseOthers();
}

void ReadFacts(YamlMap& root, ActionDefinition& action) {
  action.facts = root.Texts("facts");
  for (const std::string& fact : action.facts) {
    if (!Contains(kKnownFacts, fact)) {
      root.Refuse("facts",
                  Cat("got \"", fact, "\", want some of ", absl::StrJoin(kKnownFacts, ", ")));
    }
  }
  if (!root.Has("capture")) return;
  action.capture = root.TextMap("capture");
  for (const auto& [name, path] : action.capture) {
    if (!IsSnakeCase(name)) root.Refuse("capture", "want names of small letters, digits and _");
    if (!Contains(action.facts, path.substr(0, path.find('.')))) {
      root.Refuse("capture", Cat("path \"", path, "\" does not begin with one of the facts"));
    }
  }
}

void ReadRollback(YamlMap& root, ActionDefinition& action) {
  if (!root.Has("rollback")) {
    if (action.effect == EffectClass::kReversible) {
      root.Refuse("rollback", "missing: a reversible action names its inverse");
    }
    return;
  }
  YamlMap map = root.Map("rollback");
  RollbackDefinition rollback;
  rollback.action = map.Text("action");
  rollback.parameters = map.TextMap("parameters");
  for (const auto& [name, text] : rollback.parameters) {
    CheckText(map, "parameters", text, {.action = action, .captured = true});
  }
  map.RefuseOthers();
  action.rollback = std::move(rollback);
}

void ReadRbac(YamlMap& root, ActionDefinition& action) {
  for (YamlMap& map : root.Maps("rbac")) {
    RbacRule rule;
    rule.scope = ReadEnum(map, "scope", {Scope::kNamespaced, Scope::kCluster});
    rule.api_groups = map.Texts("api_groups");
    rule.resources = map.Texts("resources");
    rule.verbs = map.Texts("verbs");
    if (Contains(rule.api_groups, "*")) map.Refuse("api_groups", "want groups by name, not *");
    for (const std::string& resource : rule.resources) {
      if (absl::StrContains(resource, '*'))
        map.Refuse("resources", "want resources by name, not *");
    }
    for (const std::string& verb : rule.verbs) {
      if (!Contains(kVerbs, verb)) {
        map.Refuse("verbs", Cat("got \"", verb, "\", want some of ", absl::StrJoin(kVerbs, ", ")));
      }
    }
    map.RefuseOthers();
    action.rbac.push_back(std::move(rule));
  }
}

void ReadTimeout(YamlMap& root, ActionDefinition& action) {
  action.default_timeout = kDefaultTimeout;
  action.max_timeout = kMaxTimeout;
  if (!root.Has("timeout")) return;
  YamlMap map = root.Map("timeout");
  action.default_timeout = map.OptionalDuration("default").value_or(kDefaultTimeout);
  action.max_timeout = map.OptionalDuration("max").value_or(kMaxTimeout);
  if (action.max_timeout > kMaxTimeout) {
    map.Refuse("max", Cat("want at most ", absl::FormatDuration(kMaxTimeout)));
  }
  if (action.default_timeout > action.max_timeout) map.Refuse("default", "is above max");
  map.RefuseOthers();
}

// Keeps values from being taken for flags and programs from being shells.
void CheckArgv(YamlMap& map, const ActionDefinition& action, const std::vector<std::string>& argv) {
  if (argv.size() > kMaxArguments) map.Refuse("argv", Cat("more than ", kMaxArguments));
  bool operands = false;
  for (size_t i = 0; i < argv.size(); ++i) {
    CheckText(map, "argv", argv[i], {.action = action, .timeout = true});
    if (i == 0 && absl::StrContains(argv[i], "${")) map.Refuse("argv", "the program is fixed");
    if (absl::StartsWith(argv[i], "${") && !operands) {
      map.Refuse("argv", Cat("\"", argv[i], "\" could be taken for a flag: put \"--\" before it"));
    }
    operands = operands || argv[i] == "--";
  }
  if (argv.empty()) return;
  std::string_view program = argv[0];
  if (size_t slash = program.rfind('/'); slash != program.npos) program.remove_prefix(slash + 1);
  if (Contains(kShells, program)) {
    map.Refuse("argv", Cat("\"", program, "\" is a shell: call the program itself"));
  }
}

void ReadContainers(YamlMap& root, ActionDefinition& action) {
  std::set<std::string> names;
  for (YamlMap& map : root.Maps("containers")) {
    ContainerDefinition container;
    container.name = map.Text("name");
    container.image = map.Text("image");
    container.argv = map.Texts("argv");
    if (!container.name.empty() && !IsDnsLabel(container.name))
      map.Refuse("name", "want a DNS label");
    if (!names.insert(container.name).second) map.Refuse("name", "used twice");
    if (!container.image.empty() && !IsDnsLabel(container.image)) {
      map.Refuse("image", "want the alias of a runner image, not an image");
    }
    CheckArgv(map, action, container.argv);
    map.RefuseOthers();
    action.containers.push_back(std::move(container));
  }
  if (action.containers.size() > kMaxContainers) {
    root.Refuse("containers", Cat("more than ", kMaxContainers));
  }
}

Quantities ReadQuantities(YamlMap& map, std::string_view key) {
  Quantities quantities = map.TextMap(key);
  for (std::string_view name : {"cpu", "memory"}) {
    auto found = quantities.find(std::string(name));
    if (found == quantities.end()) {
      map.Refuse(key, Cat("\"", name, "\" is missing"));
    } else if (absl::StatusOr<double> value = ParseQuantity(found->second); !value.ok()) {
      map.Refuse(key, std::string(value.status().message()));
    }
  }
  if (quantities.size() > 2) map.Refuse(key, "want only cpu and memory");
  return quantities;
}

void ReadResources(YamlMap map, ActionDefinition& action) {
  action.requests = ReadQuantities(map, "requests");
  action.limits = ReadQuantities(map, "limits");
  for (const auto& [name, text] : action.requests) {
    absl::StatusOr<double> request = ParseQuantity(text);
    auto limit = action.limits.find(name);
    if (!request.ok() || limit == action.limits.end()) continue;
    absl::StatusOr<double> bound = ParseQuantity(limit->second);
    if (bound.ok() && *request > *bound) {
      map.Refuse("requests", Cat(name, " ", text, " is above the limit ", limit->second));
    }
  }
  map.RefuseOthers();
}

ActionDefinition ReadAction(YamlMap root) {
  ActionDefinition action;
  action.name = root.Text("name");
  if (!action.name.empty() &&
      (!IsPascalCase(action.name) || !IsDnsLabel(ServiceAccountOf(action.name)))) {
    root.Refuse("name",
                "want a name such as ScaleDeployment of which a ServiceAccount can be made");
  }
  action.description = root.Text("description");
  action.effect = ReadEnum(root, "effect",
                           {EffectClass::kRead, EffectClass::kIdempotent, EffectClass::kReversible,
                            EffectClass::kDestructive});
  ReadParameters(root, action);
  ReadTarget(root.Map("target"), action);
  ReadFacts(root, action);
  ReadRollback(root, action);
  ReadRbac(root, action);
  ReadTimeout(root, action);
  ReadContainers(root, action);
  ReadResources(root.Map("resources"), action);
  root.RefuseOthers();
  return action;
}

}  // namespace

absl::StatusOr<ActionDefinition> ParseAction(std::string_view file, std::string_view text) {
  if (text.size() > kMaxDefinitionBytes) {
    return absl::InvalidArgumentError(Cat(file, ": larger than ", kMaxDefinitionBytes, " bytes"));
  }
  YamlErrors errors{std::string(file)};
  try {
    std::vector<YAML::Node> documents = YAML::LoadAll(std::string(text));
    if (documents.size() != 1) {
      return absl::InvalidArgumentError(
          Cat(file, ": got ", documents.size(), " YAML documents, want one"));
    }
    ActionDefinition action = ReadAction(YamlMap(documents[0], "", errors));
    if (absl::Status status = errors.status(); !status.ok()) return status;
    action.digest = Sha256Hex(text);
    return action;
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(
        Cat(file, ":", error.mark.line + 1, ": not YAML: ", error.msg));
  }
}

}  // namespace capstan::catalog
