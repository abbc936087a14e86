#include "cli/text_format.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "core/text.h"

namespace capstan::cli {

using google::protobuf::Struct;
using google::protobuf::Value;

namespace {

// What steers a terminal becomes spaces, but for the characters in `keep`. In UTF-8 the second half
// of the control characters is 0xC2 and a byte below 0xA0.
std::string WithoutControls(std::string_view text, std::string_view keep) {
  std::string safe(text);
  for (size_t i = 0; i < safe.size(); ++i) {
    const auto next = i + 1 < safe.size() ? static_cast<unsigned char>(safe[i + 1]) : 0;
    if (static_cast<unsigned char>(safe[i]) == 0xC2 && next >= 0x80 && next < 0xA0) {
      safe[i] = safe[i + 1] = ' ';
    } else if (absl::ascii_iscntrl(safe[i]) && keep.find(safe[i]) == std::string_view::npos) {
      safe[i] = ' ';
    }
  }
  return safe;
}

struct Range {
  char32_t first, last;
};

// The blocks of East Asian scripts and of pictures, and those that are drawn over what is before
// them; from Unicode's EastAsianWidth.txt and DerivedGeneralCategory.txt, by whole blocks.
constexpr Range kWide[] = {{0x1100, 0x115F},   {0x2E80, 0xA4CF},   {0xAC00, 0xD7A3},
                           {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},
                           {0xFFE0, 0xFFE6},   {0x1F300, 0x1F64F}, {0x1F680, 0x1F6FF},
                           {0x1F900, 0x1F9FF}, {0x20000, 0x3FFFD}};
constexpr Range kNone[] = {{0x0300, 0x036F}, {0x200B, 0x200F}, {0x20D0, 0x20FF}, {0xFE00, 0xFE0F}};

size_t WidthOf(char32_t c) {
  const auto holds = [&](const Range& range) { return range.first <= c && c <= range.last; };
  if (std::any_of(std::begin(kNone), std::end(kNone), holds)) return 0;
  return std::any_of(std::begin(kWide), std::end(kWide), holds) ? 2 : 1;
}

// The character at the beginning of `text`, which is not empty, and its bytes. A byte that begins
// none counts as one.
std::pair<char32_t, size_t> FirstCharacter(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const size_t size = byte(0) < 0xC0 ? 1 : byte(0) < 0xE0 ? 2 : byte(0) < 0xF0 ? 3 : 4;
  if (size == 1 || size > text.size()) return {byte(0), 1};
  char32_t c = byte(0) & (0xFF >> (size + 1));
  for (size_t i = 1; i < size; ++i) c = (c << 6) | (byte(i) & 0x3F);
  return {c, size};
}

// The longest beginning that fits.
std::string_view Fitting(std::string_view text, size_t columns) {
  size_t end = 0;
  for (size_t width = 0; end < text.size();) {
    const auto [c, size] = FirstCharacter(text.substr(end));
    width += WidthOf(c);
    if (width > columns) break;
    end += size;
  }
  return text.substr(0, end);
}

}  // namespace

std::string OneLine(std::string_view text) { return WithoutControls(text, ""); }

std::string SafeText(std::string_view text) { return WithoutControls(text, "\n\t"); }

size_t DisplayWidth(std::string_view text) {
  size_t width = 0;
  while (!text.empty()) {
    const auto [c, size] = FirstCharacter(text);
    width += WidthOf(c);
    text.remove_prefix(size);
  }
  return width;
}

std::string CutToWidth(std::string_view text, size_t columns) {
  if (DisplayWidth(text) <= columns) return std::string(text);
  return columns == 0 ? "" : Cat(Fitting(text, columns - 1), "…");
}

std::string Tokens(int64_t count) {
  if (count < 1000) return Cat(count);
  if (count < 99'950) return absl::StrFormat("%.1fk", static_cast<double>(count) / 1e3);
  if (count < 999'500) return absl::StrFormat("%.0fk", static_cast<double>(count) / 1e3);
  return absl::StrFormat("%.1fM", static_cast<double>(count) / 1e6);
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
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], DisplayWidth(row[i]));
  }
  std::string text;
  for (const std::vector<std::string>& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      const bool last = i + 1 == row.size();
      Append(&text, row[i], last ? "" : std::string(widths[i] - DisplayWidth(row[i]) + 2, ' '));
    }
    text += '\n';
  }
  return text;
}

}  // namespace capstan::cli
