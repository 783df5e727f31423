// Messages: what is accepted, what is refused and why.
#include <gtest/gtest.h>

#include "mikey/key_mgmt_attribute.h"
#include "mikey/message_builder.h"
#include "mikey/ticket.h"
#include "tests/support/vectors.h"

namespace keystub::mikey {
namespace {

using testing::hex;
using testing::Scenario;

// [6043-6.1.1-01] [6043-6.1.1-02]
TEST(MessageParse, FindsEveryPayloadOfTransferInit) {
  const ByteVector octets = Scenario(KEYSTUB_SOURCE_DIR, "m").message("TRANSFER_INIT");
  const Message message = Message::parse(octets).value();
  EXPECT_EQ(message.name(), "TRANSFER_INIT");
  EXPECT_EQ(message.header.prf, PrfFunc::hmac_sha_256);
  EXPECT_EQ(message.header.csb_id, 0x67feae34U);
  EXPECT_TRUE(message.header.v_flag);
  EXPECT_EQ(message.idr_i->text(), "sip:alice@example.com");
  EXPECT_EQ(message.idr_r->text(), "sip:user1@example.com");
  EXPECT_EQ(message.randr_i->size(), 32U);
  EXPECT_FALSE(message.randr_r.has_value());
  EXPECT_EQ(message.v->alg, MacAlg::hmac_sha_256_256);
  const auto sessions = message.header.crypto_sessions("TRANSFER_INIT").value();
  ASSERT_EQ(sessions.size(), 1U);
  EXPECT_EQ(sessions[0].prot_type, ProtType::tls);
  EXPECT_TRUE(sessions[0].policies.empty());
  const TicketPolicy policy = message.ticket->policy.read("TRANSFER_INIT").value();
  EXPECT_EQ(policy.type, k3gppBaseTicket);
  EXPECT_EQ(policy.flags, kMode1ReusableFlags);
  EXPECT_EQ(policy.flags.letters(), "DEFGHIJNO");
  EXPECT_TRUE(policy.names_responder("sip:user1@example.com"));
  EXPECT_FALSE(policy.names_responder("sip:user2@example.com"));
}

TEST(MessageParse, EncodesAPolicyAsItWasRead) {
  for (const char* scenario : {"a", "b", "c", "d", "e", "f", "m", "n"}) {
    const Scenario s(KEYSTUB_SOURCE_DIR, scenario);
    const ByteVector octets = s.message("TRANSFER_INIT");
    const Message message = Message::parse(octets).value();
    ByteWriter writer;
    message.ticket->policy.read("TRANSFER_INIT").value().encode(writer);
    const Bytes body = message.ticket->body;
    EXPECT_EQ(to_hex(writer.view()), to_hex(body.first(writer.size()))) << scenario;
  }
}

Result<Message> parse_hex(const std::string& text, ByteVector& keep) {
  keep = hex(text);
  return Message::parse(keep);
}

// HDR of an Error message with the given next payload; T follows it.
std::string error_header(const std::string& next) { return "0106" + next + "0001020304" + "0001"; }

// [6043-5.4-01]
// [3830-6.1-01]
TEST(MessageParse, SaysWhatIsWrongAndWhere) {
  struct Row {
    std::string octets;
    std::string payload;
    std::size_t offset;
    std::string text;
  };
  const Row rows[] = {
      {"", "HDR", 0, "cut short"},
      {"02", "HDR", 0, "MIKEY version 2"},
      {"011300", "HDR", 2, "data type 19"},
      {error_header("63"), "unassigned", 10, "type 99"},
      {error_header("14"), "Key data", 10, "has no meaning here"},
      {error_header("03") + "0003", "DH", 12, "DH group 3 is unassigned"},
      {error_header("05") + "0004", "T", 12, "TS type 4 is unassigned"},
      {error_header("05") + "0000ed56", "T", 12, "cut short"},
      {error_header("0e") + "00010100051122", "IDR", 15, "cut short"},
      {error_header("09") + "0003", "V", 12, "Auth alg 3"},
      {error_header("0a") + "0000000003" + "000200", "SP", 17, "cut short"},
      {error_header("00"), "HDR", 2, "cannot directly follow"},
      {error_header("04") + "0000", "HDR", 2, "cannot directly follow"},
      {error_header("0c") + "00000000" + "ff", "ERR", 14, "left over"},
      {error_header("09") + "0000", "V", 11, "Auth alg NULL"},
      {"01060500"
       "01020304"
       "01"
       "05",
       "HDR", 10, "map type 5"},
      {"01060500"
       "01020304"
       "01"
       "02"
       "01020000",
       "HDR", 13, "cut short"},
  };
  for (const Row& row : rows) {
    ByteVector keep;
    const auto parsed = parse_hex(row.octets, keep);
    ASSERT_FALSE(parsed.has_value()) << row.octets;
    EXPECT_EQ(parsed.error().category(), Category::malformed) << row.octets;
    EXPECT_EQ(parsed.error().place()->payload, row.payload) << row.octets;
    EXPECT_EQ(parsed.error().place()->offset, row.offset) << parsed.error().describe();
    EXPECT_NE(parsed.error().text().find(row.text), std::string::npos) << parsed.error().text();
  }
}

TEST(MessageParse, RefusesASecondPayloadOfAKindThatOccursOnce) {
  ByteVector keep;
  const auto twice =
      parse_hex(error_header("05") + "0500ed56f2c7cea9e6cb" + "0000ed56f2c7cea9e6cb", keep);
  ASSERT_FALSE(twice.has_value());
  EXPECT_NE(twice.error().text().find("a second T"), std::string::npos);
}

TEST(MessageParse, RefusesAPayloadBehindV) {
  ByteVector keep;
  const std::string mac(40, '1');
  const auto behind = parse_hex(error_header("09") + "0501" + mac + "0000ed56f2c7cea9e6cb", keep);
  ASSERT_FALSE(behind.has_value());
  EXPECT_NE(behind.error().text().find("V must be the last"), std::string::npos);
}

TEST(MessageParse, KeepsUnassignedValuesThatDecideNoLength) {
  ByteVector keep;
  // IDR with ID role 200 and ID type 77, RANDR with role 9.
  const auto parsed = parse_hex(error_header("0e") + "0fc84d0001aa" + "000904deadbeef", keep);
  ASSERT_TRUE(parsed.has_value()) << parsed.error().describe();
}

// [6043-6.3-02] [3830-6.6-01]
TEST(Timestamp, PadsToSixtyFourBitsByItsType) {
  EXPECT_EQ((Timestamp{TsType::ntp_utc_32, 0xED56F2C7}).as_64_bits(), 0xED56F2C700000000U);
  EXPECT_EQ((Timestamp{TsType::counter, 7}).as_64_bits(), 7U);
  EXPECT_EQ((Timestamp{TsType::ntp_utc, 0x0102030405060708}).as_64_bits(), 0x0102030405060708U);
}

// [6043-6.10-42] [6043-5.1.3-09]
TEST(TicketFlags, ObeyTheDependenciesOfClause610) {
  for (const TicketFlags good :
       {kMode1Flags, kMode1ReusableFlags, kMode3Flags, kMode3ReusableFlags}) {
    EXPECT_TRUE(good.check().has_value()) << good.letters();
    EXPECT_EQ(TicketFlags::from_letters(good.letters()).value(), good);
  }
  EXPECT_EQ(TicketFlags::from_letters("DEZ").error().text(),
            "'Z' is not a ticket flag; flags are D to O");
  EXPECT_EQ(kMode1Flags.letters(), "DEFGHINO");
  EXPECT_EQ(kMode3Flags.letters(), "EFGHILNO");
  for (const char* bad : {"EFGHINO", "DEGHINO", "DEFINO", "DFGHINO", "EFGHIKLNO", "DHMNO"}) {
    const auto result = TicketFlags::from_letters(bad).value().check();
    ASSERT_FALSE(result.has_value()) << bad;
    EXPECT_EQ(result.error().mikey_error_no(), static_cast<std::uint8_t>(ErrorNo::invalid_tppar));
  }
}

// [6043-6.10-44]
TEST(TicketPolicy, IsValidFromTrsToTre) {
  using namespace std::chrono_literals;
  TicketPolicy policy;
  const WallTime start = from_ntp(0xED56F2C500000000);
  policy.trs = Timestamp::from(start, TsType::ntp_utc_32);
  policy.tre = Timestamp::from(start + 24h, TsType::ntp_utc_32);
  EXPECT_FALSE(policy.check_valid_at(start - 1s).has_value());
  EXPECT_TRUE(policy.check_valid_at(start).has_value());
  EXPECT_TRUE(policy.check_valid_at(start + 24h).has_value());
  EXPECT_FALSE(policy.check_valid_at(start + 24h + 1s).has_value());
}

TEST(Identity, PatternsNameLiterallyByDomainOrAnybody) {
  EXPECT_TRUE(names("sip:bob@example.com", "sip:bob@example.com"));
  EXPECT_FALSE(names("sip:bob@example.com", "sip:bob@example.org"));
  EXPECT_TRUE(names("*", "tel:+1555"));
  EXPECT_TRUE(names("sip:*@example.com", "sip:bob@example.com"));
  EXPECT_FALSE(names("sip:*@example.com", "sip:@example.com"));
  EXPECT_FALSE(names("sip:*@example.com", "sip:bob@evil@example.com"));
  EXPECT_FALSE(names("sip:*@example.com", "sips:bob@example.com"));
  EXPECT_FALSE(names("sip:*@example.com", "sip:bob@sub.example.com"));
}

// [6043-6.2.1-02] [6043-12.1-04] [3830-4.5-06] [3830-A.1-01] [3830-6.14-01]
// [3830-A.1-02]
TEST(KemacKeys, RefuseWhatTheExchangesCannotUse) {
  struct Row {
    const char* octets;
    const char* reason;
  };
  const Row rows[] = {
      {"000000100102030405060708090a0b0c0d0e0f10", "SPI"},                      // KV NULL
      {"000100100102030405060708090a0b0c0d0e0f1000", "SPI"},                    // empty SPI
      {"000200100102030405060708090a0b0c0d0e0f1004000000010400000002", "SPI"},  // interval
      {"0001000801020304050607080401020304", "128 bits"},                       // 64-bit key
      {"007100100102030405060708090a0b0c0d0e0f100101", "unassigned"},           // type 7
      {"000300100102030405060708090a0b0c0d0e0f10", "KV type 3"},
      {"050100100102030405060708090a0b0c0d0e0f100101", "key data"},  // T inside a KEMAC
      {"000100100102030405060708090a0b0c0d0e0f10010199", "left over"},
      // A TGK, then another key with its SPI, or an MPK.
      {"140100100102030405060708090a0b0c0d0e0f100105"
       "000100100102030405060708090a0b0c0d0e0f100105",
       "two session keys with SPI 05"},
      {"140100100102030405060708090a0b0c0d0e0f100105"
       "006100100102030405060708090a0b0c0d0e0f100106",
       "an MPK after a session key"},
  };
  for (const Row& row : rows) {
    const ByteVector octets = hex(row.octets);
    const auto keys = parse_kemac_keys(ByteReader("test", octets));
    ASSERT_FALSE(keys.has_value()) << row.octets;
    EXPECT_NE(keys.error().text().find(row.reason), std::string::npos) << keys.error().text();
  }
}

// MRFC-I4
// [3830-7-01]
TEST(KeyMgmt, CarriesAMessageInAnSdpAttribute) {
  const ByteVector octets = Scenario(KEYSTUB_SOURCE_DIR, "m").message("TRANSFER_INIT");
  const std::string value = format_key_mgmt(octets);
  EXPECT_TRUE(value.starts_with("mikey AQ4F"));
  const KeyMgmt read = read_key_mgmt({value, "keyp1 abc"}).value();
  EXPECT_EQ(read.message, octets);
  EXPECT_EQ(read.protocol_list, "mikey;keyp1");
  EXPECT_EQ(read_key_mgmt({" " + value}).value().message, octets);
}

TEST(KeyMgmt, RefusesWhatItCannotRead) {
  EXPECT_FALSE(read_key_mgmt({}).has_value());
  EXPECT_FALSE(read_key_mgmt({"mikey"}).has_value());
  EXPECT_FALSE(read_key_mgmt({"mikey AQ4"}).has_value());
  EXPECT_FALSE(read_key_mgmt({"keyp1 AAAA"}).has_value());
  EXPECT_FALSE(read_key_mgmt({"mikey AAAA", "mikey AAAA"}).has_value());
}

// MRFC-I4: a differing list is refused, a missing one accepted.
TEST(KeyMgmt, ComparesTheAuthenticatedProtocolList) {
  const auto build = [](std::string_view list) {
    MessageBuilder builder(DataType::transfer_init, true, PrfFunc::hmac_sha_256, 1);
    builder.t({TsType::counter, 1});
    if (!list.empty()) builder.ext(ExtType::sdp_ids, as_bytes(list));
    return std::move(builder).end_without_v().value();
  };
  const ByteVector with_list = build("mikey");
  const ByteVector without_list = build("");
  EXPECT_TRUE(check_sdp_ids(Message::parse(with_list).value(), "mikey").has_value());
  EXPECT_FALSE(check_sdp_ids(Message::parse(with_list).value(), "mikey;keyp1").has_value());
  EXPECT_TRUE(check_sdp_ids(Message::parse(without_list).value(), "mikey").has_value());
}

}  // namespace
}  // namespace keystub::mikey
