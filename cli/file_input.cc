#include "cli/file_input.h"

#include <fstream>

#include "core/text.h"

namespace capstan::cli {
namespace {

std::string ReadAll(std::istream& in) {
  std::string text;
  char buffer[4096];
  while (text.size() <= kMaxInputBytes && in.read(buffer, sizeof(buffer)).gcount() > 0) {
    text.append(buffer, static_cast<size_t>(in.gcount()));
  }
  return text;
}

}  // namespace

absl::StatusOr<std::string> ReadInput(const std::string& path, std::istream& in) {
  std::ifstream file;
  if (path != "-") file.open(path, std::ios::binary);
  if (path != "-" && !file) return absl::InvalidArgumentError(Cat("cannot read ", path));
  std::string text = ReadAll(path == "-" ? in : file);
  if (file.is_open() && file.bad()) return absl::InvalidArgumentError(Cat("cannot read ", path));
  if (text.size() <= kMaxInputBytes) return text;
  return absl::InvalidArgumentError(Cat(path, " is larger than ", kMaxInputBytes, " bytes"));
}

}  // namespace capstan::cli
