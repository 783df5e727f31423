// Ticket Policy and base ticket by themselves: what they hold, how they are protected, how long
// they are valid (RFC 6043 6.10 and appendix A). docs/compliance.md says which rule is tested
// where.
#include "mikey/message_builder.h"
#include "mikey/payload/bare_ticket.h"
#include "mikey/payload/ticket_header.h"
#include "mikey/protection.h"
#include "tests/unit/mikey/exchanges.h"
#include "tests/unit/mikey/refused.h"

namespace keystub::mikey {
namespace {

using namespace std::chrono_literals;

class Tickets : public Exchanges {
 protected:
  TicketPolicy granted_policy() const {
    TicketPolicy policy = wish();
    policy.keys.clear();
    return policy;
  }
  TicketKeys keys() {
    return make_ticket_keys(random_, kSuite256, {{KeyType::tgk, 32, 0, {1, 2, 3, 4}}}, 32).value();
  }
  Timestamp now() const { return {TsType::ntp_utc, clock_.ntp_now()}; }

  // The body of a sealed ticket as a TICKET payload reads it.
  static TicketView view(const ByteVector& payload) {
    ByteReader reader("ticket", payload);
    return decode_ticket(reader);
  }
  static ByteVector payload(ByteVector body) {
    body.insert(body.end(), {0, 0});  // no Initiator Data
    return body;
  }
  static Result<OpenedTicket> open(const ByteVector& payload, const Prepared<Tpk>& tpk) {
    const TicketView ticket = view(payload);
    const TicketDataView data = TRY(parse_ticket_data(ticket, "ticket"));
    return open_ticket(ticket, data, tpk, "ticket");
  }
};

// [6043-A-02] [6043-A-03] [6043-A.1-01] [6043-A.1-03] [6043-A.1-07]
TEST_F(Tickets, TicketDataIsThdrThenMikeyPayloadsUpToV) {
  const TicketProtection protection{Tpk(ByteVector(32, 9)), "tpk-1", "note"};
  const SealedTicket sealed =
      seal_ticket(kSuite256, granted_policy(), keys(), protection, now()).value();
  const ByteVector octets = payload(sealed.body);
  const TicketView ticket = view(octets);
  ByteReader reader("ticket", ticket.ticket_data);
  const auto first = static_cast<PayloadType>(reader.u8("Next payload"));
  EXPECT_EQ(reader.u16("THDR Data length"), 4);
  EXPECT_EQ(as_text(reader.bytes(4, "THDR Data")), "note");
  std::vector<PayloadType> types;
  PayloadWalker walker(reader, first);
  while (const auto each = walker.next().value()) {
    types.push_back(each->type);
    if (const auto* kemac = std::get_if<KemacView>(&each->value)) {
      EXPECT_EQ(kemac->mac_alg, MacAlg::null);
      EXPECT_EQ(kemac->encr_alg, EncrAlg::aes_cm_256);
    }
  }
  EXPECT_EQ(types, (std::vector<PayloadType>{PayloadType::t, PayloadType::rand, PayloadType::kemac,
                                             PayloadType::idr, PayloadType::v}));
}

// [6043-A.1-06]
TEST_F(Tickets, ATicketMayLeaveOutTheNameOfItsTpk) {
  const TicketProtection protection{Tpk(ByteVector(32, 9)), "", ""};
  const SealedTicket sealed =
      seal_ticket(kSuite256, granted_policy(), keys(), protection, now()).value();
  const ByteVector octets = payload(sealed.body);
  EXPECT_FALSE(parse_ticket_data(view(octets), "ticket").value().idr_psk.has_value());
  EXPECT_TRUE(open(octets, protection.key).has_value());
}

// [6043-A-03] [6043-A.1-04] [6043-A.1-08]
TEST_F(Tickets, TheMacUnderTheTpkCoversAllButTheInitiatorData) {
  const TicketProtection protection = this->protection();
  const SealedTicket sealed =
      seal_ticket(kSuite256, granted_policy(), keys(), protection, now()).value();
  ByteVector octets = payload(sealed.body);
  EXPECT_TRUE(open(octets, protection.key).has_value());
  EXPECT_FALSE(open(octets, Tpk(ByteVector(32, 8))).has_value());
  for (std::size_t i = 0; i < sealed.body.size(); ++i) {
    octets[i] ^= 0x10;
    ByteReader reader("ticket", octets);
    const TicketView ticket = decode_ticket(reader);
    if (reader.finish()) {
      const auto data = parse_ticket_data(ticket, "ticket");
      EXPECT_FALSE(data && open_ticket(ticket, *data, protection.key, "ticket")) << "octet " << i;
    }
    octets[i] ^= 0x10;
  }
  ByteVector with_initiator_data = sealed.body;
  with_initiator_data.insert(with_initiator_data.end(), {0, 1, 0});
  EXPECT_TRUE(open(with_initiator_data, protection.key).has_value());
}

TEST_F(Tickets, ATicketAloneIsTheFirstHalfOfItsPayload) {
  const TicketProtection protection{Tpk(ByteVector(32, 9)), "tpk-1", ""};
  ByteVector body =
      seal_ticket(kSuite256, granted_policy(), keys(), protection, now()).value().body;
  const auto alone = parse_bare_ticket(body);
  ASSERT_TRUE(alone.has_value()) << alone.error().describe();
  const ByteVector octets = payload(body);
  EXPECT_EQ(ticket_id(*alone).value(), ticket_id(view(octets)).value());
  EXPECT_TRUE(
      open_ticket(*alone, parse_ticket_data(*alone, "ticket").value(), protection.key, "ticket")
          .has_value());
  EXPECT_FALSE(parse_bare_ticket(octets).has_value()) << "Initiator Data are not the ticket's";
  body.pop_back();
  EXPECT_FALSE(parse_bare_ticket(body).has_value());
}

// [6043-A-04] [6043-A.3-01]
TEST_F(Tickets, UnexpectedTicketDataIsIgnored) {
  const TicketProtection protection{Tpk(ByteVector(32, 9)), "tpk-1", "any text at all"};
  const SealedTicket sealed =
      seal_ticket(kSuite256, granted_policy(), keys(), protection, now()).value();
  // A General Extension payload between THDR and T, and the MAC computed anew.
  ByteVector body = sealed.body;
  const ByteVector original = payload(sealed.body);
  const TicketView ticket = view(original);
  const TicketDataView data = parse_ticket_data(ticket, "ticket").value();
  const auto data_at = static_cast<std::size_t>(ticket.ticket_data.data() - original.data());
  const ByteVector extension = {body[data_at], 0, 0, 1, 7};
  body[data_at] = static_cast<std::uint8_t>(PayloadType::ext);
  body.insert(body.begin() + static_cast<std::ptrdiff_t>(data_at + 3 + protection.thdr.size()),
              extension.begin(), extension.end());
  const std::size_t length = ticket.ticket_data.size() + extension.size();
  body[data_at - 2] = static_cast<std::uint8_t>(length >> 8);
  body[data_at - 1] = static_cast<std::uint8_t>(length);
  body.resize(body.size() - kSuite256.auth_octets);
  const MessageKeys ticket_keys = derive_ticket_keys(kSuite256, protection.key, data.rand).value();
  const Mac mac = compute_mac(kSuite256, ticket_keys.auth, {body}).value();
  body.insert(body.end(), mac.bytes().begin(), mac.bytes().end());
  const auto opened = open(payload(body), protection.key);
  ASSERT_TRUE(opened.has_value()) << opened.error().describe();
  EXPECT_EQ(opened->mpki, sealed.mpki);
}

// [6043-12.1-07]
TEST_F(Tickets, TheRandIsAsLongAsTheLongestKey) {
  const auto sealed_with = [&](std::size_t tpk_octets, std::size_t rand_octets) {
    TicketKeys ticket_keys = keys();
    ticket_keys.rand.assign(rand_octets, 1);
    const TicketProtection protection{Tpk(ByteVector(tpk_octets, 9)), "tpk-1", ""};
    return seal_ticket(kSuite256, granted_policy(), ticket_keys, protection, now()).has_value();
  };
  EXPECT_FALSE(sealed_with(40, 39));
  EXPECT_TRUE(sealed_with(40, 40));
  EXPECT_FALSE(sealed_with(32, 31));
  EXPECT_EQ(make_ticket_keys(random_, kSuite256, {}, 40).value().rand.size(), 40U);
  EXPECT_EQ(make_ticket_keys(random_, kSuite256, {}, 16).value().rand.size(), 32U);
}

// [3830-6.13-01]
TEST_F(Tickets, MoreKeysThanAKemacCanHoldAreAnErrorAndNotCutOff) {
  std::vector<KeyWish> wishes;
  for (std::uint8_t i = 0; i < 3; ++i) wishes.push_back({KeyType::tgk, 30'000, 0, {i}});
  const TicketKeys too_many = make_ticket_keys(random_, kSuite256, wishes, 32).value();
  const auto sealed = seal_ticket(kSuite256, granted_policy(), too_many, protection(), now());
  ASSERT_FALSE(sealed.has_value());
  EXPECT_NE(sealed.error().text().find("Encr data len"), std::string::npos);

  // In a message: the ticket has few keys, the KEMAC for the initiator would have too many.
  MessageBuilder builder(DataType::request_resp, false, PrfFunc::hmac_sha_256, 1);
  builder.kemac(EncrAlg::aes_cm_256, ByteVector(0x10000));
  EXPECT_FALSE(std::move(builder).end_without_v().has_value());
}

// [6043-6.10-32]
TEST_F(Tickets, AGrantedPolicyHasNoKemac) {
  EXPECT_FALSE(seal_ticket(kSuite256, wish(), keys(), protection(), now()).has_value());
  // The wish asked for a key; the ticket's policy says nothing of it.
  const GrantedTicket granted = request(wish(), wish()).value();
  EXPECT_TRUE(granted.policy.keys.empty());
  EXPECT_EQ(granted.session_keys.size(), 1U);
}

// [6043-6.10-01]
TEST_F(Tickets, WithKeyForkingATgkNeedsAResponse) {
  TicketPolicy policy = granted_policy();
  policy.flags = TicketFlags::from_letters("DEHINO").value();
  const auto refused = seal_ticket(kSuite256, policy, keys(), protection(), now());
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().mikey_error_no(), static_cast<std::uint8_t>(ErrorNo::invalid_tppar));
  const TicketKeys gtgk =
      make_ticket_keys(random_, kSuite256, {{KeyType::gtgk, 32, 0, {1}}}, 32).value();
  EXPECT_TRUE(seal_ticket(kSuite256, policy, gtgk, protection(), now()).has_value())
      << "a GTGK does not";

  // A ticket that somebody else sealed so: F is taken out, and the MAC computed anew.
  policy.flags = TicketFlags::from_letters("DEFHINO").value();
  const SealedTicket sealed = seal_ticket(kSuite256, policy, keys(), protection(), now()).value();
  ByteVector body = sealed.body;
  constexpr std::size_t kFlagsEToL = 5;
  body[kFlagsEToL] &= 0xBF;
  const ByteVector original = payload(sealed.body);
  const TicketDataView data = parse_ticket_data(view(original), "ticket").value();
  body.resize(body.size() - kSuite256.auth_octets);
  const MessageKeys ticket_keys =
      derive_ticket_keys(kSuite256, protection().key, data.rand).value();
  const Mac mac = compute_mac(kSuite256, ticket_keys.auth, {body}).value();
  body.insert(body.end(), mac.bytes().begin(), mac.bytes().end());
  const auto opened = open(payload(body), protection().key);
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().mikey_error_no(), static_cast<std::uint8_t>(ErrorNo::invalid_tppar));
}

TEST_F(Tickets, AnImpossibleOneIsNotSealed) {
  TicketPolicy for_nobody = granted_policy();
  for_nobody.idr_r.clear();
  expect_refused(seal_ticket(kSuite256, for_nobody, keys(), protection(), now()),
                 {Category::internal, "must name a responder"});
}

// Who holds the TPK can seal anything under it: what is genuine may still be wrong.
// [6043-12.1-07] [6043-12.1-11]
TEST_F(Tickets, AGenuineOneThatContradictsItselfIsNotOpened) {
  struct Parts {
    std::size_t tpk_octets = 32;
    std::size_t rand_octets = 32;
    std::size_t mpks = 1;
    std::size_t timestamps = 1;
    MacAlg mac_alg = kSuite256.mac;
  };
  const auto opened = [this](const Parts& parts) {
    const Tpk tpk(ByteVector(parts.tpk_octets, 9));
    const ByteVector rand(parts.rand_octets, 7);
    const Mpk mpk(ByteVector(32, 5));
    const MessageKeys keys = derive_ticket_keys(kSuite256, tpk, rand).value();
    const ByteVector spi = {1};
    const PlainKeyData plain = parts.mpks == 1 ? encode_kemac_keys({&mpk}, spi, {})
                                               : encode_kemac_keys({&mpk, &mpk}, spi, {});
    ByteWriter body;
    granted_policy().encode(body);
    const std::size_t length_at = body.size();
    body.u16(0);
    encode_thdr(body, {PayloadType::t, {}});
    for (std::size_t i = 1; i <= parts.timestamps; ++i) {
      const bool is_last = i == parts.timestamps;
      body.u8(static_cast<std::uint8_t>(is_last ? PayloadType::rand : PayloadType::t));
      encode_t(body, now());
    }
    body.u8(static_cast<std::uint8_t>(PayloadType::kemac));
    encode_rand(body, {rand});
    body.u8(static_cast<std::uint8_t>(PayloadType::v));
    constexpr std::uint32_t kNoCsbId = 0xFFFFFFFF;
    const ByteVector encrypted = seal_kemac(kSuite256, keys, kNoCsbId, now(), plain).value();
    encode_kemac(body, {kSuite256.encr, encrypted, MacAlg::null, {}});
    const Suite& suite = parts.mac_alg == kSuite256.mac ? kSuite256 : kSuite128;
    body.u8(static_cast<std::uint8_t>(PayloadType::last));
    body.u8(static_cast<std::uint8_t>(parts.mac_alg));
    body.patch_u16_length(length_at, body.size() + suite.auth_octets - length_at - 2, "length");
    const Mac mac = compute_mac(suite, keys.auth, {body.view()}).value();
    body.bytes(mac.bytes());
    return open(payload(std::move(body).finish().value()), tpk);
  };
  EXPECT_TRUE(opened({}).has_value());
  const std::pair<Parts, Refused> rows[] = {
      {{.mac_alg = kSuite128.mac},
       {Category::malformed, "MAC algorithm does not go with its PRF", "TICKET", "RFC 6043 A.1",
        ErrorNo::invalid_ticket}},
      {{.mpks = 2},
       {Category::malformed, "carries exactly one MPK", "TICKET", "RFC 6043 A.1",
        ErrorNo::invalid_ticket}},
      {{.rand_octets = 31},
       {Category::malformed, "RAND is shorter than the longest of TPK and MPK", "TICKET",
        "RFC 6043 A.1", ErrorNo::invalid_ticket}},
      {{.tpk_octets = 40},
       {Category::malformed, "RAND is shorter than the longest of TPK and MPK", "TICKET",
        "RFC 6043 A.1", ErrorNo::invalid_ticket}},
      {{.timestamps = 2},
       {Category::malformed, "a second T in the Ticket Data", "Ticket Data", "RFC 6043 A.1"}},
  };
  for (const auto& [parts, refused] : rows) expect_refused(opened(parts), refused);
}

// [6043-6.10-33] [6043-6.10-23]
TEST_F(Tickets, EachResponderHasAnIdentityPayloadOfItsOwn) {
  TicketPolicy policy = granted_policy();
  policy.idr_r = {Identity::uri("sip:bob@example.com"), Identity::uri("sip:carol@example.com")};
  ByteWriter writer;
  policy.encode(writer);
  ByteReader reader("TP", writer.view());
  const TicketPolicyView view = decode_tp(reader);
  PayloadWalker walker(ByteReader("TP Data", view.tp_data.subspan(1)),
                       static_cast<PayloadType>(view.tp_data[0]));
  std::vector<std::string> responders;
  while (const auto payload = walker.next().value()) {
    const auto* id = std::get_if<RoleIdentity>(&payload->value);
    if (id != nullptr && id->role == IdRole::responder) {
      responders.emplace_back(id->identity.text());
    }
  }
  EXPECT_EQ(responders, (std::vector<std::string>{"sip:bob@example.com", "sip:carol@example.com"}));
  EXPECT_EQ(view.read("TP").value(), policy);
}

// [6043-6.10-28]
TEST_F(Tickets, RekeyingIntervalsOfAnotherTypeAreRefused) {
  for (const auto& [type, accepted] :
       {std::pair{TsType::ntp_utc_32, true}, std::pair{TsType::ntp_utc, false},
        std::pair{TsType::counter, false}}) {
    TicketPolicy policy = granted_policy();
    policy.trr = Timestamp{type, 3600};
    ByteWriter writer;
    policy.encode(writer);
    ByteReader reader("TP", writer.view());
    EXPECT_EQ(decode_tp(reader).read("TP").has_value(), accepted);
  }
}

// [6043-6.10-25] [6043-6.10-26] [6043-6.3-01] [3830-4.2.8-01]
TEST_F(Tickets, ValidityGoesOnOverTheEndOfTheNtpEra) {
  const WallTime era_end = WallTime(std::chrono::sys_days{std::chrono::February / 7 / 2036}) +
                           std::chrono::hours(6) + std::chrono::minutes(28) + 16s;
  TicketPolicy policy = granted_policy();
  policy.trs = Timestamp::from(era_end - 1h, TsType::ntp_utc_32);
  policy.tre = Timestamp::from(era_end + 1h, TsType::ntp_utc_32);
  EXPECT_EQ(policy.trs->value, 0xFFFFFFFF - 3599);
  EXPECT_EQ(policy.tre->value, 3600U);
  EXPECT_FALSE(policy.check_valid_at(era_end - 2h).has_value());
  EXPECT_TRUE(policy.check_valid_at(era_end - 1s).has_value());
  EXPECT_TRUE(policy.check_valid_at(era_end).has_value());
  EXPECT_TRUE(policy.check_valid_at(era_end + 1h).has_value());
  EXPECT_FALSE(policy.check_valid_at(era_end + 2h).has_value());
  // The eras end in 2104; before 1968 nothing is read.
  EXPECT_EQ((Timestamp{TsType::ntp_utc_32, 0x7FFFFFFF}).to_wall_time(),
            WallTime(std::chrono::sys_days{std::chrono::February / 26 / 2104}) +
                std::chrono::hours(9) + std::chrono::minutes(42) + 23s);
  EXPECT_EQ((Timestamp{TsType::ntp_utc_32, 0x80000000}).to_wall_time(),
            WallTime(std::chrono::sys_days{std::chrono::January / 20 / 1968}) +
                std::chrono::hours(3) + std::chrono::minutes(14) + 8s);
}

// [6043-6.10-21] [6043-6.10-22]
TEST_F(Tickets, TicketsThatNeedOtherProcessingAreNotUsed) {
  GrantedTicket for_others = request(wish(), wish()).value();
  for_others.policy.flags = for_others.policy.flags.with(TicketFlag::n_plain_initiator, false);
  OfferParameters parameters{alice_.self, bob_.self, tls_session(for_others.session_keys),
                             {},          "mikey",   false};
  EXPECT_FALSE(TransferOffer::start(env_, std::make_shared<GrantedTicket>(std::move(for_others)),
                                    std::move(parameters))
                   .has_value());

  TicketPolicy policy = wish();
  policy.flags = policy.flags.with(TicketFlag::o_plain_responder, false);
  const TransferOffer offered = offer(request(policy, policy).value());
  const auto refused =
      ReceivedTransfer::parse(offered.message()).value().check_early(profile_, clock_.now());
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().text().find("O = 0"), std::string::npos);
}

// [6043-12.1-04]
TEST_F(Tickets, KeysOfLessThan128BitsAreRefused) {
  bob_.psk = Psk(ByteVector(15, 1));
  const TransferOffer offered = offer(request(wish(), wish()).value());
  EXPECT_FALSE(
      TicketResolve::start(env_, bob_, ReceivedTransfer::parse(offered.message()).value().ticket())
          .has_value());
  TicketPolicy weak = wish();
  weak.keys[0].key_octets = 15;
  EXPECT_FALSE(request(weak, weak).has_value());
}

// [6043-12.4-01]
TEST_F(Tickets, KeyForkingIsWhatTheProfileAsksFor) {
  EXPECT_TRUE(kMode1Flags.has(TicketFlag::i_forking));
  EXPECT_TRUE(kMode3Flags.has(TicketFlag::i_forking));
  EXPECT_TRUE(ResponderProfile().require_forking);
  TicketPolicy plain = wish();
  plain.flags = plain.flags.with(TicketFlag::i_forking, false);
  const TransferOffer offered = offer(request(plain, plain).value());
  EXPECT_FALSE(ReceivedTransfer::parse(offered.message())
                   .value()
                   .check_early(profile_, clock_.now())
                   .has_value());
}

}  // namespace
}  // namespace keystub::mikey
