// What is in a message: reads lines of hex and prints each message's payloads.
#include "mikey/examples/example.h"

int main() {
  using namespace keystub;
  while (const Result<ByteVector> line = example::receive()) {
    const Result<mikey::Message> message = mikey::Message::parse(*line);
    if (!message) {
      std::cout << message.error().describe() << '\n';
      continue;
    }
    std::cout << message->name() << ", " << message->bytes.size() << " octets\n";
    mikey::PayloadWalker walker = message->payloads();
    while (const mikey::Payload* payload = walker.next().value()) {
      std::cout << "  at " << payload->offset << ": " << mikey::name_of(payload->type) << ", "
                << payload->bytes.size() << " octets\n";
    }
  }
}
