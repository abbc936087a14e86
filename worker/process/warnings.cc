#include "worker/process/warnings.h"

#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "core/text.h"

namespace capstan::process {
namespace {

constexpr std::int64_t kMegabyte = 1'000'000;
constexpr std::int64_t kMuchMemory = 500 * kMegabyte;

struct Kind {
  const char* word;
  const char* name;
};
constexpr Kind kKinds[] = {{"mcp", "an MCP server"},   {"chrom", "a browser"},
                           {"firefox", "a browser"},   {"playwright", "a browser"},
                           {"puppeteer", "a browser"}, {"webkit", "a browser"}};

std::string_view KindOf(const std::string& command) {
  const std::string lower = absl::AsciiStrToLower(command);
  for (const Kind& kind : kKinds) {
    if (absl::StrContains(lower, kind.word)) return kind.name;
  }
  return "a process";
}

}  // namespace

std::vector<std::string> Warnings(const Result& result) {
  std::vector<std::string> warnings;
  for (const Orphan& orphan : result.orphans)
    warnings.push_back(
        Cat("left ", KindOf(orphan.command), " behind, which was killed: ", orphan.command));
  if (result.peak_memory_bytes > kMuchMemory)
    warnings.push_back(Cat("used ", result.peak_memory_bytes / kMegabyte,
                           " MB of memory, the cache of its files included"));
  return warnings;
}

}  // namespace capstan::process
