// Payload KEMAC and its key data sub-payloads (RFC 3830 6.2 and 6.13, RFC 6043 6.2).
#pragma once

#include <optional>

#include "mikey/payload/identity.h"
#include "mikey/payload/key_validity.h"
#include "mikey/payload/verification.h"

namespace keystub::mikey {

// A view of one key data sub-payload. The octets are plain text key material: they belong to a
// buffer that is wiped by its owner.
struct KeyDataView {
  KeyType type = KeyType::tgk;
  Bytes key;   // at most 65535 octets
  Bytes salt;  // the same; empty unless has_salt(type)
  KeyValidityView validity;
};

// In the messages whose envelope key protects the KEMAC, the sender's ID comes before the key data
// (RFC 3830 6.2, RFC 4738 3.1).
enum class KemacLayout : std::uint8_t { keys, sender_and_keys };
constexpr KemacLayout kemac_layout(DataType type) noexcept {
  return type == DataType::pk_init || type == DataType::rsa_r_resp ? KemacLayout::sender_and_keys
                                                                   : KemacLayout::keys;
}

// Walks the key data in the plain text of a KEMAC, which may be empty.
class KeyDataWalker {
 public:
  // `reader` covers exactly the plain text.
  explicit KeyDataWalker(ByteReader reader, KemacLayout layout = KemacLayout::keys) noexcept;
  // The next sub-payload, in this walker until it goes on; null after the last one, which must end
  // with the data.
  Result<const KeyDataView*> next();
  // Of KemacLayout::sender_and_keys, after the first next().
  const std::optional<IdentityView>& sender() const noexcept { return sender_; }
  // An error behind the sub-payload that was read last.
  std::unexpected<Error> malformed(std::string text) const {
    return reader_.malformed(std::move(text));
  }

 private:
  ByteReader reader_;
  PayloadType next_;
  std::optional<IdentityView> sender_;
  KeyDataView data_;
};

// A view of a KEMAC payload, encrypted.
struct KemacView {
  EncrAlg encr_alg = EncrAlg::null;
  Bytes encr_data;  // at most 65535 octets
  // A MAC of its own: in RFC 3830 over the message, in MIKEY-TICKET always NULL (RFC 6043 4.2).
  MacAlg mac_alg = MacAlg::null;
  Bytes mac;
  std::size_t encr_data_offset = 0;  // in the message, for errors

  // The key data of a KEMAC that is not encrypted (EncrAlg::null).
  KeyDataWalker plain_keys(std::string_view message,
                           KemacLayout layout = KemacLayout::keys) const noexcept;
  // Walks them; what is encrypted cannot be looked into.
  Result<void> check_plain_keys(std::string_view message,
                                KemacLayout layout = KemacLayout::keys) const;
};

// After the Next Payload octet.
KemacView decode_kemac(ByteReader& reader);
void encode_kemac(ByteWriter& writer, const KemacView& kemac);

// Appends one key data sub-payload, `last` or followed by another.
void encode_key_data(ByteWriter& writer, bool last, const KeyDataView& data);
// With KV = SPI, which MIKEY-TICKET demands (RFC 6043 6.2.1).
void encode_key_data(ByteWriter& writer, bool last, KeyType type, Bytes key, Bytes salt, Bytes spi);

}  // namespace keystub::mikey
