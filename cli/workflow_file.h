// A workflow's file made fit to be sent: with the texts of the files that it names. Pure but for
// reading those.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/workflow/loader.h"

namespace capstan::cli {

// Reads prompts/, prompts/fragments/ and schemas/ of a catalog's folder.
workflow::ReadPart PartsOf(const std::string& catalog_dir);

// The same YAML with `prompt` for `prompt_file`, `schema` for `schema_file` and `text` for
// `fragment`. Each text stands in one line in the place of the name, so that every line keeps its
// number and messages about the result fit the file. INVALID_ARGUMENT with a line "file:line: …"
// for each
//   file that cannot be read
//   name that is not written plainly, as an alias is
//   fragment with {{, which a text would take for a variable
absl::StatusOr<std::string> WithTexts(std::string_view yaml, std::string_view file,
                                      const workflow::ReadPart& read);

}  // namespace capstan::cli
