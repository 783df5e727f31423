// Reads and writes the SDP documents of an offer/answer: files, FIFOs, "-" for the standard
// streams.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"

namespace keystub::ue {

// An SDP may have this many octets.
inline constexpr std::size_t kMaxDocumentOctets = 64 * 1024;

// Waits until there is a document, at most until `deadline` (unavailable). A FIFO and standard
// input give it up to their end; a file counts when it exists and is not empty, so whoever writes
// it creates it under another name and renames it. malformed when it is too long.
Result<std::string> read_document(const std::filesystem::path& path, const Clock& clock,
                                  SteadyTime deadline);

// To a FIFO (waits for its reader, at most until `deadline`), to standard output, or to a file,
// which appears in one step.
Result<void> write_document(const std::filesystem::path& path, std::string_view text,
                            const Clock& clock, SteadyTime deadline);

}  // namespace keystub::ue
