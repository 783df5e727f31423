#include "mikey/payload/key_data.h"

namespace keystub::mikey {

KeyDataWalker::KeyDataWalker(ByteReader reader, KemacLayout layout) noexcept
    : reader_(reader),
      next_(reader.at_end()               ? PayloadType::last
            : layout == KemacLayout::keys ? PayloadType::key_data
                                          : PayloadType::id) {}

Result<const KeyDataView*> KeyDataWalker::next() {
  const auto read_next = [this] {
    next_ = static_cast<PayloadType>(reader_.u8("Next payload"));
    if (next_ != PayloadType::key_data && next_ != PayloadType::last) {
      reader_.refuse(reader_.offset(), "a KEMAC holds key data sub-payloads only");
    }
  };
  if (next_ == PayloadType::id) {
    read_next();
    sender_ = decode_id(reader_);
  }
  if (next_ == PayloadType::last) {
    TRY(reader_.finish());
    return nullptr;
  }
  read_next();
  const std::uint8_t type_and_kv = reader_.u8("Type and KV");
  data_ = {};
  data_.type = static_cast<KeyType>(type_and_kv >> 4);
  if (data_.type > KeyType::mpk) reader_.unassigned("key data type", type_and_kv >> 4);
  const std::uint16_t key_length = reader_.u16("Key data len");
  data_.key = reader_.bytes(key_length, "Key data");
  if (has_salt(data_.type)) {
    const std::uint16_t salt_length = reader_.u16("Salt len");
    data_.salt = reader_.bytes(salt_length, "Salt data");
  }
  data_.validity = decode_key_validity(reader_, static_cast<KeyValidity>(type_and_kv & 15));
  TRY(reader_.check());
  return &data_;
}

KeyDataWalker KemacView::plain_keys(std::string_view message, KemacLayout layout) const noexcept {
  ByteReader reader(message, encr_alg == EncrAlg::null ? encr_data : Bytes(), encr_data_offset);
  reader.enter("KEMAC", "RFC 3830 6.13");
  return KeyDataWalker(reader, layout);
}

Result<void> KemacView::check_plain_keys(std::string_view message, KemacLayout layout) const {
  KeyDataWalker walker = plain_keys(message, layout);
  while (TRY(walker.next())) {
  }
  return {};
}

KemacView decode_kemac(ByteReader& reader) {
  KemacView kemac;
  kemac.encr_alg = static_cast<EncrAlg>(reader.u8("Encr alg"));
  const std::uint16_t length = reader.u16("Encr data len");
  kemac.encr_data_offset = reader.offset();
  kemac.encr_data = reader.bytes(length, "Encr data");
  const VerificationView mac = decode_mac(reader, "Mac alg");
  kemac.mac_alg = mac.alg;
  kemac.mac = mac.mac;
  return kemac;
}

void encode_kemac(ByteWriter& writer, const KemacView& kemac) {
  writer.u8(static_cast<std::uint8_t>(kemac.encr_alg));
  writer.u16_length(kemac.encr_data.size(), "Encr data len");
  writer.bytes(kemac.encr_data);
  encode_v(writer, {kemac.mac_alg, kemac.mac});
}

void encode_key_data(ByteWriter& writer, bool last, const KeyDataView& data) {
  writer.u8(static_cast<std::uint8_t>(last ? PayloadType::last : PayloadType::key_data));
  writer.u8(static_cast<std::uint8_t>(static_cast<unsigned>(data.type) << 4 |
                                      static_cast<unsigned>(data.validity.kind)));
  writer.u16_length(data.key.size(), "Key data len");
  writer.bytes(data.key);
  if (has_salt(data.type)) {
    writer.u16_length(data.salt.size(), "Salt len");
    writer.bytes(data.salt);
  }
  encode_key_validity(writer, data.validity);
}

void encode_key_data(ByteWriter& writer, bool last, KeyType type, Bytes key, Bytes salt,
                     Bytes spi) {
  encode_key_data(writer, last, {type, key, salt, {KeyValidity::spi, spi, {}, {}}});
}

}  // namespace keystub::mikey
