#include "cli/render_transcript.h"

#include "absl/strings/ascii.h"
#include "cli/text_format.h"
#include "core/text.h"

namespace capstan::cli {
namespace {

using v1::TranscriptEntry;

std::string RoleWord(TranscriptEntry::Role role) {
  std::string word =
      absl::AsciiStrToLower(EnumWord(*TranscriptEntry::Role_descriptor(), role, "ROLE_"));
  for (char& c : word) {
    if (c == '_') c = ' ';
  }
  return word == "chunk" ? "output" : word;
}

}  // namespace

std::string TranscriptText::Next(const TranscriptEntry& entry) {
  const std::string turn =
      entry.step().empty() ? "task"
      : entry.iteration() == 0
          ? Cat("gate of ", OneLine(entry.step()), " ", entry.attempt())
          : Cat(OneLine(entry.step()), " ", entry.attempt(), "/", entry.iteration());
  const bool piece = entry.role() == TranscriptEntry::ROLE_CHUNK;
  if (entry.role() == TranscriptEntry::ROLE_COMBINED && turn == pieces_of_) return "";
  if (piece) pieces_of_ = turn;
  const std::string head = Cat(turn, " ", RoleWord(entry.role()));
  std::string text;
  if (!piece || head != last_) {
    text = Cat(line_open_ ? "\n" : "", "== ", entry.number(), "  ", Time(entry.time()), "  ", head,
               "\n");
  }
  last_ = head;
  Append(&text, SafeText(entry.text()));
  if (!piece && (text.empty() || text.back() != '\n')) text += '\n';
  if (!text.empty()) line_open_ = text.back() != '\n';
  return text;
}

}  // namespace capstan::cli
