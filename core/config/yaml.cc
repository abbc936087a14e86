#include "core/config/yaml.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>
#include <google/protobuf/struct.pb.h>
#include <yaml-cpp/yaml.h>

#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "core/config/fields.h"
#include "core/status_macros.h"

namespace capstan::config {
namespace {

using ::google::protobuf::EnumDescriptor;
using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;

constexpr int kMaxValues = 100'000;  // an alias may name the same value again and again
constexpr int kMaxDepth = 64;        // an alias may even name what it stands in
constexpr char kFileSuffix[] = "_file";

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

// "ON_FAILURE_" for enum OnFailure: what the names of its values begin with.
std::string PrefixOf(const EnumDescriptor& type) {
  std::string prefix;
  for (char c : type.name()) {
    if (absl::ascii_isupper(c) && !prefix.empty()) prefix += '_';
    prefix += absl::ascii_toupper(c);
  }
  return prefix + "_";
}

absl::Status SetEnum(const std::string& text, const FieldDescriptor& field, Message& message) {
  const EnumDescriptor& type = *field.enum_type();
  std::vector<std::string> names;
  for (int i = 0; i < type.value_count(); ++i) {
    if (type.value(i)->number() == 0) continue;  // "unspecified" is written by writing nothing
    names.push_back(
        absl::AsciiStrToLower(absl::StripPrefix(type.value(i)->name(), PrefixOf(type))));
    if (names.back() != text) continue;
    message.GetReflection()->SetEnum(&message, &field, type.value(i));
    return absl::OkStatus();
  }
  return Want(Quoted(text), absl::StrCat("one of ", absl::StrJoin(names, ", ")));
}

template <class Number>
absl::Status ParseWhole(const std::string& text, Number& value) {
  if (absl::SimpleAtoi(text, &value)) return absl::OkStatus();
  return Want(Quoted(text), absl::StrCat("a whole number from ", std::numeric_limits<Number>::min(),
                                         " to ", std::numeric_limits<Number>::max()));
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
      CAPSTAN_RETURN_IF_ERROR(ParseWhole(text, value));
      reflection.SetUInt32(&message, &field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_INT32: {
      int32_t value = 0;
      CAPSTAN_RETURN_IF_ERROR(ParseWhole(text, value));
      reflection.SetInt32(&message, &field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_INT64: {
      int64_t value = 0;
      CAPSTAN_RETURN_IF_ERROR(ParseWhole(text, value));
      reflection.SetInt64(&message, &field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_ENUM:
      return SetEnum(text, field, message);
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      double value = 0;
      if (!absl::SimpleAtod(text, &value)) return Want(Quoted(text), "a number");
      reflection.SetDouble(&message, &field, value);
      return absl::OkStatus();
    }
    default:
      // A field type that no proto of ours uses in YAML yet.
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

// A quoted number is text: only what YAML itself would read as a number or truth value is one.
bool IsQuoted(const YAML::Node& node) { return node.Tag() == "!"; }

// What a plain scalar is in JSON.
void SetScalarValue(const YAML::Node& node, google::protobuf::Value& value) {
  const std::string& text = node.Scalar();
  double number = 0;
  if (!IsQuoted(node) && (text == "true" || text == "false")) {
    value.set_bool_value(text == "true");
  } else if (!IsQuoted(node) && !text.empty() &&
             (absl::ascii_isdigit(text[0]) || text[0] == '-' || text[0] == '.') &&
             absl::SimpleAtod(text, &number) && std::isfinite(number)) {
    value.set_number_value(number);
  } else {
    value.set_string_value(text);
  }
}

// One level deeper as long as it lives.
class Deeper {
 public:
  explicit Deeper(int& depth) : depth_(depth) { ++depth_; }
  ~Deeper() { --depth_; }
  Deeper(const Deeper&) = delete;
  Deeper& operator=(const Deeper&) = delete;

 private:
  int& depth_;
};

// Reads one document into one message; remembers where it is for its errors, and goes on after
// them.
class YamlReader {
 public:
  YamlReader(std::string_view file, bool file_keys) : file_(file), file_keys_(file_keys) {}

  void ReadDocument(const YAML::Node& node, Message& message) { ReadMessage(node, "", message); }

  YamlFindings TakeFindings() { return std::move(findings_); }

 private:
  void ReadMessage(const YAML::Node& node, const std::string& prefix, Message& message) {
    const Deeper deeper(depth_);
    if (!node.IsMap()) return Error(node, PathOf(prefix), Want(KindOf(node), "keys with values"));
    std::set<std::string> seen;
    for (const auto& pair : node) {
      if (!Count(node)) return;
      const absl::StatusOr<std::string> key = ReadKey(pair.first, prefix, seen);
      if (!key.ok()) continue;
      const FieldDescriptor* field = FieldOf(*key, *message.GetDescriptor());
      if (field == nullptr) {
        Error(pair.first, prefix + *key, absl::InvalidArgumentError("unknown key"));
        continue;
      }
      if (field->name() != *key && !seen.insert(field->name()).second) {
        Error(pair.first, prefix + *key, Want(field->name() + " too", "only one of them"));
        continue;
      }
      if (!IsFirstOfItsOneof(pair.first, prefix, *field, message)) continue;
      const int line = pair.first.Mark().line + 1;
      findings_.lines[prefix + *key] = line;
      findings_.lines[prefix + field->name()] = line;
      ReadField(pair.second, prefix + *key, *field, message);
    }
  }

  // The field `x` for "x" and, where files may be named, for "x_file".
  const FieldDescriptor* FieldOf(const std::string& key,
                                 const google::protobuf::Descriptor& type) const {
    const FieldDescriptor* field = type.FindFieldByName(key);
    if (field != nullptr || !file_keys_ || !absl::EndsWith(key, kFileSuffix)) return field;
    field = type.FindFieldByName(std::string(absl::StripSuffix(key, kFileSuffix)));
    const bool is_text = field != nullptr && !field->is_repeated() &&
                         field->cpp_type() == FieldDescriptor::CPPTYPE_STRING;
    return is_text ? field : nullptr;
  }

  bool IsFirstOfItsOneof(const YAML::Node& key, const std::string& prefix,
                         const FieldDescriptor& field, const Message& message) {
    const google::protobuf::OneofDescriptor* oneof = field.real_containing_oneof();
    if (oneof == nullptr || !message.GetReflection()->HasOneof(message, oneof)) return true;
    const FieldDescriptor* other = message.GetReflection()->GetOneofFieldDescriptor(message, oneof);
    if (other == &field) return true;
    Error(key, prefix + field.name(), Want(other->name() + " too", "only one of them"));
    return false;
  }

  void ReadField(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                 Message& message) {
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
      Message& section = *reflection.MutableMessage(&message, &field);
      if (field.message_type() == google::protobuf::Value::descriptor()) {
        return ReadValue(node, path, static_cast<google::protobuf::Value&>(section));
      }
      if (field.message_type() == google::protobuf::Struct::descriptor()) {
        return ReadStruct(node, path, static_cast<google::protobuf::Struct&>(section));
      }
      return ReadMessage(node, path + ".", section);
    }
    if (!IsScalar(node, path, TypeOf(field))) return;
    if (IsQuoted(node) && field.cpp_type() != FieldDescriptor::CPPTYPE_STRING &&
        !IsDuration(field)) {
      return Error(node, path,
                   Want(absl::StrCat("the text ", Quoted(node.Scalar())), TypeOf(field)));
    }
    const absl::Status status = SetOne(node.Scalar(), field, message);
    if (!status.ok()) Error(node, path, status);
  }

  void ReadMap(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
               Message& message) {
    if (!node.IsMap()) return Error(node, path, Want(KindOf(node), "keys with values"));
    std::set<std::string> seen;
    for (const auto& pair : node) {
      const absl::StatusOr<std::string> key = ReadKey(pair.first, path + ".", seen);
      if (!key.ok() || !IsScalar(pair.second, path + "." + *key, "text")) continue;
      AddEntry(*key, pair.second.Scalar(), field, message);
    }
  }

  void ReadList(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                Message& message) {
    if (!node.IsSequence()) return Error(node, path, Want(KindOf(node), "a list"));
    int index = 0;
    for (const YAML::Node& item : node) {
      if (!Count(node)) return;
      const std::string at = absl::StrCat(path, "[", index++, "]");
      findings_.lines[at] = item.Mark().line + 1;
      if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        ReadMessage(item, at + ".", *message.GetReflection()->AddMessage(&message, &field));
      } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_INT32) {
        AddNumber(item, at, field, message);
      } else if (IsScalar(item, path, "a list of texts")) {
        message.GetReflection()->AddString(&message, &field, item.Scalar());
      }
    }
  }

  void AddNumber(const YAML::Node& item, const std::string& path, const FieldDescriptor& field,
                 Message& message) {
    if (!IsScalar(item, path, "a whole number")) return;
    int32_t number = 0;
    const absl::Status status = ParseWhole(item.Scalar(), number);
    if (!status.ok()) return Error(item, path, status);
    message.GetReflection()->AddInt32(&message, &field, number);
  }

  void ReadValue(const YAML::Node& node, const std::string& path, google::protobuf::Value& value) {
    const Deeper deeper(depth_);
    if (!Count(node)) return;
    if (node.IsScalar()) return SetScalarValue(node, value);
    if (node.IsSequence()) {
      google::protobuf::ListValue& list = *value.mutable_list_value();
      for (const YAML::Node& item : node) ReadValue(item, path, *list.add_values());
      return;
    }
    if (!node.IsMap()) return value.set_null_value(google::protobuf::NULL_VALUE);
    ReadStruct(node, path, *value.mutable_struct_value());
  }

  void ReadStruct(const YAML::Node& node, const std::string& path,
                  google::protobuf::Struct& values) {
    if (!node.IsMap()) return Error(node, path, Want(KindOf(node), "keys with values"));
    std::set<std::string> seen;
    auto& fields = *values.mutable_fields();
    for (const auto& pair : node) {
      const absl::StatusOr<std::string> key = ReadKey(pair.first, path + ".", seen);
      if (!key.ok()) continue;
      findings_.lines[path + "." + *key] = pair.first.Mark().line + 1;
      ReadValue(pair.second, path + "." + *key, fields[*key]);
    }
  }

  absl::StatusOr<std::string> ReadKey(const YAML::Node& key, const std::string& prefix,
                                      std::set<std::string>& seen) {
    if (!IsScalar(key, PathOf(prefix), "a name as key")) {
      return absl::InvalidArgumentError("not a name");
    }
    if (seen.insert(key.Scalar()).second) return key.Scalar();
    const absl::Status twice = absl::InvalidArgumentError("written twice");
    Error(key, prefix + key.Scalar(), twice);
    return twice;
  }

  bool IsScalar(const YAML::Node& node, const std::string& path, const std::string& want) {
    if (node.IsScalar()) return true;
    Error(node, path, Want(KindOf(node), want));
    return false;
  }

  // False when there is too much of it; said once.
  bool Count(const YAML::Node& node) {
    if (values_ >= kMaxValues) return false;
    ++values_;
    const bool deep = depth_ > kMaxDepth;
    if (!deep && values_ < kMaxValues) return true;
    values_ = kMaxValues;
    Error(node, "the document",
          deep ? Want("more levels", absl::StrCat("at most ", kMaxDepth))
               : Want("more values", absl::StrCat("at most ", kMaxValues)));
    return false;
  }

  void Error(const YAML::Node& node, const std::string& path, const absl::Status& status) {
    findings_.errors.push_back(
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
  const bool file_keys_;
  int values_ = 0;
  int depth_ = 0;
  YamlFindings findings_;
};

YamlFindings Read(std::string_view yaml, std::string_view file, bool file_keys, Message& message) {
  const std::string name(file);
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(std::string(yaml));
    if (documents.empty() || (documents.size() == 1 && documents[0].IsNull())) return {};
    if (documents.size() > 1) {
      return {{absl::StrCat(name, ": got ", documents.size(), " YAML documents, want one")}, {}};
    }
    YamlReader reader(file, file_keys);
    reader.ReadDocument(documents[0], message);
    return reader.TakeFindings();
  } catch (const YAML::Exception& error) {
    return {{absl::StrCat(name, ":", error.mark.line + 1, ": not YAML: ", error.msg)}, {}};
  }
}

}  // namespace

absl::Status MergeYaml(std::string_view yaml, std::string_view file, Message& message) {
  const YamlFindings findings = Read(yaml, file, false, message);
  if (findings.errors.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(findings.errors.front());
}

YamlFindings ReadYaml(std::string_view yaml, std::string_view file, Message& message) {
  return Read(yaml, file, true, message);
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
