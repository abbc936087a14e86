// Small forms of text that every output shares. Pure.
#pragma once

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "core/money.h"

namespace capstan::cli {

// One line that cannot steer a terminal: control characters become spaces. For every text that came
// from outside.
std::string OneLine(std::string_view text);

// The same, but line breaks and tabs stay.
std::string SafeText(std::string_view text);

// Columns that UTF-8 text takes on a terminal: wide characters two, combining ones none.
size_t DisplayWidth(std::string_view text);

// As much of the text as fits, with "…" at its end when it is not all.
std::string CutToWidth(std::string_view text, size_t columns);

// 2026-11-21T02:45:00.123Z, or "-" when not set.
std::string Time(const google::protobuf::Timestamp& time);
absl::Time ToTime(const google::protobuf::Timestamp& time);

// 0:07, 12:34, 1:02:03.
std::string Elapsed(absl::Duration duration);
// 950, 12.3k, 1.2M.
std::string Tokens(int64_t count);

// 5m, 90s.
std::string Length(const google::protobuf::Duration& duration);

// Whole numbers without a fraction, texts as they are, the rest as JSON.
std::string ValueText(const google::protobuf::Value& value);
// "deployment=web replicas=3", by name.
std::string ParametersText(const google::protobuf::Struct& parameters);
// The same as arguments of `capstan action run`, quoted for a shell where needed.
std::string ParameterFlags(const google::protobuf::Struct& parameters);
std::string ShellQuoted(std::string_view text);

// "PENDING" of "STATE_PENDING": an enumerator without its prefix; the number when this program does
// not know it.
std::string EnumWord(const google::protobuf::EnumDescriptor& type, int number,
                     std::string_view prefix);

// The protojson of an API message, with line breaks or as one line; ends with a line break.
enum class JsonLayout { kPretty, kLine };
std::string ToJson(const google::protobuf::Message& message, JsonLayout layout);

// Columns of equal width on a terminal, two spaces apart; the first row is the heading. Ends with a
// line break.
std::string Table(const std::vector<std::vector<std::string>>& rows);

}  // namespace capstan::cli
