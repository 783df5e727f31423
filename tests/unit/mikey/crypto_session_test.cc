// The crypto sessions of a GENERIC-ID map on the wire (RFC 6043 6.1.1).
#include <gtest/gtest.h>

#include "mikey/payload/crypto_session.h"
#include "tests/support/vectors.h"

namespace keystub::mikey {
namespace {

using testing::hex;

Result<CryptoSessionView> decode(const ByteVector& octets) {
  ByteReader reader("test", octets);
  const CryptoSessionView session = decode_crypto_session(reader);
  TRY(reader.finish());
  return session;
}

std::string encoded(const CryptoSessionView& session) {
  ByteWriter writer;
  encode_crypto_session(writer, session);
  return to_hex(writer.view());
}

// [6043-6.1.1-01] [6043-6.1.1-02] [6043-6.1.1-03] [6043-6.1.1-10] [6043-6.1.1-15]
TEST(CryptoSessionMap, PsSessionDataAndSpiMayBeEmpty) {
  const std::string octets =
      "05"
      "00"
      "00"
      "0000"
      "00";
  const ByteVector bytes = hex(octets);
  const CryptoSessionView session = decode(bytes).value();
  EXPECT_EQ(session.cs_id, 5);
  EXPECT_EQ(session.prot_type, ProtType::srtp);
  EXPECT_TRUE(session.policies.empty());
  EXPECT_TRUE(session.session_data.empty());
  EXPECT_TRUE(session.spi.empty());
  EXPECT_EQ(encoded(session), octets);
}

// [6043-6.1.1-04] [6043-6.1.1-09]
TEST(CryptoSessionMap, HoldsAsManyPoliciesAsItSaysAndTheSFlag) {
  const std::string octets =
      "01"
      "00"
      "83"
      "070809"
      "000a"
      "01020304"
      "00000002"
      "0003"
      "02"
      "abcd";
  const ByteVector bytes = hex(octets);
  const CryptoSessionView session = decode(bytes).value();
  EXPECT_TRUE(session.s_flag);
  EXPECT_EQ(to_hex(session.policies), "070809");
  EXPECT_EQ(session.session_data.size(), 10U);
  EXPECT_EQ(to_hex(session.spi), "abcd");
  EXPECT_EQ(encoded(session), octets);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)}))
        << size;
  }
  ByteWriter writer;
  const ByteVector too_many(128);
  encode_crypto_session(writer, {.policies = too_many, .session_data = {}, .spi = {}});
  EXPECT_FALSE(std::move(writer).finish().has_value());
}

// [6043-6.1.1-12] [6043-6.1.1-13] [6043-6.1.1-14]
TEST(CryptoSessionMap, SrtpSessionDataIsTheSsrcAndWithSRocAndSeq) {
  const ByteVector ssrc_only = hex("00000000");
  const auto without = decode_srtp_session_data(ByteReader("test", ssrc_only), false).value();
  EXPECT_EQ(without.ssrc, 0U) << "0 has no special meaning here";
  EXPECT_FALSE(without.position.has_value());
  const ByteVector all =
      hex("01020304"
          "00000005"
          "0006");
  const auto with = decode_srtp_session_data(ByteReader("test", all), true).value();
  EXPECT_EQ(with.ssrc, 0x01020304U);
  EXPECT_EQ(with.position->roc, 5U);
  EXPECT_EQ(with.position->seq, 6U);
  EXPECT_FALSE(decode_srtp_session_data(ByteReader("test", ssrc_only), true).has_value());
  EXPECT_FALSE(decode_srtp_session_data(ByteReader("test", all), false).has_value());
  for (const auto& [data, octets] : {std::pair{without, ssrc_only}, std::pair{with, all}}) {
    ByteWriter writer;
    encode_srtp_session_data(writer, data);
    EXPECT_EQ(to_hex(writer.view()), to_hex(octets));
  }
}

}  // namespace
}  // namespace keystub::mikey
