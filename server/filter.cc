#include "server/filter.h"

#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "server/errors.h"

namespace capstan::server {
namespace {

using v1::Execution;

enum class Kind { kEnd, kWord, kQuoted, kEquals, kNotEquals, kOpen, kClose };

struct Token {
  Kind kind = Kind::kEnd;
  std::string text;
  std::size_t position = 1;
};

absl::Status FilterError(std::size_t position, std::string_view got, std::string_view want) {
  absl::Status status = InvalidField("filter", Cat("at ", position, ": got ", got, ", want ", want),
                                     "INVALID_FILTER");
  return status;
}

std::string Describe(const Token& token) {
  if (token.kind == Kind::kEnd) return "the end";
  return Cat("\"", token.text, "\"");
}

bool IsWordByte(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.' ||
         c == '/' || c == ':';
}

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  absl::StatusOr<Token> Next() {
    while (at_ < text_.size() && absl::ascii_isspace(static_cast<unsigned char>(text_[at_]))) {
      ++at_;
    }
    Token token;
    token.position = at_ + 1;
    if (at_ == text_.size()) return token;
    const char c = text_[at_];
    if (c == '"') return Quoted();
    if (c == '(' || c == ')' || c == '=') {
      token.kind = c == '(' ? Kind::kOpen : c == ')' ? Kind::kClose : Kind::kEquals;
      token.text = c;
      ++at_;
      return token;
    }
    if (c == '!' && at_ + 1 < text_.size() && text_[at_ + 1] == '=') {
      token.kind = Kind::kNotEquals;
      token.text = "!=";
      at_ += 2;
      return token;
    }
    token.kind = Kind::kWord;
    while (at_ < text_.size() && IsWordByte(text_[at_])) token.text += text_[at_++];
    if (!token.text.empty()) return token;
    return FilterError(token.position, Cat("\"", std::string(1, c), "\""),
                       "a field, a value, =, !=, AND, OR or parentheses");
  }

 private:
  absl::StatusOr<Token> Quoted() {
    Token token;
    token.kind = Kind::kQuoted;
    token.position = at_ + 1;
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == '"') {
        ++at_;
        return token;
      }
      if (text_[at_] == '\\' && ++at_ == text_.size()) break;
      token.text += text_[at_];
    }
    return FilterError(token.position, "a text without its end", "\" after the text");
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

struct Comparison {
  Token field;
  bool equals = true;
  Token value;
};

class Parser {
 public:
  Parser(std::string_view text, StateTerms states) : lexer_(text), states_(states) {}

  absl::StatusOr<storage::ExecutionFilter> Parse() {
    CAPSTAN_RETURN_IF_ERROR(Advance());
    if (token_.kind == Kind::kEnd) return filter_;
    while (true) {
      CAPSTAN_RETURN_IF_ERROR(ParseTerm());
      if (token_.kind == Kind::kEnd) return filter_;
      if (!IsKeyword("AND")) return FilterError(token_.position, Describe(token_), "AND");
      CAPSTAN_RETURN_IF_ERROR(Advance());
    }
  }

 private:
  absl::Status Advance() {
    CAPSTAN_ASSIGN_OR_RETURN(token_, lexer_.Next());
    return absl::OkStatus();
  }

  bool IsKeyword(std::string_view keyword) const {
    return token_.kind == Kind::kWord && token_.text == keyword;
  }

  absl::Status ParseTerm() {
    const bool in_parentheses = token_.kind == Kind::kOpen;
    if (in_parentheses) CAPSTAN_RETURN_IF_ERROR(Advance());
    CAPSTAN_ASSIGN_OR_RETURN(Comparison first, ParseComparison());
    const bool is_state = first.field.text == "state";
    CAPSTAN_RETURN_IF_ERROR(Add(first));
    while (IsKeyword("OR")) {
      const Token keyword = token_;
      CAPSTAN_RETURN_IF_ERROR(Advance());
      CAPSTAN_ASSIGN_OR_RETURN(Comparison next, ParseComparison());
      if (!is_state || next.field.text != "state") {
        return FilterError(keyword.position, "OR", "OR between states only");
      }
      CAPSTAN_RETURN_IF_ERROR(AddState(next));
    }
    if (!in_parentheses) return absl::OkStatus();
    if (token_.kind != Kind::kClose) {
      return FilterError(token_.position, Describe(token_), "OR or )");
    }
    return Advance();
  }

  absl::StatusOr<Comparison> ParseComparison() {
    Comparison comparison;
    if (++comparisons_ > kMaxFilterComparisons) {
      return FilterError(token_.position, "one more comparison",
                         Cat("at most ", kMaxFilterComparisons));
    }
    if (token_.kind != Kind::kWord) {
      return FilterError(token_.position, Describe(token_), "a field");
    }
    comparison.field = token_;
    CAPSTAN_RETURN_IF_ERROR(Advance());
    if (token_.kind != Kind::kEquals && token_.kind != Kind::kNotEquals) {
      return FilterError(token_.position, Describe(token_), "= or !=");
    }
    comparison.equals = token_.kind == Kind::kEquals;
    const std::size_t operator_position = token_.position;
    CAPSTAN_RETURN_IF_ERROR(Advance());
    if (token_.kind != Kind::kWord && token_.kind != Kind::kQuoted) {
      return FilterError(token_.position, Describe(token_), "a value");
    }
    comparison.value = token_;
    const std::string& name = comparison.field.text;
    const bool may_differ = name == "action" || name == "workflow" || name == "parent";
    if (!comparison.equals && !may_differ) {
      return FilterError(operator_position, "!=", "= (!= is for action, workflow and parent)");
    }
    CAPSTAN_RETURN_IF_ERROR(Advance());
    return comparison;
  }

  absl::Status Add(const Comparison& comparison) {
    const std::string& field = comparison.field.text;
    constexpr std::string_view kLabels = "labels.";
    if (field == "state") {
      if (!filter_.states.empty()) return Twice(comparison);
      return AddState(comparison);
    }
    if (field == "action" || field == "workflow") {  // one or the other: they share a column
      if (filter_.action) return Twice(comparison);
      filter_.action =
          field == "action" ? comparison.value.text : TaskActionName(comparison.value.text);
      filter_.action_not = !comparison.equals;
      return absl::OkStatus();
    }
    if (field == "parent") {
      if (filter_.parent) return Twice(comparison);
      filter_.parent = comparison.value.text;
      filter_.parent_not = !comparison.equals;
      return absl::OkStatus();
    }
    if (field.size() > kLabels.size() && field.compare(0, kLabels.size(), kLabels) == 0) {
      const bool is_new =
          filter_.labels.emplace(field.substr(kLabels.size()), comparison.value.text).second;
      return is_new ? absl::OkStatus() : Twice(comparison);
    }
    return FilterError(comparison.field.position, Describe(comparison.field),
                       "one of the fields action, workflow, state, parent, labels.<key>");
  }

  absl::Status AddState(const Comparison& comparison) {
    if (states_ == StateTerms::kRefused) {
      return FilterError(comparison.field.position, "\"state\"",
                         "one of the fields action, workflow, parent, labels.<key>");
    }
    Execution::State state = Execution::STATE_UNSPECIFIED;
    Execution::State_Parse(Cat("STATE_", comparison.value.text), &state);
    if (state == Execution::STATE_UNSPECIFIED) {
      return FilterError(
          comparison.value.position, Describe(comparison.value),
          "a state: PENDING, VALIDATING, BLOCKED, RUNNING, VERIFYING, SUCCEEDED, FAILED or "
          "CANCELLED");
    }
    filter_.states.push_back(state);
    return absl::OkStatus();
  }

  static absl::Status Twice(const Comparison& comparison) {
    return FilterError(comparison.field.position, Cat(Describe(comparison.field), " again"),
                       "each field once");
  }

  Lexer lexer_;
  StateTerms states_;
  Token token_;
  storage::ExecutionFilter filter_;
  int comparisons_ = 0;
};

}  // namespace

absl::StatusOr<storage::ExecutionFilter> ParseFilter(std::string_view text, StateTerms states) {
  if (text.size() > kMaxFilterBytes) {
    return InvalidField("filter",
                        Cat("got ", text.size(), " bytes, want at most ", kMaxFilterBytes),
                        "INVALID_FILTER");
  }
  return Parser(text, states).Parse();
}

}  // namespace capstan::server
