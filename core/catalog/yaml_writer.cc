#include "core/catalog/yaml_writer.h"

#include <algorithm>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "core/text.h"

namespace capstan::catalog {
namespace {

using Json = nlohmann::ordered_json;

// Whether the text means itself when it stands without quotes.
bool IsPlain(std::string_view text) {
  constexpr std::string_view kWords[] = {"true", "false", "null", "yes", "no",
                                         "on",   "off",   "y",    "n"};
  double number = 0;
  std::string lower = absl::AsciiStrToLower(AbslView(text));
  return !text.empty() && absl::ascii_isalnum(text.front()) && text.back() != ':' &&
         !absl::SimpleAtod(AbslView(text), &number) &&
         std::find(std::begin(kWords), std::end(kWords), lower) == std::end(kWords) &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isalnum(c) ||
                  std::string_view("._/-@:").find(c) != std::string_view::npos;
         });
}

std::string Scalar(const Json& value) {
  if (value.is_string() && IsPlain(value.get_ref<const std::string&>())) return value;
  return value.dump();  // a JSON scalar, and [] and {}, are YAML too
}

void Write(const Json& value, size_t indent, std::string* out);

// What follows "key:" or "-": on the same line when it is a scalar.
void WriteBelow(const Json& value, size_t indent, std::string* out) {
  if (!value.is_structured() || value.empty()) {
    Append(out, " ", Scalar(value), "\n");
  } else {
    Append(out, "\n");
    Write(value, indent, out);
  }
}

void Write(const Json& value, size_t indent, std::string* out) {
  const std::string margin(indent, ' ');
  if (value.is_object()) {
    for (const auto& [key, item] : value.items()) {
      Append(out, margin, Scalar(key), ":");
      WriteBelow(item, item.is_array() ? indent : indent + 2, out);
    }
    return;
  }
  for (const Json& item : value) {
    if (item.is_object() && !item.empty()) {
      std::string block;  // its first line follows the dash
      Write(item, indent + 2, &block);
      Append(out, margin, "- ", std::string_view(block).substr(indent + 2));
    } else {
      Append(out, margin, "-");
      WriteBelow(item, indent + 2, out);
    }
  }
}

}  // namespace

std::string ToYaml(const Json& value) {
  std::string text;
  Write(value, 0, &text);
  return text;
}

}  // namespace capstan::catalog
