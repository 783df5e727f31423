// Any text as the values of a=key-mgmt lines, one per line.
#include <cstdint>
#include <cstdlib>

#include "mikey/key_mgmt_attribute.h"

using namespace keystub;
using namespace keystub::mikey;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = as_text(Bytes(data, size));
  std::vector<std::string_view> values;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    values.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  if (const auto read = read_key_mgmt(values)) {
    const std::string written = format_key_mgmt(read->message);
    const std::vector<std::string_view> again{written};
    if (read_key_mgmt(again).value().message != read->message) std::abort();
  }
  return 0;
}
