#include "mikey/keys.h"

#include <algorithm>

namespace keystub::mikey {

bool has_tgk(const std::vector<SessionKey>& keys) noexcept {
  return std::ranges::any_of(keys, [](const SessionKey& key) { return is_tgk(key.type); });
}

Result<KemacKeys> parse_kemac_keys(ByteReader reader) {
  KemacKeys keys;
  KeyDataWalker walker(reader);
  for (;;) {
    const KeyDataView* data = TRY(walker.next());
    if (!data) return keys;
    const Bytes spi = data->validity.spi;
    if (spi.empty()) {
      return walker.malformed("a key without an SPI: every key needs one (RFC 6043 6.2.1)");
    }
    if (data->key.size() < 16) {
      return walker.malformed("a key of " + std::to_string(data->key.size() * 8) +
                              " bits; keys have 128 bits or more (RFC 6043 12.1)");
    }
    if (data->type == KeyType::mpk) {
      if (!keys.session_keys.empty()) {
        return walker.malformed("an MPK after a session key: MPKs come first (RFC 6043 4.2.1.5)");
      }
      if (keys.mpks.empty()) keys.mpk_spi = to_vector(spi);
      keys.mpks.emplace_back(data->key);
    } else {
      const bool known = std::ranges::any_of(
          keys.session_keys, [spi](const SessionKey& key) { return equal(key.spi, spi); });
      if (known) {
        return walker.malformed("two session keys with SPI " + to_hex(spi) +
                                ": a crypto session could not tell them apart");
      }
      keys.session_keys.push_back(
          {data->type, CarriedKey(data->key), SaltKey(data->salt), to_vector(spi)});
    }
  }
}

}  // namespace keystub::mikey
