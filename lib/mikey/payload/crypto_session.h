// The crypto session maps of HDR: SRTP-ID (RFC 3830 6.1.1) and GENERIC-ID (RFC 6043 6.1.1).
#pragma once

#include <optional>
#include <vector>

#include "mikey/payload/item_walker.h"
#include "mikey/types.h"

namespace keystub::mikey {

// One entry of the SRTP-ID map. Its crypto session ID is its place in the map, from 1.
struct SrtpId {
  std::uint8_t policy_no = 0;
  std::uint32_t ssrc = 0;
  std::uint32_t roc = 0;
};

// One block of the GENERIC-ID map on the wire.
struct CryptoSessionView {
  std::uint8_t cs_id = 0;
  ProtType prot_type = ProtType::srtp;
  bool s_flag = false;
  Bytes policies;      // policy numbers, at most 127
  Bytes session_data;  // at most 65535 octets
  Bytes spi;           // at most 255 octets; may be empty in an initial message
};

// An owned crypto session.
struct CryptoSession {
  std::uint8_t cs_id = 1;
  ProtType prot_type = ProtType::tls;
  bool s_flag = false;
  ByteVector policies;
  ByteVector session_data;
  ByteVector spi;

  static CryptoSession from(const CryptoSessionView& view) {
    return {view.cs_id,
            view.prot_type,
            view.s_flag,
            to_vector(view.policies),
            to_vector(view.session_data),
            to_vector(view.spi)};
  }
  CryptoSessionView view() const noexcept {
    return {cs_id, prot_type, s_flag, policies, session_data, spi};
  }

  friend bool operator==(const CryptoSession&, const CryptoSession&) = default;
};

SrtpId decode_srtp_id(ByteReader& reader);
void encode_srtp_id(ByteWriter& writer, const SrtpId& id);
// Refuses SRTP Session Data of another length than its fields have.
CryptoSessionView decode_crypto_session(ByteReader& reader);
void encode_crypto_session(ByteWriter& writer, const CryptoSessionView& session);

using SrtpIdWalker = ItemWalker<decode_srtp_id>;
using CryptoSessionWalker = ItemWalker<decode_crypto_session>;

// The Session Data of an SRTP crypto session.
struct SrtpSessionData {
  std::uint32_t ssrc = 0;
  // Provided together, when the S flag is set.
  struct Position {
    std::uint32_t roc = 0;
    std::uint16_t seq = 0;
  };
  std::optional<Position> position;
};
// `reader` covers exactly the Session Data, which must not be empty.
Result<SrtpSessionData> decode_srtp_session_data(ByteReader reader, bool s_flag);
void encode_srtp_session_data(ByteWriter& writer, const SrtpSessionData& data);

}  // namespace keystub::mikey
