#include "mikey/payload/extension.h"

namespace keystub::mikey {

KeyIdWalker ExtensionView::key_ids(std::string_view message) const noexcept {
  ByteReader reader(message, type == ExtType::key_id ? data : Bytes(), data_offset);
  reader.enter("General Ext.", "RFC 4563 4");
  return KeyIdWalker(reader);
}

ExtensionView decode_ext(ByteReader& reader) {
  ExtensionView extension;
  extension.type = static_cast<ExtType>(reader.u8("Type"));
  const std::uint16_t length = reader.u16("Length");
  extension.data_offset = reader.offset();
  ByteReader data = reader.sub_reader(length, "Data");
  extension.data = data.rest();
  if (extension.type == ExtType::key_id) {
    while (!data.at_end()) decode_type_length_value(data);
    reader.fail_as(data);
  }
  return extension;
}

void encode_ext(ByteWriter& writer, const ExtensionView& extension) {
  writer.u8(static_cast<std::uint8_t>(extension.type));
  writer.u16_length(extension.data.size(), "Length");
  writer.bytes(extension.data);
}

}  // namespace keystub::mikey
