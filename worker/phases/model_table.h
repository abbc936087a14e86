// The models that may be used, what they take and what they cost: catalog/models.yaml.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/phases/phase_engine.h"

namespace capstan::phases {

// Micro-dollars for a million tokens.
struct Prices {
  std::int64_t input = 0;
  std::int64_t output = 0;
  std::int64_t cache_write = 0;
  std::int64_t cache_read = 0;
};

struct Model {
  std::string name;                  // as the provider knows it
  std::vector<std::string> aliases;  // such as strong and fast
  Prices prices;
  std::int64_t context_tokens = 0;     // what goes in and comes out of one call together
  std::int64_t max_output_tokens = 0;  // of one call
};

// Rounded up: a total never says less than was billed.
std::int64_t CostOf(const Prices& prices, const Usage& usage);

// The most that one call with so much input can cost, whatever is cached and however long its
// answer: what is reserved before it.
std::int64_t WorstCaseCost(const Model& model, std::int64_t input_tokens,
                           std::int64_t max_output_tokens);

// Immutable.
class ModelTable {
 public:
  // INVALID_ARGUMENT: one line a mistake, with file and line; start-up stops.
  static absl::StatusOr<ModelTable> Parse(const std::string& file, const std::string& text);
  // Also NOT_FOUND: the file cannot be read.
  static absl::StatusOr<ModelTable> Load(const std::string& path);

  // By name or alias; also by a name with a date behind it, as providers answer with
  // (NAME-20250929). Null: unknown.
  const Model* Find(std::string_view name) const;

  // For messages: "a, b, c".
  std::string KnownNames() const;

 private:
  std::vector<Model> models_;
  std::map<std::string, std::size_t, std::less<>> by_name_;
};

}  // namespace capstan::phases
