// Any text as a configuration file, read by getters of every type, and as the values that are more
// than TOML. What is dumped is read as the same configuration.
#include <cstdint>
#include <cstdlib>

#include "base/bytes.h"
#include "service/config.h"

using namespace keystub;
using namespace keystub::service;
using namespace std::chrono_literals;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

// Every fault is said.
Result<std::string> read(std::string_view text) {
  Config config = TRY(Config::parse(text, "fuzz.toml"));
  static_cast<void>(config.string("a.text", "none"));
  static_cast<void>(config.choice("a.choice", "one", {"one", "two"}));
  static_cast<void>(config.integer("a.number", 1, 0, 10));
  static_cast<void>(config.boolean("a.switch", false));
  static_cast<void>(config.duration("a.time", 1s, 1ms, 24h));
  static_cast<void>(config.size("a.size", 1, 0, 1 << 20));
  static_cast<void>(config.path("a.path", "p"));
  static_cast<void>(config.strings("a.list", {"x"}));
  static_cast<void>(config.optional_address("a.listen"));
  TRY(config.finish());
  return config.dump();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = as_text(Bytes(data, size));
  if (const auto address = parse_socket_address(text)) {
    require(parse_socket_address(address->to_string()).value() == *address);
  }
  static_cast<void>(parse_duration(text));
  static_cast<void>(parse_size(text));

  const auto dump = read(text);
  if (!dump) {
    require(!dump.error().text().empty());
    return 0;
  }
  require(read(*dump).has_value());
  return 0;
}
