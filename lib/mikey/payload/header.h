// Payload HDR: the common header (RFC 3830 6.1, RFC 4563 5, RFC 6043 6.1).
#pragma once

#include "mikey/payload/crypto_session.h"

namespace keystub::mikey {

struct Header {
  DataType data_type = DataType::error;
  PayloadType next_payload = PayloadType::last;
  bool v_flag = false;
  PrfFunc prf = PrfFunc::mikey_1;
  std::uint32_t csb_id = 0;
  std::uint8_t cs_count = 0;
  CsIdMapType map_type = CsIdMapType::empty;
  Bytes map_info;
  std::size_t map_info_offset = 0;  // in the message, for errors

  // The crypto sessions of an SRTP-ID map and of a GENERIC-ID map; none for another map type.
  SrtpIdWalker srtp_ids(std::string_view message) const noexcept;
  CryptoSessionWalker crypto_session_views(std::string_view message) const noexcept;
  // Those of a GENERIC-ID map, owned.
  Result<std::vector<CryptoSession>> crypto_sessions(std::string_view message) const;
};

// Refuses another version, an unassigned data type, and a map whose length cannot be known or
// does not go with #CS. From here on `reader` knows the name of the message.
Result<Header> decode_header(ByteReader& reader);
void encode_header(ByteWriter& writer, const Header& header);

}  // namespace keystub::mikey
