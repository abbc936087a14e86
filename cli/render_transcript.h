// Transcripts as text for people.
#pragma once

#include <string>

#include "capstan/v1/execution_service.pb.h"

namespace capstan::cli {

// Turns the entries of one transcript into text, in order. Pieces of what is said while an
// iteration goes on are joined; what then says all of them again in one is left out. Not
// thread-safe.
class TranscriptText {
 public:
  // What to print for the next entry; may be nothing.
  std::string Next(const v1::TranscriptEntry& entry);

 private:
  std::string last_;        // turn and role of the entry before
  std::string pieces_of_;   // turn of which pieces were shown
  bool line_open_ = false;  // what was printed last has no line break
};

}  // namespace capstan::cli
