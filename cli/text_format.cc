#include "cli/text_format.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "core/text.h"

namespace capstan::cli {

using google::protobuf::Struct;
using google::protobuf::Value;

std::string OneLine(std::string_view text) {
  std::string line(text);
  for (char& c : line) {
    if (absl::ascii_iscntrl(c)) c = ' ';
  }
  return line;
}

absl::Time ToTime(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

std::string Time(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0 && time.nanos() == 0) return "-";
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", ToTime(time), absl::UTCTimeZone());
}

std::string Elapsed(absl::Duration duration) {
  const int64_t seconds = std::max<int64_t>(0, absl::ToInt64Seconds(duration));
  if (seconds < 3600) return absl::StrFormat("%d:%02d", seconds / 60, seconds % 60);
  return absl::StrFormat("%d:%02d:%02d", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

std::string Length(const google::protobuf::Duration& duration) {
  return absl::FormatDuration(absl::Seconds(duration.seconds()) +
                              absl::Nanoseconds(duration.nanos()));
}

std::string ValueText(const Value& value) {
  if (value.has_string_value()) return value.string_value();
  if (value.has_number_value() && std::trunc(value.number_value()) == value.number_value() &&
      std::abs(value.number_value()) < 0x1p53) {
    return Cat(static_cast<int64_t>(value.number_value()));
  }
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(value, &json).ok()) return "?";
  return json;
}

namespace {

// Struct keeps no order: by name, so that two runs print the same.
std::string JoinParameters(const Struct& parameters, std::string_view prefix,
                           std::string (*form)(std::string_view)) {
  std::map<std::string, std::string> sorted;
  for (const auto& [name, value] : parameters.fields()) {
    sorted[name] = form(Cat(name, "=", ValueText(value)));
  }
  std::string text;
  for (const auto& [name, pair] : sorted) Append(&text, text.empty() ? "" : " ", prefix, pair);
  return text;
}

}  // namespace

std::string ParametersText(const Struct& parameters) {
  return JoinParameters(parameters, "", &OneLine);
}

std::string ParameterFlags(const Struct& parameters) {
  return JoinParameters(parameters, "-p ", &ShellQuoted);
}

std::string ShellQuoted(std::string_view text) {
  const bool plain = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isalnum(c) ||
           std::string_view("_-./=:,@%+").find(c) != std::string_view::npos;
  });
  if (plain) return std::string(text);
  std::string quoted = "'";
  for (char c : OneLine(text))
    Append(&quoted, c == '\'' ? std::string("'\\''") : std::string(1, c));
  return quoted + "'";
}

std::string EnumWord(const google::protobuf::EnumDescriptor& type, int number,
                     std::string_view prefix) {
  const google::protobuf::EnumValueDescriptor* value = type.FindValueByNumber(number);
  if (value == nullptr) return Cat(number);
  std::string_view name = value->name();
  if (name.substr(0, prefix.size()) == prefix) name.remove_prefix(prefix.size());
  return std::string(name);
}

std::string ToJson(const google::protobuf::Message& message, JsonLayout layout) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = layout == JsonLayout::kPretty;
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(message, &json, options).ok()) return "{}\n";
  if (json.empty() || json.back() != '\n') json += '\n';
  return json;
}

std::string Table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const std::vector<std::string>& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const std::vector<std::string>& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      const bool last = i + 1 == row.size();
      Append(&text, row[i], last ? "" : std::string(widths[i] - row[i].size() + 2, ' '));
    }
    text += '\n';
  }
  return text;
}

}  // namespace capstan::cli
