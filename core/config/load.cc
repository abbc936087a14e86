#include "core/config/load.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "capstan/config/v1/common_config.pb.h"
#include "core/config/fields.h"
#include "core/config/validate.h"
#include "core/config/yaml.h"
#include "core/status_macros.h"

namespace capstan::config {
namespace {

using ::google::protobuf::Descriptor;
using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;

constexpr char kVariablePrefix[] = "CAPSTAN_";
constexpr char kSecretShown[] = "(set)";

void AddSettings(const Descriptor& message, const std::string& prefix,
                 std::vector<Setting>& settings) {
  for (int i = 0; i < message.field_count(); ++i) {
    const FieldDescriptor& field = *message.field(i);
    const std::string path = prefix + field.name();
    if (IsSection(field)) {
      AddSettings(*field.message_type(), path + ".", settings);
      continue;
    }
    Setting setting;
    setting.path = path;
    setting.variable = absl::StrCat(kVariablePrefix,
                                    absl::AsciiStrToUpper(absl::StrReplaceAll(path, {{".", "_"}})));
    setting.type = TypeOf(field);
    setting.default_value = field.options().GetExtension(v1::default_value);
    setting.secret = field.options().GetExtension(v1::secret);
    settings.push_back(std::move(setting));
  }
}

// Sets the setting at `path`, which exists, from text.
absl::Status SetAt(const std::string& path, const std::string& text, Message& config) {
  Message* message = &config;
  const std::vector<std::string> names = absl::StrSplit(path, '.');
  for (size_t i = 0; i + 1 < names.size(); ++i) {
    const FieldDescriptor* section = message->GetDescriptor()->FindFieldByName(names[i]);
    message = message->GetReflection()->MutableMessage(message, section);
  }
  return SetFromText(text, *message->GetDescriptor()->FindFieldByName(names.back()), *message);
}

absl::Status MergeFile(const std::string& path, Message& config) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat("cannot read configuration file ", path));
  const std::string text(std::istreambuf_iterator<char>(file), {});
  if (file.bad()) return absl::NotFoundError(absl::StrCat("cannot read configuration file ", path));
  return MergeYaml(text, path, config);
}

void EmitValue(const FieldDescriptor& field, const Message& message, YAML::Emitter& out) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  if (field.options().GetExtension(v1::secret)) {
    out << kSecretShown;
    return;
  }
  if (IsDuration(field)) {
    out << absl::FormatDuration(ToDuration(
        static_cast<const google::protobuf::Duration&>(reflection.GetMessage(message, &field))));
    return;
  }
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      out << reflection.GetBool(message, &field);
      return;
    case FieldDescriptor::CPPTYPE_UINT32:
      out << reflection.GetUInt32(message, &field);
      return;
    case FieldDescriptor::CPPTYPE_DOUBLE:
      out << absl::StrCat(reflection.GetDouble(message, &field));
      return;
    default:
      out << YAML::DoubleQuoted << reflection.GetString(message, &field);
  }
}

void EmitList(const FieldDescriptor& field, const Message& message, YAML::Emitter& out) {
  out << YAML::BeginSeq;
  for (int i = 0; i < message.GetReflection()->FieldSize(message, &field); ++i) {
    out << YAML::DoubleQuoted << message.GetReflection()->GetRepeatedString(message, &field, i);
  }
  out << YAML::EndSeq;
}

void EmitMap(const FieldDescriptor& field, const Message& message, YAML::Emitter& out) {
  std::map<std::string, std::string> sorted;
  for (int i = 0; i < message.GetReflection()->FieldSize(message, &field); ++i) {
    const Message& entry = message.GetReflection()->GetRepeatedMessage(message, &field, i);
    const google::protobuf::Reflection& reflection = *entry.GetReflection();
    sorted[reflection.GetString(entry, field.message_type()->map_key())] =
        reflection.GetString(entry, field.message_type()->map_value());
  }
  out << YAML::BeginMap;
  for (const auto& [key, value] : sorted) {
    out << YAML::Key << key << YAML::Value << YAML::DoubleQuoted << value;
  }
  out << YAML::EndMap;
}

// Fields that are set, in the order of the proto; a value that equals the type's zero counts as set
// only where its default is something else.
bool IsShown(const FieldDescriptor& field, const Message& message) {
  if (field.is_repeated()) return message.GetReflection()->FieldSize(message, &field) > 0;
  return message.GetReflection()->HasField(message, &field) ||
         (!IsSection(field) && !field.options().GetExtension(v1::default_value).empty());
}

void EmitMessage(const Message& message, YAML::Emitter& out) {
  out << YAML::BeginMap;
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *message.GetDescriptor()->field(i);
    if (!IsShown(field, message)) continue;
    out << YAML::Key << field.name() << YAML::Value;
    if (IsSection(field)) {
      EmitMessage(message.GetReflection()->GetMessage(message, &field), out);
    } else if (field.is_map()) {
      EmitMap(field, message, out);
    } else if (field.is_repeated()) {
      EmitList(field, message, out);
    } else {
      EmitValue(field, message, out);
    }
  }
  out << YAML::EndMap;
}

}  // namespace

absl::Status Load(const Sources& sources, Message& config) {
  config.Clear();
  const std::vector<Setting> settings = Settings(*config.GetDescriptor());
  for (const Setting& setting : settings) {
    if (setting.default_value.empty()) continue;
    CAPSTAN_RETURN_IF_ERROR(Annotate(SetAt(setting.path, setting.default_value, config),
                                     absl::StrCat("default of ", setting.path)));
  }
  if (!sources.file.empty()) CAPSTAN_RETURN_IF_ERROR(MergeFile(sources.file, config));
  for (const Setting& setting : settings) {
    if (sources.environment == nullptr) break;
    const std::optional<std::string> value = sources.environment(setting.variable);
    if (!value.has_value() || value->empty()) continue;
    CAPSTAN_RETURN_IF_ERROR(Annotate(SetAt(setting.path, *value, config), setting.variable));
  }
  for (const auto& [path, value] : sources.flags) {
    const bool known = std::any_of(settings.begin(), settings.end(),
                                   [&](const Setting& setting) { return setting.path == path; });
    if (!known) return absl::InvalidArgumentError(absl::StrCat("--", path, ": unknown flag"));
    CAPSTAN_RETURN_IF_ERROR(Annotate(SetAt(path, value, config), absl::StrCat("--", path)));
  }
  return absl::OkStatus();
}

std::vector<Setting> Settings(const Descriptor& message) {
  std::vector<Setting> settings;
  AddSettings(message, "", settings);
  return settings;
}

std::string Print(const Message& config) {
  YAML::Emitter out;
  EmitMessage(config, out);
  return absl::StrCat(out.c_str(), "\n");
}

}  // namespace capstan::config
