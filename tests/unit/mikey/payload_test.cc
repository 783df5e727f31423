// Every payload: decoded, encoded again to the same octets, refused when it is cut short; and that
// decoding does not allocate.
#include <gtest/gtest.h>

#include <algorithm>

#include "mikey/message_builder.h"
#include "mikey/ticket.h"
#include "tests/support/allocation_counter.h"
#include "tests/support/vectors.h"

namespace keystub::mikey {
namespace {

using testing::hex;
using testing::Scenario;

constexpr const char* kMessages[] = {"REQUEST_INIT", "REQUEST_RESP", "TRANSFER_INIT",
                                     "RESOLVE_INIT", "RESOLVE_RESP", "TRANSFER_RESP"};

// RFC 3830 3.1: HDR with an SRTP-ID map of two, T, RAND, IDi, IDr, SP, KEMAC. The keys are in plain
// text, the MAC is inside KEMAC.
const std::string kPresharedKeyMessage =
    "010005000000002a0200"
    "00aabbccdd00000000"
    "010011223300000005"
    "0b00ed56f2c7cea9e6cb"
    "0610000102030405060708090a0b0c0d0e0f"
    "060100157369703a616c696365406578616d706c652e636f6d"
    "0a0100137369703a626f62406578616d706c652e636f6d"
    "010000000c0001010101100201010b010a"
    "00000035"
    "14110010101112131415161718191a1b1c1d1e1f000e202122232425262728292a2b2c2d0401020304"
    "002200043031323301400150"
    "01a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3";

// RFC 3830 3.2: the sender's ID before the key data of KEMAC; PKE; SIGN at the end.
const std::string kPublicKeyMessage =
    "010205000000002a0001"
    "0b0200000001"
    "0104a0a1a2a3"
    "02000011140000056140622e6300000004deadbeef00"
    "044003010203"
    "100401020304";

// RFC 4563: the Empty map and key IDs.
const std::string kMessageOfMbms =
    "01001500000000070001"
    "0503000d00030102030104a0a1a2a30200"
    "0b0200000001"
    "0104a0a1a2a3"
    "000100041122334402000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

// One example of a payload: its fields, behind Next Payload.
struct Example {
  PayloadType type;
  std::string fields;

  std::size_t field_octets() const { return fields.size() / 2; }
  // A message with nothing else in it, cut short by `missing` octets.
  ByteVector message(std::size_t missing = 0) const {
    ByteVector octets;
    if (type == PayloadType::sign) {  // cannot directly follow the header: after T
      octets = hex("01060500010203040001040200000001" + fields);
    } else {
      octets = hex("0106000001020304000100" + fields);
      octets[2] = static_cast<std::uint8_t>(type);
    }
    octets.resize(octets.size() - missing);
    return octets;
  }
};

const std::string kMac160(40, 'a');
const std::string kMac256(64, 'b');
// IDRkms, IDRr, TRs; flags and reserved bits in both halves of their octets.
const std::string kTicketPolicy = "0002010103f0e100140e0e030100016b0d0201000162000203ed56f2c7";

const std::vector<Example>& examples() {
  static const std::vector<Example> kExamples = {
      {PayloadType::kemac, "0100040102030401" + kMac160},
      {PayloadType::kemac, "03000000"},
      {PayloadType::kemac, "00000900100002414200014302" + kMac256},
      {PayloadType::pke, "8003010203"},
      {PayloadType::dh, "00" + std::string(384, '1') + "70"},
      {PayloadType::dh, "01" + std::string(192, '2') + "010411223344"},
      {PayloadType::dh, "02" + std::string(256, '3') + "0202010203030405"},
      {PayloadType::sign, "1003010203"},
      {PayloadType::t, "00ed56f2c7cea9e6cb"},
      {PayloadType::t, "01ed56f2c7cea9e6cb"},
      {PayloadType::t, "0200000007"},
      {PayloadType::t, "03ed56f2c7"},
      {PayloadType::id, "0000056140622e63"},
      {PayloadType::cert, "01000a687474703a2f2f612e62"},
      {PayloadType::chash, "00" + kMac160},
      {PayloadType::chash, "01" + std::string(32, 'c')},
      {PayloadType::chash, "02" + kMac256},
      {PayloadType::v, "01" + kMac160},
      {PayloadType::v, "02" + kMac256},
      {PayloadType::sp, "070000080001010101100300"},
      {PayloadType::rand, "03010203"},
      {PayloadType::err, "0e0001"},
      {PayloadType::tr, "0400ed56f2c7cea9e6cb"},
      {PayloadType::idr, "05020003617070"},
      {PayloadType::randr, "0302aabb"},
      {PayloadType::tp, kTicketPolicy},
      {PayloadType::ticket, kTicketPolicy + "0004010203040000"},
      {PayloadType::ticket, kTicketPolicy + "000401020304002d090901" + kMac160 + "0001" + kMac160},
      {PayloadType::ext, "0000020102"},
      {PayloadType::ext, "01000b6d696b65793b6b65797031"},
      {PayloadType::ext, "0300070001aa0202bbcc"},
  };
  return kExamples;
}

TEST(EveryPayload, HasAnExample) {
  for (int type = 1; type < 256; ++type) {
    const auto payload = static_cast<PayloadType>(type);
    const bool has_example = std::ranges::any_of(
        examples(), [payload](const Example& example) { return example.type == payload; });
    EXPECT_EQ(has_example, !clause_of(payload).empty()) << type;
  }
}

TEST(EveryPayload, IsEncodedAsItWasDecoded) {
  for (const Example& example : examples()) {
    const ByteVector octets = example.message();
    const auto message = Message::parse(octets);
    ASSERT_TRUE(message.has_value()) << message.error().describe();
    MessageBuilder builder(message->header);
    PayloadType last = PayloadType::last;
    PayloadWalker walker = message->payloads();
    while (const auto payload = walker.next().value()) {
      builder.payload(payload->value);
      EXPECT_EQ(type_of(payload->value), payload->type);
      last = payload->type;
    }
    EXPECT_EQ(last, example.type);
    EXPECT_EQ(to_hex(std::move(builder).end_without_v().value()), to_hex(octets));
  }
}

TEST(EveryPayload, SaysWhereItIsCutShort) {
  for (const Example& example : examples()) {
    for (std::size_t missing = 1; missing <= example.field_octets(); ++missing) {
      const ByteVector octets = example.message(missing);
      const auto message = Message::parse(octets);
      ASSERT_FALSE(message.has_value()) << to_hex(octets);
      const Error& error = message.error();
      EXPECT_NE(error.text().find("cut short"), std::string::npos) << error.describe();
      EXPECT_EQ(error.place()->message, "Error message");
      EXPECT_EQ(error.place()->payload, name_of(example.type)) << to_hex(octets);
      EXPECT_EQ(error.place()->clause, clause_of(example.type)) << to_hex(octets);
      EXPECT_GE(error.place()->offset, 10U);
      EXPECT_LE(error.place()->offset, octets.size());
    }
  }
}

TEST(EveryPayload, SaysWhichInnerLengthIsWrong) {
  struct Row {
    Example example;
    std::string payload;
    std::size_t offset;
    std::string text;
  };
  const Row rows[] = {
      {{PayloadType::sp, "00000003000200"}, "SP", 17, "Value"},
      {{PayloadType::ext, "0300030002aa"}, "General Ext.", 16, "Value"},
      {{PayloadType::dh, "03"}, "DH", 12, "DH group 3 is unassigned"},
      {{PayloadType::dh, "01" + std::string(192, '2') + "03"}, "DH", 109, "KV type 3"},
      {{PayloadType::kemac, "0000060000000341420000"}, "KEMAC", 18, "Key data"},
      {{PayloadType::kemac, "0000040070000000"}, "KEMAC", 16, "key data type 7"},
      {{PayloadType::kemac, "0000010500"}, "KEMAC", 15, "key data sub-payloads only"},
      {{PayloadType::kemac, "00000003"}, "KEMAC", 15, "Mac alg 3"},
      {{PayloadType::chash, "03"}, "CHASH", 12, "hash function 3"},
      {{PayloadType::tp, "0002010103f0e100060e0002010003"}, "IDR", 26, "cut short"},
      {{PayloadType::tp, "0002010103f0e10000"}, "TP Data", 20, "First Payload"},
      {{PayloadType::tp, "0002010103f0e100020063"}, "TP Data", 21, "left over"},
      {{PayloadType::ticket, "0002010103f0e100010000000003090002"}, "V", 28, "cut short"},
  };
  for (const Row& row : rows) {
    const ByteVector octets = row.example.message();
    const auto message = Message::parse(octets);
    ASSERT_FALSE(message.has_value()) << row.example.fields;
    const Error& error = message.error();
    EXPECT_EQ(error.place()->payload, row.payload) << error.describe();
    EXPECT_EQ(error.place()->offset, row.offset) << error.describe();
    EXPECT_NE(error.text().find(row.text), std::string::npos) << error.describe();
  }
}

TEST(MessageBuilder, RefusesAValueThatIsTooLongForItsLength) {
  const ByteVector octets(70000, 0x41);
  const Bytes all = octets;
  struct Row {
    PayloadValue value;
    std::string field;
  };
  const Row rows[] = {
      {IdentityView{IdType::uri, all}, "ID len"},
      {RoleIdentity{IdRole::psk, {IdType::byte_string, all}}, "ID len"},
      {CertificateView{CertType::x509v3, all}, "Cert len"},
      {EnvelopeView{EnvelopeCache::no_cache, all.first(16384)}, "Data len"},
      {SignatureView{SignatureType::rsa_pss, all.first(4096)}, "Signature len"},
      {RandView{all.first(256)}, "RAND length"},
      {RoleRandView{RandRole::kms, all.first(256)}, "RAND length"},
      {KemacView{EncrAlg::null, all, MacAlg::null, {}}, "Encr data len"},
      {SecurityPolicyView{0, ProtType::srtp, all}, "Policy param length"},
      {ExtensionView{ExtType::vendor_id, all}, "Length"},
  };
  for (const Row& row : rows) {
    MessageBuilder builder(DataType::error, false, PrfFunc::mikey_1, 1);
    const auto message = std::move(builder.payload(row.value)).end_without_v();
    ASSERT_FALSE(message.has_value()) << row.field;
    EXPECT_NE(message.error().text().find(row.field), std::string::npos)
        << message.error().describe();
  }
}

TEST(MessageBuilder, BuildsTheSignedMessagesOfThePublicKeyVariants) {
  const ByteVector certificate(300, 0x30);
  const ByteVector hash(32, 0xaa);
  const ByteVector envelope(256, 0xbb);
  const ByteVector signature(384, 0xcc);
  MessageBuilder builder(DataType::request_init_pk, true, PrfFunc::hmac_sha_256, 7);
  builder.cert(CertType::x509v3, certificate)
      .chash(HashFunc::sha_256, hash)
      .pke(EnvelopeCache::no_cache, envelope);
  const ByteVector covered = to_vector(builder.begin_sign(SignatureType::rsa_pss, 384));
  const ByteVector octets = std::move(builder).end_sign(signature).value();
  const Message message = Message::parse(octets).value();
  EXPECT_EQ(message.chash->hash, HashFunc::sha_256);
  EXPECT_TRUE(equal(message.chash->value, hash));
  EXPECT_TRUE(equal(message.pke->data, envelope));
  EXPECT_EQ(message.sign->type, SignatureType::rsa_pss);
  EXPECT_TRUE(equal(message.sign->data, signature));
  EXPECT_TRUE(equal(message.without_signature(), covered));
  PayloadWalker walker = message.payloads();
  const Payload cert = *walker.next().value();
  EXPECT_TRUE(equal(std::get<CertificateView>(cert.value).data, certificate));
}

TEST(MessageParse, ReadsThePresharedKeyMethod) {
  const ByteVector octets = hex(kPresharedKeyMessage);
  const Message message = Message::parse(octets).value();
  EXPECT_EQ(message.name(), "Pre-shared");
  EXPECT_EQ(message.rand->size(), 16U);
  EXPECT_EQ(message.kemac->mac_alg, MacAlg::hmac_sha_1_160);
  EXPECT_FALSE(message.v.has_value());

  SrtpIdWalker srtp_ids = message.header.srtp_ids(message.name());
  const SrtpId first = *srtp_ids.next().value();
  const SrtpId second = *srtp_ids.next().value();
  EXPECT_EQ(first.ssrc, 0xaabbccddU);
  EXPECT_EQ(second.policy_no, 1U);
  EXPECT_EQ(second.ssrc, 0x00112233U);
  EXPECT_EQ(second.roc, 5U);
  EXPECT_EQ(srtp_ids.next().value(), nullptr);

  KeyDataWalker keys = message.kemac->plain_keys(message.name());
  const KeyDataView tgk = *keys.next().value();
  EXPECT_EQ(tgk.type, KeyType::tgk_salt);
  EXPECT_EQ(tgk.salt.size(), 14U);
  EXPECT_EQ(to_hex(tgk.validity.spi), "01020304");
  const KeyDataView tek = *keys.next().value();
  EXPECT_EQ(tek.type, KeyType::tek);
  EXPECT_EQ(tek.validity.kind, KeyValidity::interval);
  EXPECT_EQ(to_hex(tek.validity.valid_from), "40");
  EXPECT_EQ(to_hex(tek.validity.valid_to), "50");
  EXPECT_EQ(keys.next().value(), nullptr);

  PayloadWalker payloads = message.payloads();
  std::string names;
  while (const auto payload = payloads.next().value()) {
    names.append(name_of(payload->type)).append(" ");
    if (const auto* sp = std::get_if<SecurityPolicyView>(&payload->value)) {
      SecurityParameterWalker parameters = sp->walk(message.name());
      const TypeLengthValue encr_alg = *parameters.next().value();
      EXPECT_EQ(name_of(static_cast<SrtpParameter>(encr_alg.type)), "Encryption algorithm");
      EXPECT_EQ(name_of_choice(SrtpParameter::encr_alg, encr_alg.value[0]), "AES-CM");
    }
  }
  EXPECT_EQ(names, "T RAND ID ID SP KEMAC ");
}

TEST(MessageParse, ReadsThePublicKeyMethod) {
  const ByteVector octets = hex(kPublicKeyMessage);
  const Message message = Message::parse(octets).value();
  EXPECT_EQ(message.pke->cache, EnvelopeCache::cache);
  EXPECT_EQ(message.sign->type, SignatureType::rsa_pss);
  KeyDataWalker keys = message.kemac->plain_keys(message.name(), KemacLayout::sender_and_keys);
  EXPECT_EQ(to_hex(keys.next().value()->key), "deadbeef");
  EXPECT_EQ(keys.sender()->text(), "a@b.c");
}

// RFC 4563 4 and 5
TEST(MessageParse, ReadsTheKeyIdsOfMbms) {
  const ByteVector octets = hex(kMessageOfMbms);
  const Message message = Message::parse(octets).value();
  PayloadWalker payloads = message.payloads();
  const Payload payload = *payloads.next().value();
  KeyIdWalker key_ids = std::get<ExtensionView>(payload.value).key_ids(message.name());
  std::string text;
  while (const auto key_id = key_ids.next().value()) {
    text.append(name_of(static_cast<KeyIdType>(key_id->type)));
    text += "=" + to_hex(key_id->value) + ";";
  }
  EXPECT_EQ(text, "MBMS Key Domain ID=010203;MBMS Service Key ID=a0a1a2a3;MBMS Traffic Key ID=;");
}

// RFC 6043 6.1.1
TEST(GenericIdMap, HoldsTheSessionDataOfSrtp) {
  const CryptoSession bare{1, ProtType::srtp, false, {0}, hex("aabbccdd"), {9}};
  const CryptoSession running{2, ProtType::srtp, true, {0, 1}, hex("aabbccdd000000010203"), {}};
  const CryptoSession tls{3, ProtType::tls, true, {}, hex("00"), {7, 7}};
  MessageBuilder builder(DataType::transfer_init, false, PrfFunc::mikey_1, 1, {bare, running, tls});
  builder.t({TsType::counter, 1});
  const ByteVector octets = std::move(builder).end_without_v().value();
  const Message message = Message::parse(octets).value();
  EXPECT_EQ(message.header.crypto_sessions(message.name()).value(),
            (std::vector{bare, running, tls}));
  const SrtpSessionData data =
      decode_srtp_session_data(ByteReader("test", running.session_data), running.s_flag).value();
  EXPECT_EQ(data.ssrc, 0xaabbccddU);
  EXPECT_EQ(data.position->roc, 1U);
  EXPECT_EQ(data.position->seq, 0x0203U);
  ByteWriter again;
  encode_srtp_session_data(again, data);
  EXPECT_TRUE(equal(again.view(), running.session_data));
}

TEST(GenericIdMap, RefusesSrtpSessionDataThatContradictTheSFlag) {
  for (const std::size_t octets_of_data : {1U, 4U, 11U}) {
    const CryptoSession session{1, ProtType::srtp, true, {0}, ByteVector(octets_of_data), {9}};
    MessageBuilder builder(DataType::transfer_init, false, PrfFunc::mikey_1, 1, {session});
    builder.t({TsType::counter, 1});
    const ByteVector octets = std::move(builder).end_without_v().value();
    const auto message = Message::parse(octets);
    ASSERT_FALSE(message.has_value());
    EXPECT_EQ(message.error().place()->payload, "HDR");
    EXPECT_EQ(message.error().place()->offset, 16U);
  }
}

// Adds up what it reads, so that every field is touched.
class Visitor {
 public:
  explicit Visitor(std::string_view message) noexcept : message_(message) {}

  std::size_t sum() const noexcept { return sum_; }

  void walk(PayloadWalker walker) {
    while (const auto payload = walker.next().value()) {
      sum_ += payload->offset + payload->bytes.size();
      std::visit(*this, payload->value);
    }
  }
  void walk(const Header& header) {
    SrtpIdWalker srtp_ids = header.srtp_ids(message_);
    while (const auto id = srtp_ids.next().value()) sum_ += id->ssrc + id->roc + id->policy_no;
    CryptoSessionWalker sessions = header.crypto_session_views(message_);
    while (const auto session = sessions.next().value()) {
      sum_ += session->spi.size() + session->policies.size() + session->session_data.size();
    }
  }

  void operator()(const SecurityPolicyView& policy) {
    SecurityParameterWalker parameters = policy.walk(message_);
    while (const auto parameter = parameters.next().value()) sum_ += parameter->value.size();
  }
  void operator()(const ExtensionView& extension) {
    KeyIdWalker key_ids = extension.key_ids(message_);
    while (const auto key_id = key_ids.next().value()) sum_ += key_id->value.size();
  }
  void operator()(const KemacView& kemac) {
    KeyDataWalker keys = kemac.plain_keys(message_);
    while (const auto data = keys.next().value()) {
      sum_ += data->key.size() + data->salt.size() + data->validity.spi.size() +
              data->validity.valid_from.size() + data->validity.valid_to.size();
    }
  }
  void operator()(const TicketPolicyView& policy) { walk(policy.payloads(message_)); }
  void operator()(const TicketView& ticket) {
    (*this)(ticket.policy);
    sum_ += parse_ticket_data(ticket, message_).value().kemac.encr_data.size();
    if (!ticket.initiator_data.empty()) walk(ticket.initiator_payloads(message_));
  }
  template <class Other>
  void operator()(const Other&) {}

 private:
  std::string_view message_;
  std::size_t sum_ = 0;
};

TEST(MessageParse, AllocatesNothingWhileEveryPayloadParameterAndKeyFieldIsVisited) {
  std::vector<ByteVector> messages = {hex(kPresharedKeyMessage), hex(kMessageOfMbms)};
  for (const char* scenario : {"b", "c", "k", "m"}) {
    const Scenario s(KEYSTUB_SOURCE_DIR, scenario);
    for (const char* name : kMessages) messages.push_back(s.message(name));
  }
  for (const ByteVector& octets : messages) {
    testing::AllocationCounter counter;
    const auto message = Message::parse(octets);
    Visitor visitor(message->name());
    visitor.walk(message->header);
    visitor.walk(message->payloads());
    const std::size_t allocations = counter.stop();
    EXPECT_TRUE(message.has_value());
    EXPECT_GT(visitor.sum(), octets.size());
    EXPECT_EQ(allocations, 0U) << message->name();
  }
}

}  // namespace
}  // namespace keystub::mikey
