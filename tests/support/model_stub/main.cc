// capstan-model-stub SCRIPT: a scripted Messages API as a program, for demos and shell tests.
// SCRIPT is JSON: {"replies": [...], "default": {...}}, each reply as in model_stub.h. Prints its
// address and serves until standard input ends; then a line of JSON with what was called and
// billed.
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

#include "core/text.h"
#include "tests/support/model_stub/model_stub.h"

namespace {

using capstan::testing::ModelStub;
using capstan::testing::ReadStubReply;
using capstan::testing::StubReply;
using Json = nlohmann::json;

absl::Status Load(const std::string& path, ModelStub& stub) {
  std::ifstream file(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  const Json script = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!script.is_object()) {
    return absl::InvalidArgumentError(capstan::Cat(path, ": want a JSON object"));
  }
  for (const auto& [key, value] : script.items()) {
    if (key == "default") {
      absl::StatusOr<StubReply> reply = ReadStubReply(value);
      if (!reply.ok()) return reply.status();
      stub.SetDefault(*std::move(reply));
    } else if (key == "replies" && value.is_array()) {
      for (const Json& item : value) {
        absl::StatusOr<StubReply> reply = ReadStubReply(item);
        if (!reply.ok()) return reply.status();
        stub.Push(*std::move(reply));
      }
    } else {
      return absl::InvalidArgumentError(
          capstan::Cat(path, ": got ", key, ", want default and a list of replies"));
    }
  }
  return absl::OkStatus();
}

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "capstan-model-stub: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: capstan-model-stub SCRIPT\n");
    return 2;
  }
  absl::StatusOr<std::unique_ptr<ModelStub>> stub = ModelStub::Start();
  if (!stub.ok()) return Fail(stub.status());
  if (absl::Status loaded = Load(argv[1], **stub); !loaded.ok()) return Fail(loaded);
  std::printf("%s\n", (*stub)->Url().c_str());
  std::fflush(stdout);
  char ignored[256];
  while (read(STDIN_FILENO, ignored, sizeof(ignored)) > 0) {
  }
  const capstan::testing::StubUsage billed = (*stub)->Billed();
  std::printf("%s\n", Json({{"calls", (*stub)->Requests().size()},
                            {"input", billed.input},
                            {"cache_creation", billed.cache_creation},
                            {"cache_read", billed.cache_read},
                            {"output", billed.output}})
                          .dump()
                          .c_str());
  return 0;
}
