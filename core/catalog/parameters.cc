#include "core/catalog/parameters.h"

#include <cmath>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"

#include "absl/strings/str_join.h"
#include "core/catalog/dns_name.h"
#include "core/catalog/image_reference.h"
#include "core/catalog/json_patch.h"
#include "core/status_macros.h"
#include "core/text.h"

namespace capstan::catalog {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;

constexpr size_t kMaxShownBytes = 64;  // of a value in a message
constexpr double kMaxExactInteger =
    0x1p53;  // beyond it a JSON number does not say which integer it is

std::string Quoted(std::string_view text) {
  bool cut = text.size() > kMaxShownBytes;
  return Cat("\"", absl::Utf8SafeCHexEscape(AbslView(text.substr(0, kMaxShownBytes))),
             cut ? "…" : "", "\"");
}

std::string_view Plain(absl::string_view text) { return {text.data(), text.size()}; }

// A submitted value for a message.
std::string Shown(const Value& value) {
  switch (value.kind_case()) {
    case Value::kNumberValue:
      return Cat(value.number_value());
    case Value::kStringValue:
      return Cat(Quoted(value.string_value()), " (a string)");
    case Value::kBoolValue:
      return value.bool_value() ? "true" : "false";
    case Value::kStructValue:
      return "an object";
    case Value::kListValue:
      return "a list";
    default:
      return "null";
  }
}

absl::Status Mismatch(const ParameterDefinition& parameter, std::string_view got,
                      std::string_view why) {
  return absl::InvalidArgumentError(
      Cat("got ", got, ", want ", Expectation(parameter), why.empty() ? "" : ": ", why));
}

absl::StatusOr<ParameterValue> CheckInteger(const ParameterDefinition& parameter, int64_t number) {
  bool too_small = parameter.min && number < *parameter.min;
  bool too_large = parameter.max && number > *parameter.max;
  if (too_small && number < 0) return Mismatch(parameter, Cat(number), "it is negative");
  if (too_small) return Mismatch(parameter, Cat(number), "it is too small");
  if (too_large) return Mismatch(parameter, Cat(number), "it is too large");
  return number;
}

absl::StatusOr<ParameterValue> CheckNumber(const ParameterDefinition& parameter,
                                           const Value& value) {
  double number = value.number_value();
  if (!std::isfinite(number) || std::trunc(number) != number) {
    return Mismatch(parameter, Shown(value), "it is not an integer");
  }
  if (std::abs(number) > kMaxExactInteger) {
    return Mismatch(parameter, Shown(value), number < 0 ? "it is negative" : "it is too large");
  }
  return CheckInteger(parameter, static_cast<int64_t>(number));
}

absl::StatusOr<ParameterValue> CheckString(const ParameterDefinition& parameter,
                                           const std::string& text) {
  bool ok = text.size() <= kMaxStringBytes && text.find('\0') == std::string::npos;
  if (parameter.format == ParameterFormat::kDnsLabel) ok = IsDnsLabel(text);
  if (parameter.format == ParameterFormat::kDnsSubdomain) ok = IsDnsSubdomain(text);
  if (parameter.format == ParameterFormat::kImage) {
    absl::Status image = CheckImageReference(text);
    if (!image.ok()) return Mismatch(parameter, Quoted(text), Plain(image.message()));
    ok = true;
  }
  if (parameter.format == ParameterFormat::kJsonPatch) {
    // The text may be large and is data, so messages say where and never what.
    const std::string got = Cat("a text of ", text.size(), " bytes");
    if (text.size() > kMaxPatchBytes) return Mismatch(parameter, got, "it is too large");
    absl::Status patch = CheckJsonPatch(parameter.paths, text);
    if (!patch.ok()) return Mismatch(parameter, got, Plain(patch.message()));
    ok = true;
  }
  if (!ok) return Mismatch(parameter, Quoted(text), "");
  return text;
}

absl::StatusOr<ParameterValue> CheckValue(const ParameterDefinition& parameter,
                                          const Value& value) {
  switch (parameter.type) {
    case ParameterType::kInteger:
      if (value.has_number_value()) return CheckNumber(parameter, value);
      return Mismatch(parameter, Shown(value), "it is not an integer");
    case ParameterType::kBoolean:
      if (value.has_bool_value()) return value.bool_value();
      return Mismatch(parameter, Shown(value), "it is not a boolean");
    case ParameterType::kString:
      if (value.has_string_value()) return CheckString(parameter, value.string_value());
      return Mismatch(parameter, Shown(value), "it is not a string");
  }
  return absl::InternalError("unknown parameter type");
}

absl::Status CheckExactlyOne(const ActionDefinition& action, const Struct& parameters) {
  if (action.exactly_one_of.empty()) return absl::OkStatus();
  std::vector<std::string> given;
  for (const std::string& name : action.exactly_one_of) {
    if (parameters.fields().count(name) != 0) given.push_back(name);
  }
  if (given.size() == 1) return absl::OkStatus();
  return absl::InvalidArgumentError(
      Cat("got ", given.empty() ? "none" : absl::StrJoin(given, " and "), ", want exactly one of ",
          absl::StrJoin(action.exactly_one_of, ", ")));
}

std::string KnownParameters(const ActionDefinition& action) {
  if (action.parameters.empty()) return "none";
  return absl::StrJoin(action.parameters, ", ",
                       [](std::string* out, const ParameterDefinition& p) { Append(out, p.name); });
}

}  // namespace

std::string Expectation(const ParameterDefinition& parameter) {
  switch (parameter.type) {
    case ParameterType::kBoolean:
      return "true or false";
    case ParameterType::kInteger:
      if (parameter.min && parameter.max) {
        return Cat("an integer from ", *parameter.min, " to ", *parameter.max);
      }
      if (parameter.min) return Cat("an integer of at least ", *parameter.min);
      if (parameter.max) return Cat("an integer of at most ", *parameter.max);
      return "an integer";
    case ParameterType::kString:
      break;
  }
  switch (parameter.format) {
    case ParameterFormat::kDnsLabel:
      return "a DNS label (1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or digit)";
    case ParameterFormat::kDnsSubdomain:
      return "a DNS subdomain (1 to 253 of a-z, 0-9, - and ., each part beginning and ending with "
             "a letter or digit)";
    case ParameterFormat::kImage:
      return "an image reference with a digest or a tag other than latest";
    case ParameterFormat::kJsonPatch:
      return Cat("a JSON array of RFC 6902 operations under ",
                 absl::StrJoin(parameter.paths, " or "), ", at most ", kMaxPatchBytes, " bytes");
    case ParameterFormat::kNone:
      break;
  }
  return Cat("a string of at most ", kMaxStringBytes, " bytes");
}

ParameterCheck CheckParameters(const ActionDefinition& action, const Struct& parameters) {
  ParameterCheck check;
  auto refuse = [&](std::string_view name, std::string_view description) {
    if (check.violations.size() == kMaxViolations) return;
    check.violations.push_back({.field = Cat("parameters", name.empty() ? "" : ".", name),
                                .description = std::string(description)});
  };
  if (size_t size = parameters.ByteSizeLong(); size > kMaxParameterBytes) {
    refuse("", Cat("got ", size, " bytes, want at most ", kMaxParameterBytes));
    return check;
  }
  for (const ParameterDefinition& parameter : action.parameters) {
    auto found = parameters.fields().find(parameter.name);
    if (found == parameters.fields().end()) {
      if (parameter.default_value) check.parameters[parameter.name] = *parameter.default_value;
      if (parameter.required) {
        refuse(parameter.name,
               Cat("got nothing, want ", Expectation(parameter), ": it is missing"));
      }
      continue;
    }
    absl::StatusOr<ParameterValue> value = CheckValue(parameter, found->second);
    if (value.ok()) {
      check.parameters[parameter.name] = *std::move(value);
    } else {
      refuse(parameter.name, std::string(value.status().message()));
    }
  }
  if (absl::Status status = CheckExactlyOne(action, parameters); !status.ok()) {
    refuse("", std::string(status.message()));
  }
  std::map<std::string_view, const Value*> sorted;  // Struct's own order differs from run to run
  for (const auto& [name, value] : parameters.fields()) sorted[name] = &value;
  for (const auto& [name, value] : sorted) {
    if (action.FindParameter(name) != nullptr) continue;
    refuse(absl::Utf8SafeCHexEscape(AbslView(name.substr(0, kMaxShownBytes))),
           Cat("got a parameter that ", action.name,
               " does not have, want one of: ", KnownParameters(action)));
  }
  return check;
}

absl::Status ToStatus(const std::vector<FieldViolation>& violations) {
  if (violations.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrJoin(violations, "; ", [](std::string* out, const FieldViolation& violation) {
        Append(out, violation.field, ": ", violation.description);
      }));
}

absl::StatusOr<TypedParameters> ValidateParameters(const ActionDefinition& action,
                                                   const Struct& parameters) {
  ParameterCheck check = CheckParameters(action, parameters);
  CAPSTAN_RETURN_IF_ERROR(ToStatus(check.violations));
  return std::move(check.parameters);
}

absl::StatusOr<absl::Duration> ValidateTimeout(const ActionDefinition& action,
                                               absl::Duration requested) {
  if (requested == absl::ZeroDuration()) return action.default_timeout;
  if (requested < absl::Seconds(1) || requested > action.max_timeout) {
    return absl::InvalidArgumentError(Cat("timeout: got ", absl::FormatDuration(requested),
                                          ", want 1s to ",
                                          absl::FormatDuration(action.max_timeout)));
  }
  return absl::Ceil(requested, absl::Seconds(1));
}

std::string ToText(const ParameterValue& value) {
  if (const bool* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const int64_t* number = std::get_if<int64_t>(&value)) return Cat(*number);
  return std::get<std::string>(value);
}

Struct ToStruct(const TypedParameters& parameters) {
  Struct result;
  for (const auto& [name, value] : parameters) {
    Value& json = (*result.mutable_fields())[name];
    if (const bool* flag = std::get_if<bool>(&value)) {
      json.set_bool_value(*flag);
    } else if (const int64_t* number = std::get_if<int64_t>(&value)) {
      json.set_number_value(static_cast<double>(*number));
    } else {
      json.set_string_value(std::get<std::string>(value));
    }
  }
  return result;
}

absl::StatusOr<ParameterValue> ParseParameterText(const ParameterDefinition& parameter,
                                                  std::string_view text) {
  int64_t number = 0;
  switch (parameter.type) {
    case ParameterType::kBoolean:
      if (text == "true") return true;
      if (text == "false") return false;
      return Mismatch(parameter, Quoted(text), "");
    case ParameterType::kInteger:
      if (!absl::SimpleAtoi(AbslView(text), &number)) return Mismatch(parameter, Quoted(text), "");
      return CheckInteger(parameter, number);
    case ParameterType::kString:
      return CheckString(parameter, std::string(text));
  }
  return absl::InternalError("unknown parameter type");
}

}  // namespace capstan::catalog
