// Compares a text with a file below tests/golden/. With CAPSTAN_UPDATE_GOLDEN=1 in the environment
// the file is written instead: look at the difference in git before it is committed.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

namespace capstan::testing {

// EXPECT_TRUE(MatchesGolden("catalog/job.json", text));
inline ::testing::AssertionResult MatchesGolden(std::string_view path, std::string_view text) {
  std::filesystem::path file = std::filesystem::path(CAPSTAN_SOURCE_DIR) / "tests/golden" / path;
  const char* update = std::getenv("CAPSTAN_UPDATE_GOLDEN");
  if (update != nullptr && std::string_view(update) == "1") {
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << text;
    return ::testing::AssertionSuccess();
  }
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream expected;
  expected << stream.rdbuf();
  if (stream && expected.str() == text) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << "differs from " << file << " (CAPSTAN_UPDATE_GOLDEN=1 rewrites it); got:\n"
         << text;
}

}  // namespace capstan::testing
