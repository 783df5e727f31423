// Any octets as the plain text of a KEMAC: what is read is written to the same octets.
#include <cstdint>
#include <cstdlib>

#include "mikey/protection.h"

using namespace keystub;
using namespace keystub::mikey;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes octets(data, size);
  const auto keys = parse_kemac_keys(ByteReader("KEMAC", octets));
  if (keys && keys->mpks.empty()) {
    const PlainKeyData plain = encode_kemac_keys({}, {}, keys->session_keys);
    if (!equal(plain.bytes(), octets)) std::abort();
  }
  return 0;
}
