#include "core/config/yaml.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>
#include <yaml-cpp/yaml.h>

#include <set>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "core/config/fields.h"
#include "core/status_macros.h"

namespace capstan::config {
namespace {

using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;

absl::Status Want(const std::string& got, const std::string& want) {
  return absl::InvalidArgumentError(absl::StrCat("got ", got, ", want ", want));
}

std::string Quoted(const std::string& text) { return absl::StrCat("\"", text, "\""); }

absl::Status SetDuration(const std::string& text, const FieldDescriptor& field, Message& message) {
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration) || duration < absl::ZeroDuration() ||
      duration == absl::InfiniteDuration()) {
    return Want(Quoted(text), "a duration such as \"500ms\", \"15s\" or \"1h30m\"");
  }
  google::protobuf::Duration value;
  value.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  value.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration)));
  message.GetReflection()->MutableMessage(&message, &field)->CopyFrom(value);
  return absl::OkStatus();
}

// Sets a field that is neither list nor map.
absl::Status SetOne(const std::string& text, const FieldDescriptor& field, Message& message) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  if (IsDuration(field)) return SetDuration(text, field, message);
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      reflection.SetString(&message, &field, text);
      return absl::OkStatus();
    case FieldDescriptor::CPPTYPE_BOOL:
      if (text != "true" && text != "false") return Want(Quoted(text), "true or false");
      reflection.SetBool(&message, &field, text == "true");
      return absl::OkStatus();
    case FieldDescriptor::CPPTYPE_UINT32: {
      uint32_t value = 0;
      if (!absl::SimpleAtoi(text, &value)) {
        return Want(Quoted(text), "a whole number from 0 to 4294967295");
      }
      reflection.SetUInt32(&message, &field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      double value = 0;
      if (!absl::SimpleAtod(text, &value)) return Want(Quoted(text), "a number");
      reflection.SetDouble(&message, &field, value);
      return absl::OkStatus();
    }
    default:
      // A field type that no configuration proto uses yet.
      CAPSTAN_CHECK(false);
  }
  return absl::OkStatus();
}

void AddEntry(const std::string& key, const std::string& value, const FieldDescriptor& field,
              Message& message) {
  Message& entry = *message.GetReflection()->AddMessage(&message, &field);
  const google::protobuf::Descriptor& type = *field.message_type();
  entry.GetReflection()->SetString(&entry, type.map_key(), key);
  entry.GetReflection()->SetString(&entry, type.map_value(), value);
}

// Reads one document into one message; remembers where it is for its errors.
class YamlReader {
 public:
  explicit YamlReader(std::string_view file) : file_(file) {}

  absl::Status ReadMessage(const YAML::Node& node, const std::string& prefix, Message& message) {
    if (!node.IsMap()) return Error(node, PathOf(prefix), Want(KindOf(node), "keys with values"));
    std::set<std::string> seen;
    for (const auto& pair : node) {
      CAPSTAN_ASSIGN_OR_RETURN(const std::string key, ReadKey(pair.first, prefix, seen));
      const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(key);
      if (field == nullptr) {
        return Error(pair.first, prefix + key, absl::InvalidArgumentError("unknown key"));
      }
      CAPSTAN_RETURN_IF_ERROR(ReadField(pair.second, prefix + key, *field, message));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status ReadField(const YAML::Node& node, const std::string& path,
                         const FieldDescriptor& field, Message& message) {
    const google::protobuf::Reflection& reflection = *message.GetReflection();
    if (field.is_map()) {
      reflection.ClearField(&message, &field);
      return ReadMap(node, path, field, message);
    }
    if (field.is_repeated()) {
      reflection.ClearField(&message, &field);
      return ReadList(node, path, field, message);
    }
    if (IsSection(field)) {
      return ReadMessage(node, path + ".", *reflection.MutableMessage(&message, &field));
    }
    CAPSTAN_RETURN_IF_ERROR(WantScalar(node, path, TypeOf(field)));
    // A quoted number is text: only what YAML itself would read as a number or truth value is one.
    const bool quoted = node.Tag() == "!";
    if (quoted && field.cpp_type() != FieldDescriptor::CPPTYPE_STRING && !IsDuration(field)) {
      return Error(node, path,
                   Want(absl::StrCat("the text ", Quoted(node.Scalar())), TypeOf(field)));
    }
    absl::Status status = SetOne(node.Scalar(), field, message);
    return status.ok() ? status : Error(node, path, status);
  }

  absl::Status ReadMap(const YAML::Node& node, const std::string& path,
                       const FieldDescriptor& field, Message& message) {
    if (!node.IsMap()) return Error(node, path, Want(KindOf(node), "keys with values"));
    std::set<std::string> seen;
    for (const auto& pair : node) {
      CAPSTAN_ASSIGN_OR_RETURN(const std::string key, ReadKey(pair.first, path + ".", seen));
      CAPSTAN_RETURN_IF_ERROR(WantScalar(pair.second, path + "." + key, "text"));
      AddEntry(key, pair.second.Scalar(), field, message);
    }
    return absl::OkStatus();
  }

  absl::Status ReadList(const YAML::Node& node, const std::string& path,
                        const FieldDescriptor& field, Message& message) {
    if (!node.IsSequence()) return Error(node, path, Want(KindOf(node), "a list"));
    for (const YAML::Node& item : node) {
      CAPSTAN_RETURN_IF_ERROR(WantScalar(item, path, "a list of texts"));
      message.GetReflection()->AddString(&message, &field, item.Scalar());
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> ReadKey(const YAML::Node& key, const std::string& prefix,
                                      std::set<std::string>& seen) {
    CAPSTAN_RETURN_IF_ERROR(WantScalar(key, PathOf(prefix), "a name as key"));
    if (!seen.insert(key.Scalar()).second) {
      return Error(key, prefix + key.Scalar(), absl::InvalidArgumentError("written twice"));
    }
    return key.Scalar();
  }

  absl::Status WantScalar(const YAML::Node& node, const std::string& path,
                          const std::string& want) {
    if (node.IsScalar()) return absl::OkStatus();
    return Error(node, path, Want(KindOf(node), want));
  }

  absl::Status Error(const YAML::Node& node, const std::string& path, const absl::Status& status) {
    return absl::InvalidArgumentError(
        absl::StrCat(file_, ":", node.Mark().line + 1, ": ", path, ": ", status.message()));
  }

  // "lease." is the section "lease"; the document itself has no name.
  static std::string PathOf(const std::string& prefix) {
    return prefix.empty() ? "the document" : prefix.substr(0, prefix.size() - 1);
  }

  static std::string KindOf(const YAML::Node& node) {
    if (node.IsMap()) return "keys with values";
    if (node.IsSequence()) return "a list";
    if (node.IsScalar()) return Quoted(node.Scalar());
    return "nothing";
  }

  const std::string file_;
};

}  // namespace

absl::Status MergeYaml(std::string_view yaml, std::string_view file, Message& message) {
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(std::string(yaml));
    if (documents.empty() || (documents.size() == 1 && documents[0].IsNull())) {
      return absl::OkStatus();
    }
    if (documents.size() > 1) {
      return absl::InvalidArgumentError(
          absl::StrCat(std::string(file), ": got ", documents.size(), " YAML documents, want one"));
    }
    return YamlReader(file).ReadMessage(documents[0], "", message);
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(std::string(file), ":", error.mark.line + 1, ": not YAML: ", error.msg));
  }
}

absl::Status SetFromText(std::string_view text, const FieldDescriptor& field, Message& message) {
  const std::string value(text);
  if (!field.is_repeated()) return SetOne(value, field, message);
  const std::vector<std::string> items = absl::StrSplit(value, ',', absl::SkipWhitespace());
  message.GetReflection()->ClearField(&message, &field);
  std::set<std::string> seen;
  for (const std::string& part : items) {
    const std::string item(absl::StripAsciiWhitespace(part));
    if (!field.is_map()) {
      message.GetReflection()->AddString(&message, &field, item);
      continue;
    }
    const std::pair<std::string, std::string> entry = absl::StrSplit(item, absl::MaxSplits('=', 1));
    if (entry.first.empty() || entry.second.empty()) {
      return Want(Quoted(item), "key=value,key=value");
    }
    if (!seen.insert(entry.first).second) {
      return Want(absl::StrCat(Quoted(entry.first), " twice"), "each key once");
    }
    AddEntry(entry.first, entry.second, field, message);
  }
  return absl::OkStatus();
}

}  // namespace capstan::config
