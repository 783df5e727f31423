// Any lines as an audit log, and as records: what is chained verifies, goes on after any of its
// lines, and does not verify with an octet changed.
#include <cstdint>
#include <cstdlib>

#include "base/bytes.h"
#include "service/audit_chain.h"

using namespace keystub;
using namespace keystub::service;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = as_text(Bytes(data, size));
  AuditVerifier log;
  AuditVerifier chained;
  AuditChain chain;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));

    const auto added = log.add(line);
    require(added.has_value() || !added.error().text().empty());
    // Not a record: it has a field of the chain.
    if (line.find("\"previous\"") != std::string_view::npos) continue;
    std::string linked = chain.link(line).value();
    linked.pop_back();
    require(chained.add(linked).has_value());
    require(AuditChain::after(linked).value().next() == chain.next());
    AuditVerifier other = chained;
    require(!other.add(linked).has_value());
  }
  return 0;
}
