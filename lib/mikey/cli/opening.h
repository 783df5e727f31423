// Verifies a message and decrypts what is in it, with the keys that the user handed in.
#pragma once

#include "mikey/cli/key_file.h"
#include "mikey/cli/node.h"
#include "mikey/message.h"

namespace keystub::mikey::cli {

struct Check {
  enum class Outcome : std::uint8_t { good, bad, skipped };
  Outcome outcome = Outcome::skipped;
  std::string what;  // "MAC of V"
  std::string text;  // what was found, or why nothing could be
};

// Verifies the MACs of `message` (V, Ticket Data, Vr) and opens its KEMACs. `initial`: the message
// that it answers, or that it is an Error about; nullptr where the user gave none. What was
// decrypted is added to `tree`, the tree of the message, in derived nodes.
std::vector<Check> open_with_keys(const Message& message, const Message* initial,
                                  const KeyRing& ring, std::vector<Node>& tree);

}  // namespace keystub::mikey::cli
