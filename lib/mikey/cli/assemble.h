// Makes a message of its tree.
#pragma once

#include "mikey/cli/node.h"
#include "mikey/message.h"

namespace keystub::mikey::cli {

// The octets of the message that `payloads` describe, HDR first. Lengths and the chain of payloads
// follow from the rest. An error names the line of the text. The octets are parsed once, so what
// comes back is a message.
Result<ByteVector> assemble(const std::vector<Node>& payloads);

}  // namespace keystub::mikey::cli
