#include "worker/kubernetes/file.h"

#include <fstream>

#include "core/text.h"

namespace capstan::kubernetes {

absl::StatusOr<std::string> ReadSmallFile(const std::string& path, size_t max_bytes) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(Cat("cannot open ", path));
  std::string text(max_bytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > max_bytes) {
    return absl::ResourceExhaustedError(Cat(path, " has more than ", max_bytes, " bytes"));
  }
  return text;
}

}  // namespace capstan::kubernetes
