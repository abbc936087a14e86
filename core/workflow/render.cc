#include "core/workflow/render.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <set>

#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "core/workflow/path.h"

namespace capstan::workflow {
namespace {

using nlohmann::json;

constexpr int kMaxNesting = 16;
constexpr std::size_t kMaxShownTag = 80;

// A literal, a reference, or a block with what stands in it.
struct Node {
  enum class Kind { kLiteral, kReference, kIf, kUnless };
  Kind kind = Kind::kLiteral;
  std::string text;  // the literal, or the reference
  int line = 1;
  std::optional<std::string> equals;  // of a block
  std::vector<Node> nodes;            // of a block
};

// What stands between "{{" and "}}".
struct Tag {
  std::string_view text;   // without the braces and the blanks around it
  std::string_view whole;  // with them, as far as it may be shown
  int line = 1;
};

std::string_view Trim(std::string_view text) {
  const absl::string_view trimmed = absl::StripAsciiWhitespace(AbslView(text));
  return {trimmed.data(), trimmed.size()};
}

bool TakePrefix(std::string_view& text, std::string_view prefix) {
  if (text.substr(0, prefix.size()) != prefix) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// Reads a template into nodes.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  absl::StatusOr<std::vector<Node>> Parse() {
    std::vector<Node> nodes;
    CAPSTAN_RETURN_IF_ERROR(ParseNodes(nullptr, 0, nodes));
    return nodes;
  }

 private:
  // Up to the end of the text, or to the tag that closes `block`.
  absl::Status ParseNodes(const Node* block, int depth, std::vector<Node>& nodes) {
    while (position_ < text_.size()) {
      const std::size_t open = text_.find("{{", position_);
      AddLiteral(std::min(open, text_.size()), nodes);
      if (open == std::string_view::npos) break;
      CAPSTAN_ASSIGN_OR_RETURN(const Tag tag, TakeTag());
      if (IsBlockTag(tag)) DropItsLine(open, nodes);
      if (tag.text.substr(0, 1) == "/") return CheckClosing(tag, block);
      CAPSTAN_RETURN_IF_ERROR(AddNode(tag, depth, nodes));
    }
    if (block == nullptr) return absl::OkStatus();
    return absl::InvalidArgumentError(
        Cat("line ", block->line, ": got a block without end, want {{/", NameOf(*block), "}}"));
  }

  absl::Status AddNode(const Tag& tag, int depth, std::vector<Node>& nodes) {
    Node node;
    node.line = tag.line;
    std::string_view reference = tag.text;
    if (reference.substr(0, 1) == "#") {
      node.kind = TakePrefix(reference, "#if ") ? Node::Kind::kIf : Node::Kind::kUnless;
      if (node.kind == Node::Kind::kUnless && !TakePrefix(reference, "#unless ")) {
        return Refuse(tag, "{{#if NAME}} or {{#unless NAME}}");
      }
      const std::size_t sign = reference.find('=');
      if (sign != std::string_view::npos)
        node.equals = std::string(Trim(reference.substr(sign + 1)));
      reference = Trim(reference.substr(0, sign));
    } else {
      node.kind = Node::Kind::kReference;
    }
    if (absl::Status status = CheckReference(reference); !status.ok()) {
      return absl::InvalidArgumentError(Cat("line ", tag.line, ": ", status.message()));
    }
    node.text = std::string(reference);
    if (node.kind != Node::Kind::kReference) {
      if (depth == kMaxNesting)
        return Refuse(tag, Cat("at most ", kMaxNesting, " blocks in blocks"));
      CAPSTAN_RETURN_IF_ERROR(ParseNodes(&node, depth + 1, node.nodes));
    }
    nodes.push_back(std::move(node));
    return absl::OkStatus();
  }

  absl::Status CheckClosing(const Tag& tag, const Node* block) {
    if (block == nullptr) return Refuse(tag, "a block that it closes");
    if (tag.text.substr(1) == NameOf(*block)) return absl::OkStatus();
    return Refuse(tag, Cat("{{/", NameOf(*block), "}}"));
  }

  absl::StatusOr<Tag> TakeTag() {
    const std::size_t close = text_.find("}}", position_);
    Tag tag{.text = "", .whole = text_.substr(position_, kMaxShownTag), .line = line_};
    if (close == std::string_view::npos) return Refuse(tag, "closing }}");
    tag.text = Trim(text_.substr(position_ + 2, close - position_ - 2));
    tag.whole = text_.substr(position_, std::min(kMaxShownTag, close + 2 - position_));
    Advance(close + 2);
    return tag;
  }

  static absl::Status Refuse(const Tag& tag, std::string_view want) {
    return absl::InvalidArgumentError(
        Cat("line ", tag.line, ": got \"", tag.whole, "\", want ", want));
  }

  static bool IsBlockTag(const Tag& tag) {
    return !tag.text.empty() && (tag.text[0] == '#' || tag.text[0] == '/');
  }

  static std::string_view NameOf(const Node& block) {
    return block.kind == Node::Kind::kIf ? "if" : "unless";
  }

  void AddLiteral(std::size_t end, std::vector<Node>& nodes) {
    if (end > position_)
      nodes.emplace_back().text = std::string(text_.substr(position_, end - position_));
    Advance(end);
  }

  // A tag of a block that is alone on its line leaves no line behind.
  void DropItsLine(std::size_t open, std::vector<Node>& nodes) {
    std::size_t begin = open;
    while (begin > 0 && (text_[begin - 1] == ' ' || text_[begin - 1] == '\t')) --begin;
    if (begin > 0 && text_[begin - 1] != '\n') return;
    std::size_t end = text_.find_first_not_of(" \t\r", position_);
    if (end == std::string_view::npos) end = text_.size();
    if (end < text_.size() && text_[end] != '\n') return;
    if (begin < open) nodes.back().text.resize(nodes.back().text.size() - (open - begin));
    Advance(std::min(end + 1, text_.size()));
  }

  void Advance(std::size_t position) {
    line_ +=
        static_cast<int>(std::count(text_.begin() + position_, text_.begin() + position, '\n'));
    position_ = position;
  }

  const std::string_view text_;
  std::size_t position_ = 0;
  int line_ = 1;
};

std::string ToText(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "";
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string UrlPart(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (absl::ascii_isalnum(c) || std::string_view("-._~").find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += {'%', kDigits[static_cast<unsigned char>(c) >> 4],
              kDigits[static_cast<unsigned char>(c) & 15]};
    }
  }
  return out;
}

std::string ToText(const json& value, Escape escape) {
  if (escape == Escape::kUrl) return UrlPart(ToText(value));
  if (escape == Escape::kNone || !value.is_string()) return ToText(value);
  const std::string quoted = value.dump(-1, ' ', false, json::error_handler_t::replace);
  return quoted.substr(1, quoted.size() - 2);
}

bool IsSet(const std::optional<json>& value) {
  if (!value.has_value()) return false;
  if (value->is_array() || value->is_object()) return !value->empty();
  const std::string text = ToText(*value);
  return !text.empty() && text != "false" && text != "0";
}

bool IsShown(const Node& block, const Values& values) {
  const std::optional<json> value = Lookup(values, block.text);
  const bool holds = block.equals.has_value() ? value.has_value() && ToText(*value) == *block.equals
                                              : IsSet(value);
  return holds == (block.kind == Node::Kind::kIf);
}

void RenderNodes(const std::vector<Node>& nodes, const Values& values, Escape escape,
                 std::string& text, std::set<std::string>& missing) {
  for (const Node& node : nodes) {
    if (node.kind == Node::Kind::kLiteral) {
      text += node.text;
    } else if (node.kind != Node::Kind::kReference) {
      if (IsShown(node, values)) RenderNodes(node.nodes, values, escape, text, missing);
    } else if (const std::optional<json> value = Lookup(values, node.text)) {
      text += ToText(*value, escape);
    } else {
      missing.insert(node.text);
    }
    if (text.size() > kMaxRenderedBytes) return;
  }
}

void AddReferences(const std::vector<Node>& nodes, std::vector<std::string>& references) {
  for (const Node& node : nodes) {
    const bool known =
        std::find(references.begin(), references.end(), node.text) != references.end();
    if (node.kind != Node::Kind::kLiteral && !known) references.push_back(node.text);
    AddReferences(node.nodes, references);
  }
}

}  // namespace

absl::StatusOr<std::string> Render(std::string_view text, const Values& values, Escape escape) {
  CAPSTAN_ASSIGN_OR_RETURN(const std::vector<Node> nodes, Parser(text).Parse());
  std::string rendered;
  std::set<std::string> missing;
  RenderNodes(nodes, values, escape, rendered, missing);
  if (!missing.empty()) {
    return absl::FailedPreconditionError(Cat("not resolved: ", absl::StrJoin(missing, ", ")));
  }
  if (rendered.size() > kMaxRenderedBytes) {
    return absl::FailedPreconditionError(
        Cat("got a text of more than ", kMaxRenderedBytes, " bytes when its values are put in"));
  }
  return rendered;
}

absl::StatusOr<std::vector<std::string>> References(std::string_view text) {
  CAPSTAN_ASSIGN_OR_RETURN(const std::vector<Node> nodes, Parser(text).Parse());
  std::vector<std::string> references;
  AddReferences(nodes, references);
  return references;
}

const json* Find(const json& root, std::string_view path) {
  const std::optional<std::vector<PathPart>> parts = SplitPath(path);
  if (!parts.has_value()) return nullptr;
  const json* value = &root;
  for (const PathPart& part : *parts) {
    if (!part.key.empty()) {
      const auto found = value->is_object() ? value->find(part.key) : value->end();
      if (!value->is_object() || found == value->end()) return nullptr;
      value = &*found;
    } else {
      if (!value->is_array() || part.index >= value->size()) return nullptr;
      value = &(*value)[part.index];
    }
  }
  return value;
}

}  // namespace capstan::workflow
