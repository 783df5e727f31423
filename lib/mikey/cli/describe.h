// Makes the tree of a message.
#pragma once

#include "mikey/cli/node.h"
#include "mikey/keys.h"
#include "mikey/message.h"

namespace keystub::mikey::cli {

// The payloads of a message, HDR first, each with its fields. Ticket Data of the base layout are
// taken apart; what is encrypted stays hex.
std::vector<Node> describe(const Message& message);

// Keys of a KEMAC that was opened, as derived nodes. The octets are secret.
Node describe_key(std::string_view name, Bytes key);
Node describe_key(const SessionKey& key);

}  // namespace keystub::mikey::cli
