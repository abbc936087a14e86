#include "core/workflow/schema.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

#include "absl/strings/str_join.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "core/workflow/json_text.h"
#include "core/workflow/outcome.h"

namespace capstan::workflow {
namespace {

using nlohmann::json;
using Adapter = valijson::adapters::NlohmannJsonAdapter;

constexpr JsonLimits kSchemaLimits = {.bytes = 64 * 1024, .depth = 64};
constexpr int kMaxParts = 10'000;  // with each reference replaced by what it stands for
constexpr std::size_t kMaxShownErrors = 5;
constexpr std::string_view kDraft7 = "http://json-schema.org/draft-07/schema";
constexpr std::string_view kLocal = "#/definitions/";
constexpr const char* kTypes[] = {"array",  "boolean", "integer", "null",
                                  "number", "object",  "string"};

// What stands behind a keyword.
enum class Holds { kPlain, kSchema, kSchemas, kSchemaOrSchemas, kSchemaByName };

struct Keyword {
  std::string_view name;
  Holds holds;
};

// What is not here would not be checked, or could take without limit: it is refused.
constexpr Keyword kKeywords[] = {
    {"$comment", Holds::kPlain},
    {"$schema", Holds::kPlain},
    {"additionalItems", Holds::kSchema},
    {"additionalProperties", Holds::kSchema},
    {"allOf", Holds::kSchemas},
    {"anyOf", Holds::kSchemas},
    {"const", Holds::kPlain},
    {"contains", Holds::kSchema},
    {"default", Holds::kPlain},
    {"definitions", Holds::kSchemaByName},
    {"description", Holds::kPlain},
    {"else", Holds::kSchema},
    {"enum", Holds::kPlain},
    {"examples", Holds::kPlain},
    {"exclusiveMaximum", Holds::kPlain},
    {"exclusiveMinimum", Holds::kPlain},
    {"if", Holds::kSchema},
    {"items", Holds::kSchemaOrSchemas},
    {"maxItems", Holds::kPlain},
    {"maxLength", Holds::kPlain},
    {"maxProperties", Holds::kPlain},
    {"maximum", Holds::kPlain},
    {"minItems", Holds::kPlain},
    {"minLength", Holds::kPlain},
    {"minProperties", Holds::kPlain},
    {"minimum", Holds::kPlain},
    {"multipleOf", Holds::kPlain},
    {"not", Holds::kSchema},
    {"oneOf", Holds::kSchemas},
    {"properties", Holds::kSchemaByName},
    {"propertyNames", Holds::kSchema},
    {"required", Holds::kPlain},
    {"then", Holds::kSchema},
    {"title", Holds::kPlain},
    {"type", Holds::kPlain},
};

absl::Status Refuse(const std::string& path, const std::string& text) {
  return absl::InvalidArgumentError(Cat("schema", path, ": ", text));
}

bool IsTypeName(const json& type) {
  return type.is_string() && std::find(std::begin(kTypes), std::end(kTypes),
                                       type.get<std::string>()) != std::end(kTypes);
}

absl::Status CheckType(const json& type, const std::string& path) {
  const bool known = type.is_array()
                         ? !type.empty() && std::all_of(type.begin(), type.end(), IsTypeName)
                         : IsTypeName(type);
  return known ? absl::OkStatus()
               : Refuse(path, Cat("got ", type.dump(), ", want of ", absl::StrJoin(kTypes, ", ")));
}

// Looks through a schema, and counts its parts with references replaced.
class SchemaCheck {
 public:
  explicit SchemaCheck(const json& root) : root_(root) {}

  absl::Status Check() { return CheckNode(root_, ""); }

 private:
  absl::Status CheckNode(const json& node, const std::string& path) {
    if (++parts_ > kMaxParts) {
      return Refuse("", Cat("got more parts, want at most ", kMaxParts));
    }
    if (node.is_boolean()) return absl::OkStatus();
    if (!node.is_object()) return Refuse(path, "got no schema, want an object, true or false");
    if (node.contains("$ref")) return CheckReference(node, path);
    for (const auto& [name, value] : node.items()) {
      const auto keyword = std::find_if(std::begin(kKeywords), std::end(kKeywords),
                                        [&](const Keyword& known) { return known.name == name; });
      if (keyword == std::end(kKeywords))
        return Refuse(path, Cat("got \"", name, "\", which is not supported"));
      CAPSTAN_RETURN_IF_ERROR(CheckKeyword(*keyword, value, Cat(path, ".", name)));
    }
    return absl::OkStatus();
  }

  absl::Status CheckKeyword(const Keyword& keyword, const json& value, const std::string& path) {
    if (keyword.name == "type") return CheckType(value, path);
    if (keyword.name == "$schema" &&
        (!value.is_string() || !value.get<std::string>().starts_with(kDraft7))) {
      return Refuse(path, Cat("got ", value.dump(), ", want draft 7: ", kDraft7, "#"));
    }
    switch (keyword.holds) {
      case Holds::kPlain:
        return absl::OkStatus();
      case Holds::kSchema:
        return CheckNode(value, path);
      case Holds::kSchemas:
        return CheckList(value, path);
      case Holds::kSchemaOrSchemas:
        return value.is_array() ? CheckList(value, path) : CheckNode(value, path);
      case Holds::kSchemaByName:
        break;
    }
    if (!value.is_object()) return Refuse(path, "want schemas by name");
    for (const auto& [name, schema] : value.items()) {
      CAPSTAN_RETURN_IF_ERROR(CheckNode(schema, Cat(path, ".", name)));
    }
    return absl::OkStatus();
  }

  absl::Status CheckList(const json& list, const std::string& path) {
    if (!list.is_array() || list.empty()) return Refuse(path, "want a list of schemas");
    for (std::size_t i = 0; i < list.size(); ++i) {
      CAPSTAN_RETURN_IF_ERROR(CheckNode(list[i], Cat(path, "[", i, "]")));
    }
    return absl::OkStatus();
  }

  absl::Status CheckReference(const json& node, const std::string& path) {
    const std::string text = node["$ref"].is_string() ? node["$ref"].get<std::string>() : "";
    const std::string name = text.starts_with(kLocal) ? text.substr(kLocal.size()) : "";
    const bool known = !name.empty() && name.find_first_of("/~%") == std::string::npos &&
                       root_.contains("definitions") && root_["definitions"].contains(name);
    if (!known || node.size() > 1) {
      return Refuse(path, Cat("got $ref \"", text, "\", want it alone and #/definitions/<name>"));
    }
    if (!open_.insert(name).second) return Refuse(path, Cat("got a circle through ", text));
    CAPSTAN_RETURN_IF_ERROR(CheckNode(root_["definitions"][name], path));
    open_.erase(name);
    return absl::OkStatus();
  }

  const json& root_;
  int parts_ = 0;
  std::set<std::string> open_;  // definitions that are being looked through
};

// Reads it with the library that will use it.
absl::Status Compile(const json& schema, valijson::Schema& compiled) {
  try {
    valijson::SchemaParser parser(valijson::SchemaParser::kDraft7);
    parser.populateSchema(Adapter(schema), compiled);
    return absl::OkStatus();
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(Cat("schema: ", error.what()));
  }
}

// "<root>["issues"][0]" is how the library says where.
std::string Describe(const valijson::ValidationResults::Error& error) {
  return Cat(absl::StrJoin(error.context, ""), ": ", error.description);
}

}  // namespace

absl::StatusOr<json> ParseSchema(std::string_view text) {
  CAPSTAN_ASSIGN_OR_RETURN(json schema, ParseJson(text, kSchemaLimits));
  CAPSTAN_RETURN_IF_ERROR(SchemaCheck(schema).Check());
  valijson::Schema compiled;
  CAPSTAN_RETURN_IF_ERROR(Compile(schema, compiled));
  return schema;
}

absl::Status FitsSchema(const json& document, const json& schema) {
  valijson::Schema compiled;
  CAPSTAN_RETURN_IF_ERROR(Compile(schema, compiled));
  try {
    const Adapter target(document);
    if (valijson::Validator().validate(compiled, target, nullptr)) return absl::OkStatus();
    // Each item of a long list may be wrong: what to show is looked for only where that is cheap.
    if (document.dump().size() > kSchemaLimits.bytes) {
      return absl::InvalidArgumentError("does not fit the schema");
    }
    valijson::ValidationResults results;
    valijson::Validator().validate(compiled, target, &results);
    std::vector<std::string> shown;
    for (const auto& error : results) {
      if (shown.size() < kMaxShownErrors) shown.push_back(Describe(error));
    }
    return absl::InvalidArgumentError(Cat("does not fit the schema: ", absl::StrJoin(shown, "; ")));
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(Cat("does not fit the schema: ", error.what()));
  }
}

absl::Status CheckSchema(std::string_view schema) {
  CAPSTAN_ASSIGN_OR_RETURN(const json parsed, ParseSchema(schema));
  const bool has_status = parsed.is_object() && parsed.contains("properties") &&
                          parsed["properties"].contains("status");
  if (has_status) return absl::OkStatus();
  return absl::InvalidArgumentError("schema: got no property \"status\", want one");
}

}  // namespace capstan::workflow
