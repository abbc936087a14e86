#include "worker/phases/model_table.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "core/catalog/yaml_reader.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "worker/phases/small_file.h"

namespace capstan::phases {
namespace {

constexpr std::size_t kMaxFileBytes = 256 << 10;
constexpr std::int64_t kMillion = 1'000'000;
constexpr double kDearest = 10'000;  // dollars for a million tokens
constexpr std::int64_t kMostTokens = 100 * kMillion;

// Dollars such as 3.75, as micro-dollars.
std::int64_t PriceOf(catalog::YamlMap& map, std::string_view key) {
  const std::string text = map.Text(key);
  double dollars = -1;
  if (!text.empty() && absl::SimpleAtod(text, &dollars) && dollars >= 0 && dollars <= kDearest) {
    return std::llround(dollars * kMillion);
  }
  if (!text.empty()) map.Refuse(key, Cat("got ", text, ", want dollars for a million tokens"));
  return 0;
}

std::int64_t TokensOf(catalog::YamlMap& map, std::string_view key) {
  const std::int64_t tokens = map.OptionalInteger(key).value_or(0);
  if (tokens < 1 || tokens > kMostTokens) {
    map.Refuse(key, Cat("got ", tokens, ", want 1 to ", kMostTokens, " tokens"));
  }
  return tokens;
}

Model ReadModel(catalog::YamlMap& map) {
  Model model;
  model.name = map.Text("name");
  if (map.Has("aliases")) model.aliases = map.Texts("aliases");
  catalog::YamlMap prices = map.Map("prices");
  model.prices.input = PriceOf(prices, "input");
  model.prices.output = PriceOf(prices, "output");
  model.prices.cache_write = PriceOf(prices, "cache_write");
  model.prices.cache_read = PriceOf(prices, "cache_read");
  prices.RefuseOthers();
  model.context_tokens = TokensOf(map, "context_tokens");
  model.max_output_tokens = TokensOf(map, "max_output_tokens");
  if (model.max_output_tokens > model.context_tokens) {
    map.Refuse("max_output_tokens", Cat("got ", model.max_output_tokens,
                                        ", want at most context_tokens ", model.context_tokens));
  }
  map.RefuseOthers();
  return model;
}

// Tokens at a price, rounded up.
std::int64_t Cost(std::int64_t tokens, std::int64_t price) {
  return static_cast<std::int64_t>((static_cast<__int128>(tokens) * price + kMillion - 1) /
                                   kMillion);
}

// NAME-20250929
std::string_view WithoutDate(std::string_view name) {
  constexpr std::size_t kDateSize = 9;
  if (name.size() <= kDateSize) return name;
  const std::string_view tail = name.substr(name.size() - kDateSize);
  if (tail[0] != '-' || tail.find_first_not_of("0123456789", 1) != std::string_view::npos) {
    return name;
  }
  return name.substr(0, name.size() - kDateSize);
}

}  // namespace

std::int64_t CostOf(const Prices& prices, const Usage& usage) {
  return Cost(usage.input_tokens, prices.input) + Cost(usage.output_tokens, prices.output) +
         Cost(usage.cache_creation_tokens, prices.cache_write) +
         Cost(usage.cache_read_tokens, prices.cache_read);
}

std::int64_t WorstCaseCost(const Model& model, std::int64_t input_tokens,
                           std::int64_t max_output_tokens) {
  const std::int64_t dearest =
      std::max({model.prices.input, model.prices.cache_write, model.prices.cache_read});
  return Cost(input_tokens, dearest) + Cost(max_output_tokens, model.prices.output);
}

absl::StatusOr<ModelTable> ModelTable::Parse(const std::string& file, const std::string& text) {
  YAML::Node root;
  try {
    root = YAML::Load(text);
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(Cat(file, ":", error.mark.line + 1, ": ", error.msg));
  }
  ModelTable table;
  catalog::YamlErrors errors(file);
  catalog::YamlMap map(root, "", errors);
  for (catalog::YamlMap& entry : map.Maps("models")) {
    Model model = ReadModel(entry);
    std::vector<std::string> names = model.aliases;
    names.push_back(model.name);
    for (const std::string& name : names) {
      if (!table.by_name_.emplace(name, table.models_.size()).second) {
        entry.Refuse("name", Cat("got ", name, " twice, want each name and alias once"));
      }
    }
    table.models_.push_back(std::move(model));
  }
  map.RefuseOthers();
  CAPSTAN_RETURN_IF_ERROR(errors.status());
  return table;
}

absl::StatusOr<ModelTable> ModelTable::Load(const std::string& path) {
  CAPSTAN_ASSIGN_OR_RETURN(const std::string text, ReadSmallFile(path, kMaxFileBytes));
  return Parse(path, text);
}

const Model* ModelTable::Find(std::string_view name) const {
  auto found = by_name_.find(name);
  if (found == by_name_.end()) found = by_name_.find(WithoutDate(name));
  return found == by_name_.end() ? nullptr : &models_[found->second];
}

std::string ModelTable::KnownNames() const {
  return absl::StrJoin(by_name_, ", ",
                       [](std::string* out, const auto& entry) { out->append(entry.first); });
}

}  // namespace capstan::phases
