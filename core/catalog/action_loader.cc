#include "core/catalog/action_loader.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
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

// What a text may refer to, besides parameters.
struct References {
  const ActionDefinition& action;
  bool captured = false;
  bool timeout = false;
  std::set<std::string_view> execution = {};  // of id, create_time, namespace
  std::string_view given = {};  // an optional parameter that has a value wherever the text is used
};

const std::set<std::string_view> kExecutionFacts = {"id", "create_time", "namespace"};

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
      } else if (!parameter->required && !parameter->default_value.has_value() &&
                 parameter->name != allowed.given) {
        map.Refuse(key, Cat("parameter \"", piece.name, "\" is optional and has no default"));
      }
    } else if (piece.scope == "captured" && allowed.captured) {
      if (allowed.action.capture.count(piece.name) == 0) {
        map.Refuse(key, Cat("\"", piece.name, "\" is not captured"));
      }
    } else if (!(piece.scope.empty() && piece.name == "timeout" && allowed.timeout) &&
               !(piece.scope == "execution" && allowed.execution.count(piece.name) != 0)) {
      map.Refuse(key, Cat("unknown reference to \"", piece.scope, piece.scope.empty() ? "" : ".",
                          piece.name, "\""));
    }
  }
}

// What a json_patch may touch: an empty list would be the whole object, so it is never implied.
void ReadPaths(YamlMap& map, ParameterDefinition& parameter) {
  const bool patch = parameter.format == ParameterFormat::kJsonPatch;
  if (patch || map.Has("paths")) parameter.paths = map.Texts("paths");
  if (!patch && map.Has("paths")) map.Refuse("paths", "only a json_patch has them");
  for (const std::string& path : parameter.paths) {
    if (path.size() < 2 || path.front() != '/' || path.back() == '/' ||
        absl::StrContains(path, '~')) {
      map.Refuse("paths", Cat("got \"", path, "\", want a JSON Pointer such as /data"));
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
    parameter.format = ReadEnum(map, "format",
                                {ParameterFormat::kDnsLabel, ParameterFormat::kDnsSubdomain,
                                 ParameterFormat::kImage, ParameterFormat::kJsonPatch});
    if (parameter.type != ParameterType::kString) map.Refuse("format", "only strings have one");
  }
  ReadPaths(map, parameter);
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

void ReadExactlyOneOf(YamlMap& root, ActionDefinition& action) {
  if (!root.Has("exactly_one_of")) return;
  action.exactly_one_of = root.Texts("exactly_one_of");
  for (const std::string& name : action.exactly_one_of) {
    const ParameterDefinition* parameter = action.FindParameter(name);
    if (parameter == nullptr) {
      root.Refuse("exactly_one_of", Cat("parameter \"", name, "\" is not declared"));
    } else if (parameter->required || parameter->default_value) {
      root.Refuse("exactly_one_of",
                  Cat("parameter \"", name, "\" always has a value: want optional ones"));
    }
  }
  const std::set<std::string> distinct(action.exactly_one_of.begin(), action.exactly_one_of.end());
  if (distinct.size() < 2 || distinct.size() != action.exactly_one_of.size()) {
    root.Refuse("exactly_one_of", "want at least two, each once");
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

// The parts of a path are fixed, or one reference each: a value with dots in it stays one key.
void CheckCapturePath(YamlMap& root, const ActionDefinition& action, std::string_view path) {
  absl::StatusOr<std::vector<TextPiece>> pieces = SplitText(path);
  if (!pieces.ok()) return root.Refuse("capture", std::string(pieces.status().message()));
  for (size_t i = 0; i < pieces->size(); ++i) {
    const TextPiece& piece = (*pieces)[i];
    if (!piece.IsReference()) continue;
    const bool begins = i > 0 && absl::EndsWith((*pieces)[i - 1].literal, ".");
    const bool ends = i + 1 == pieces->size() || absl::StartsWith((*pieces)[i + 1].literal, ".");
    const ParameterDefinition* parameter = action.FindParameter(piece.name);
    if (piece.scope != "parameters" || parameter == nullptr || !parameter->required || !begins ||
        !ends) {
      root.Refuse("capture", Cat("path \"", path, "\": want a required parameter as a whole part"));
    }
  }
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
    CheckCapturePath(root, action, path);
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
    CheckText(map, "parameters", text, {.action = action, .captured = true, .execution = {"id"}});
  }
  if (map.Has("when")) rollback.when = map.TextMap("when");
  for (const auto& [name, text] : rollback.when) {
    if (action.capture.count(name) == 0) {
      map.Refuse("when", Cat("\"", name, "\" is not captured"));
    }
  }
  map.RefuseOthers();
  action.rollback = std::move(rollback);
}

std::vector<ConditionUse> ReadConditions(YamlMap& root, std::string_view key,
                                         absl::Duration default_timeout) {
  std::vector<ConditionUse> conditions;
  if (!root.Has(key)) return conditions;
  std::set<std::string> names;
  for (YamlMap& map : root.Maps(key)) {
    ConditionUse condition;
    condition.name = map.Text("name");
    if (!condition.name.empty() && !IsSnakeCase(condition.name)) {
      map.Refuse("name", "want small letters, digits and _");
    }
    if (!names.insert(condition.name).second) map.Refuse("name", "used twice");
    condition.required = map.Flag("required", true);
    condition.timeout = map.OptionalDuration("timeout").value_or(default_timeout);
    if (condition.timeout > kMaxConditionTimeout) {
      map.Refuse("timeout", Cat("want at most ", absl::FormatDuration(kMaxConditionTimeout)));
    }
    condition.description = map.Text("description");
    map.RefuseOthers();
    conditions.push_back(std::move(condition));
  }
  if (conditions.size() > kMaxConditions) root.Refuse(key, Cat("more than ", kMaxConditions));
  return conditions;
}

// What happens on the target after this action, to it or to others.
void ReadAftermath(YamlMap& root, ActionDefinition& action) {
  action.cooldown =
      root.OptionalDuration("cooldown", /*zero_too=*/true).value_or(absl::ZeroDuration());
  if (action.cooldown > kMaxCooldown) {
    root.Refuse("cooldown", Cat("want at most ", absl::FormatDuration(kMaxCooldown)));
  }
  action.blocks_after_failure =
      root.Flag("blocks_after_failure", action.effect == EffectClass::kDestructive);
  if (action.reads_only() && action.blocks_after_failure) {
    root.Refuse("blocks_after_failure", "an action that only reads leaves nothing behind");
  }
  if (action.reads_only() && action.cooldown > absl::ZeroDuration()) {
    root.Refuse("cooldown", "an action that only reads has none");
  }
}

void ReadRbac(YamlMap& root, ActionDefinition& action) {
  for (YamlMap& map : root.Maps("rbac")) {
    RbacRule rule;
    rule.scope = ReadEnum(map, "scope", {Scope::kNamespaced, Scope::kCluster, Scope::kActions});
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
void CheckArgv(YamlMap& map, const ActionDefinition& action, const ContainerDefinition& container) {
  const std::vector<std::string>& argv = container.argv;
  if (argv.size() > kMaxArguments) map.Refuse("argv", Cat("more than ", kMaxArguments));
  bool operands = false;
  for (size_t i = 0; i < argv.size(); ++i) {
    CheckText(map, "argv", argv[i],
              {.action = action,
               .captured = true,
               .timeout = true,
               .execution = kExecutionFacts,
               .given = container.when});
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

bool IsMountPath(std::string_view path) {
  if (path.size() < 2 || path.front() != '/' || path.back() == '/') return false;
  for (absl::string_view part : absl::StrSplit(AbslView(path.substr(1)), '/')) {
    if (part.empty() || part == "." || part == "..") return false;
  }
  return path.find("${") == path.npos && path.find(':') == path.npos;
}

// Whether a mount there would hide what every container has: its scratch space, its own token.
bool IsTaken(std::string_view path) {
  for (std::string_view taken : {"/tmp", "/var/run", "/run"}) {
    if (path == taken || path.starts_with(Cat(taken, "/"))) return true;
  }
  return false;
}

// The texts make the names of Secrets, so what they refer to must be able to.
void CheckSecretName(YamlMap& map, std::string_view text, const ActionDefinition& action,
                     std::string_view given) {
  CheckText(map, "secret", text, {.action = action, .given = given});
  absl::StatusOr<std::vector<TextPiece>> pieces = SplitText(text);
  if (!pieces.ok()) return;
  for (const TextPiece& piece : *pieces) {
    const ParameterDefinition* parameter = action.FindParameter(piece.name);
    if (parameter == nullptr || piece.scope != "parameters") continue;
    if (parameter->format != ParameterFormat::kDnsLabel &&
        parameter->format != ParameterFormat::kDnsSubdomain) {
      map.Refuse("secret", Cat("parameter \"", piece.name, "\" is not the name of an object"));
    }
  }
  if (pieces->size() == 1 && !pieces->front().IsReference() && !IsDnsSubdomain(text)) {
    map.Refuse("secret", Cat("got \"", text, "\", want the name of a Secret"));
  }
}

void ReadSecrets(YamlMap& container_map, const ActionDefinition& action,
                 ContainerDefinition& container) {
  if (!container_map.Has("secrets")) return;
  std::set<std::string> paths;
  for (YamlMap& map : container_map.Maps("secrets")) {
    SecretMount mount{.secret = map.Text("secret"), .path = map.Text("path")};
    CheckSecretName(map, mount.secret, action, container.when);
    if (!mount.path.empty() && !IsMountPath(mount.path)) {
      map.Refuse("path", Cat("got \"", mount.path, "\", want an absolute folder"));
    }
    if (IsTaken(mount.path)) map.Refuse("path", Cat("\"", mount.path, "\" is in use"));
    if (!paths.insert(mount.path).second) map.Refuse("path", "used twice");
    map.RefuseOthers();
    container.secrets.push_back(std::move(mount));
  }
  if (container.secrets.size() > kMaxSecretMounts) {
    container_map.Refuse("secrets", Cat("more than ", kMaxSecretMounts));
  }
}

// Which parameter decides whether the container is rendered.
std::string ReadWhen(YamlMap& map, const ActionDefinition& action) {
  std::string when = map.OptionalText("when").value_or("");
  const ParameterDefinition* parameter = action.FindParameter(when);
  if (!when.empty() && (parameter == nullptr || parameter->required || parameter->default_value)) {
    map.Refuse("when", Cat("got \"", when, "\", want an optional parameter without a default"));
  }
  return when;
}

// Whatever is given, something has to run.
void CheckAlwaysOne(YamlMap& root, const ActionDefinition& action) {
  std::set<std::string> conditional;
  for (const ContainerDefinition& container : action.containers) {
    if (container.when.empty()) return;
    conditional.insert(container.when);
  }
  if (!action.containers.empty() &&
      conditional !=
          std::set<std::string>(action.exactly_one_of.begin(), action.exactly_one_of.end())) {
    root.Refuse("containers", "want one that runs whichever parameters are given");
  }
}

void ReadContainers(YamlMap& root, ActionDefinition& action) {
  std::set<std::string> names;
  for (YamlMap& map : root.Maps("containers")) {
    ContainerDefinition container;
    container.name = map.Text("name");
    container.image = map.Text("image");
    container.when = ReadWhen(map, action);
    container.argv = map.Texts("argv");
    ReadSecrets(map, action, container);
    if (!container.name.empty() && !IsDnsLabel(container.name))
      map.Refuse("name", "want a DNS label");
    if (!names.insert(container.name).second) map.Refuse("name", "used twice");
    if (!container.image.empty() && !IsDnsLabel(container.image)) {
      map.Refuse("image", "want the alias of a runner image, not an image");
    }
    CheckArgv(map, action, container);
    map.RefuseOthers();
    action.containers.push_back(std::move(container));
  }
  CheckAlwaysOne(root, action);
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
  ReadExactlyOneOf(root, action);
  ReadTarget(root.Map("target"), action);
  ReadFacts(root, action);
  ReadRollback(root, action);
  action.preconditions = ReadConditions(root, "preconditions", kDefaultPreconditionTimeout);
  action.postconditions = ReadConditions(root, "postconditions", kDefaultPostconditionTimeout);
  ReadAftermath(root, action);
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
