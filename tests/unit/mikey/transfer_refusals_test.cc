// What the two sides of a Ticket Transfer refuse, before anything is sent and after it arrived, and
// how they say it (RFC 6043 4.2.2, 5.2, 6.1.1, 6.10, 12.1).
#include <functional>

#include "mikey/derivation.h"
#include "mikey/protection.h"
#include "tests/unit/mikey/pieces.h"
#include "tests/unit/mikey/refused.h"
#include "tests/unit/mikey/transfers.h"

namespace keystub::mikey {
namespace {

using enum Category;

class TransferRefusals : public Transfers {
 protected:
  Result<TransferOffer> offered(TicketFlags ticket_flags, OfferParameters parameters) {
    return TransferOffer::start(env_, ticket_with(ticket_flags), std::move(parameters));
  }
  // One SRTP session under the ticket's key: nothing is wrong with it.
  OfferParameters good() const { return to_bob({srtp({1})}, {policy_1_}); }

  // Message after a change that its MAC was not computed for: it is refused before that shows.
  static ByteVector unsealed(const Pieces& pieces) {
    ByteVector octets = pieces.without_mac();
    octets.resize(octets.size() + kSuite256.auth_octets);
    return octets;
  }
  Result<void> early(Bytes transfer_init) const {
    const ReceivedTransfer received = TRY(ReceivedTransfer::parse(transfer_init));
    return received.check_early(profile_, clock_.now());
  }
};

// --- What is not sent ----------------------------------------------------------------------------

// [6043-6.2.1-02] [6043-12.1-04] [6043-12.1-05]
TEST_F(TransferRefusals, AnOfferThatNobodyCouldAcceptIsNotSent) {
  const auto with_key = [](KeyType type, std::size_t octets, std::size_t salt_octets,
                           ByteVector spi) {
    return [=](OfferParameters& offer) {
      offer.keys.push_back(SessionKey{type, CarriedKey(octets), SaltKey(salt_octets), spi});
    };
  };
  const auto with_session = [this](auto change) {
    return [=, this](OfferParameters& offer) {
      CryptoSession session = srtp({1});
      change(session);
      offer.sessions = {session};
    };
  };
  struct Row {
    const char* flags;
    std::function<void(OfferParameters&)> change;
    Refused refused;
  };
  const Row rows[] = {
      {"DEFGHLNO",
       [this](OfferParameters& offer) { offer.sessions.push_back(srtp({1})); },
       {malformed, "two crypto sessions with CS ID 1", "HDR", "RFC 6043 6.1.1"}},
      {"DEFGHLNO",
       with_session([](CryptoSession& session) { session.session_data = {1, 2, 3}; }),
       {malformed, "SSRC", "HDR", "RFC 6043 6.1.1"}},
      {"DEFGHLNO", with_key(KeyType::tek, 32, 0, {}), {malformed, "an SPI of 1 to 255 octets"}},
      {"DEFGHLNO",
       with_key(KeyType::tek, 32, 0, ByteVector(256, 1)),
       {malformed, "an SPI of 1 to 255 octets"}},
      {"DEFGHLNO",
       with_key(KeyType::mpk, 32, 0, {5}),
       {malformed, "only TEK, TGK and GTGK can be supplied"}},
      {"DEFGHLNO",
       with_key(KeyType::tek, 15, 0, {5}),
       {malformed, "has 120 bits; 128 or more are needed"}},
      {"DEFGHLNO", with_key(KeyType::tek, 32, 14, {5}), {malformed, "do not go together"}},
      {"DEFGHLNO", with_key(KeyType::tek_salt, 32, 0, {5}), {malformed, "do not go together"}},
      {"DEFGHLNO",
       with_key(KeyType::tek, 32, 0, {1, 2, 3, 4}),
       {malformed, "has SPI 01020304, which is taken"}},
      {"DEFHLNO",
       [](OfferParameters& offer) { offer.group_randr_i = ByteVector(31); },
       {malformed, "RANDs of 248 bits are too short for a key of 256 bits"}},
      // Without TRANSFER_RESP (F = 0) nobody could settle it.
      {"DEHNO",
       with_session([](CryptoSession& session) { session.spi.clear(); }),
       {malformed, "crypto session 1 has no SPI", "HDR", "RFC 6043 6.1.1"}},
      {"DEHNO",
       with_session([](CryptoSession& session) { session.session_data.clear(); }),
       {malformed, "is SRTP and has no Session Data", "HDR", "RFC 6043 6.1.1"}},
      {"DEHNO",
       [this](OfferParameters& offer) {
         offer.policies = {policy_1_, policy_2_};
         offer.sessions = {srtp({1, 2})};
       },
       {malformed, "names 2 security policies", "HDR", "RFC 6043 6.1.1", ErrorNo::invalid_sp}},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.refused.text);
    EXPECT_TRUE(offered(flags(row.flags), good()).has_value());
    OfferParameters parameters = good();
    row.change(parameters);
    expect_refused(offered(flags(row.flags), std::move(parameters)), row.refused);
  }
}

TEST_F(TransferRefusals, AnAnswerThatLeavesOutACryptoSessionIsNotSent) {
  const TransferOffer offer = offered(kMode1Flags, good()).value();
  expect_refused(answered(offer, {{}, {srtp({1}, 2)}, {}, {}}),
                 {malformed, "crypto session 1 is not in the answer", "HDR", "RFC 6043 4.2.2.3"});
}

// [6043-6.10-07]
TEST_F(TransferRefusals, WithoutAResponseNothingOfTheOfferCanBeChanged) {
  const TransferOffer offer = offered(flags("DEHNO"), good()).value();
  expect_refused(answered(offer, {{}, {srtp({1})}, {}, {}}), {denied, "(F = 0)"});
  expect_refused(answered(offer, {{}, {}, {policy_7_}, {}}), {denied, "(F = 0)"});
  EXPECT_TRUE(answered(offer).has_value());
}

// --- What the responder refuses without asking the KMS -------------------------------------------

// [6043-4.2.2.2-01] [6043-4.2.2.2-02]
TEST_F(TransferRefusals, EarlyOnesSayWhatTheProfileDoesNotAllow) {
  const SecurityPolicy for_tls{1, ProtType::tls, {}};
  const SecurityPolicy also_for_tls{2, ProtType::tls, {}};
  CryptoSession tls = tls_session({})[0];
  CryptoSession second_tls = tls;
  second_tls.cs_id = 2;
  CryptoSession tls_with_policies = tls;
  tls_with_policies.policies = {1, 2};
  const auto only_tls = [](ResponderProfile& profile) {
    profile.require_single_tls_session = true;
  };
  struct Row {
    std::vector<CryptoSession> sessions;
    std::vector<SecurityPolicy> policies;
    void (*profile)(ResponderProfile&);
    Refused refused;
  };
  const std::vector<CryptoSession> plain = {srtp({1})};
  const Row rows[] = {
      {plain,
       {policy_1_},
       only_tls,
       {denied, "exactly one crypto session, of type TLS", "HDR", "RFC 6043 4.2.2.2",
        ErrorNo::invalid_sp}},
      {{tls, second_tls},
       {},
       only_tls,
       {denied, "exactly one crypto session, of type TLS", "HDR", "RFC 6043 4.2.2.2",
        ErrorNo::invalid_sp}},
      {{tls_with_policies},
       {for_tls, also_for_tls},
       only_tls,
       {denied, "goes without security policies", "HDR", "RFC 6043 4.2.2.2",
        ErrorNo::invalid_sppar}},
      {plain,
       {policy_1_},
       [](ResponderProfile& profile) { profile.require_forking = true; },
       {denied, "does not use key forking (I = 0)", "TICKET", "RFC 6043 4.2.2.2",
        ErrorNo::invalid_tppar}},
      {plain,
       {policy_1_},
       [](ResponderProfile& profile) { profile.own_identities.clear(); },
       {denied, "none of the responders that the ticket names is served here", "TICKET",
        "RFC 6043 4.2.2.2", ErrorNo::invalid_id}},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.refused.text);
    const TransferOffer offer =
        offered(flags("DEFGHNO"), to_bob(row.sessions, row.policies)).value();
    const ResponderProfile before = profile_;
    EXPECT_TRUE(early(offer.message()).has_value());
    row.profile(profile_);
    expect_refused(early(offer.message()), row.refused);
    profile_ = before;
  }
}

TEST_F(TransferRefusals, The128BitSuiteIsAcceptedOnlyWhereTheProfileSaysSo) {
  TicketPolicy policy = wish();
  policy.flags = flags("DEFGHNO");
  policy.prf = PrfFunc::mikey_1;
  policy.keys[0].key_octets = 16;
  const auto offer =
      TransferOffer::start(env_, std::make_shared<GrantedTicket>(request(policy, policy).value()),
                           good())
          .value();
  expect_refused(early(offer.message()), {denied, "the 128-bit suite is not accepted here", "HDR",
                                          "RFC 6043 4.2.2.2", ErrorNo::invalid_prf});
  profile_.accept_128_bit_suite = true;
  EXPECT_TRUE(early(offer.message()).has_value());
}

// [6043-4.2.2.1-10] [6043-6.10-18] [6043-6.10-34]
TEST_F(TransferRefusals, EarlyOnesSayWhatTheTicketPolicyForbids) {
  const TransferOffer offer = offered(flags("DEFGHNO"), good()).value();
  Pieces with_keys(offer.message());
  with_keys.insert(PayloadType::kemac, {0, static_cast<std::uint8_t>(EncrAlg::aes_cm_256), 0, 0,
                                        static_cast<std::uint8_t>(MacAlg::null)});
  expect_refused(early(unsealed(with_keys)),
                 {denied, "does not let the initiator supply session keys (L = 0)", "KEMAC",
                  "RFC 6043 4.2.2.1", ErrorNo::invalid_tppar});

  Pieces with_initiator_data(offer.message());
  ByteVector& ticket = with_initiator_data.find(PayloadType::ticket).octets;
  ticket.resize(ticket.size() - 2);
  ticket.insert(ticket.end(), {0, 1, static_cast<std::uint8_t>(PayloadType::last)});
  expect_refused(
      early(unsealed(with_initiator_data)),
      {malformed, "Initiator Data without key forking (I = 0)", "TICKET", "RFC 6043 4.2.2.2"});
}

TEST_F(TransferRefusals, AnOfferThatContradictsItselfIsNotParsed) {
  const TransferOffer offer = offered(flags("DEFGHNO"), good()).value();
  const auto parsed = [&](const std::function<void(Pieces&)>& change) {
    Pieces pieces(offer.message());
    change(pieces);
    return early(unsealed(pieces));
  };
  expect_refused(parsed([](Pieces& pieces) { pieces.drop(PayloadType::ticket); }),
                 {malformed, "TRANSFER_INIT lacks its TICKET", "TICKET", "RFC 6043 4.2.2.1"});
  expect_refused(parsed([](Pieces& pieces) { pieces.insert(PayloadType::sp, {0, 1, 0, 0, 0}); }),
                 {malformed, "two SP payloads with policy number 1", "SP", "RFC 3830 6.10",
                  ErrorNo::invalid_sp});
  expect_refused(parsed([](Pieces& pieces) {
                   constexpr std::ptrdiff_t kMap = 10;
                   pieces.cs_count() = 2;
                   const ByteVector session(pieces.header.begin() + kMap, pieces.header.end());
                   pieces.header.insert(pieces.header.end(), session.begin(), session.end());
                 }),
                 {malformed, "two crypto sessions with CS ID 1", "HDR", "RFC 6043 6.1.1"});
}

// --- What the responder refuses with the keys at hand --------------------------------------------

TEST_F(TransferRefusals, ATicketIsOpenedOnlyInTheNameOfWhoSealedIt) {
  const Tpk tpk(ByteVector(32, 9));
  const auto of_the_kms = offered(flags("DFGHNO"), good()).value();
  const auto received = ReceivedTransfer::parse(of_the_kms.message()).value();
  expect_refused(received.open_from_initiator(tpk, alice_.self),
                 {denied, "claims to be the KMS's (D = 1)", "TICKET", "RFC 6043 4.1.1",
                  ErrorNo::invalid_ticket});

  TicketPolicy policy = wish();
  policy.flags = flags("FGHLNO");
  const auto of_alice =
      TransferOffer::start(
          env_, std::make_shared<GrantedTicket>(issue_ticket(env_, policy, protection()).value()),
          good())
          .value();
  const auto self_issued = ReceivedTransfer::parse(of_alice.message()).value();
  expect_refused(self_issued.open_from_kms(tpk),
                 {denied, "the initiator issued the ticket (D = 0)", "TICKET", "RFC 6043 4.1.1",
                  ErrorNo::invalid_ticket});
  expect_refused(self_issued.open_from_initiator(tpk, Identity::uri("sip:carol@example.com")),
                 {unauthenticated, "is not in the name of sip:carol@example.com", "TICKET",
                  "RFC 6043 4.1.1", ErrorNo::invalid_id});
}

TEST_F(TransferRefusals, ACallerWhomTheTicketDoesNotNameIsUnknown) {
  TicketPolicy policy = wish();
  policy.idr_i.reset();
  const TransferOffer nameless =
      TransferOffer::start(env_, std::make_shared<GrantedTicket>(request(policy, policy).value()),
                           good())
          .value();
  expect_refused(verified(nameless), {unauthenticated, "does not say who requested the ticket",
                                      "TICKET", "RFC 6043 6.10", ErrorNo::invalid_id});

  OfferParameters as_eve = good();
  as_eve.initiator = Identity::uri("sip:eve@example.com");
  expect_refused(verified(offered(kMode1Flags, std::move(as_eve)).value()),
                 {unauthenticated,
                  "claims to come from sip:eve@example.com, the ticket belongs to "
                  "sip:alice@example.com",
                  "IDR", "RFC 6043 4.2.3", ErrorNo::invalid_id});
}

TEST_F(TransferRefusals, AKemacOfTheTransferHoldsNoMpkAndAtLeastOneKey) {
  profile_.accept_initiator_keys = true;
  auto ticket = ticket_with(flags("DEFGHLNO"));
  const Mpk mpki = ticket->mpki.clone();
  OfferParameters parameters = good();
  parameters.keys = keys(key(KeyType::tek, 0x55, {5, 5}));
  const auto offer = TransferOffer::start(env_, std::move(ticket), std::move(parameters)).value();
  const Message init = Message::parse(offer.message()).value();
  const MessageKeys message_keys =
      derive_message_keys(kSuite256, mpki.reveal(), {offer.csb_id(), false, *init.randr_i, {}},
                          Protects::integrity_and_keys)
          .value();
  const auto with_kemac = [&](const PlainKeyData& plain) {
    const ByteVector sealed =
        seal_kemac(kSuite256, message_keys, offer.csb_id(), *init.t, plain).value();
    Pieces pieces(offer.message());
    ByteVector& kemac = pieces.find(PayloadType::kemac).octets;
    kemac = {0, static_cast<std::uint8_t>(EncrAlg::aes_cm_256), 0,
             static_cast<std::uint8_t>(sealed.size())};
    kemac.insert(kemac.end(), sealed.begin(), sealed.end());
    kemac.push_back(static_cast<std::uint8_t>(MacAlg::null));
    return answer(pieces.sealed_transfer_init(kSuite256, message_keys.auth, alice_.self.bytes(),
                                              bob_.self.bytes()),
                  bob_.self);
  };
  const Mpk mpk(ByteVector(32, 6));
  EXPECT_TRUE(with_kemac(encode_kemac_keys({}, {}, keys(key(KeyType::tek, 0x55, {5, 5})))));
  expect_refused(
      with_kemac(encode_kemac_keys({&mpk}, ByteVector{9}, {})),
      {malformed, "holds session keys, one or more, and no MPK", "KEMAC", "RFC 6043 5.2"});
}

// --- What the initiator refuses ------------------------------------------------------------------

// [6043-6.10-07]
TEST_F(TransferRefusals, AnOfferEndsInTheWayThatFSays) {
  const TransferOffer with_f = offered(flags("DEFGHNO"), good()).value();
  expect_refused(with_f.complete(), {conflict, "(F = 1): accept() it to complete"});
  const ByteVector answer = answered(with_f).value().message;
  const TransferOffer without_f = offered(flags("DEHNO"), good()).value();
  expect_refused(without_f.accept(answer),
                 {denied, "forbids a TRANSFER_RESP (F = 0)", "HDR", "RFC 6043 6.10"});
  EXPECT_TRUE(without_f.complete().has_value());
  expect_refused(with_f.accept(with_f.message()),
                 {malformed, "expected a TRANSFER_RESP, got a TRANSFER_INIT", "HDR", "RFC 6043 6.1",
                  ErrorNo::invalid_dt});
}

TEST_F(TransferRefusals, AnAnswerThatLeavesOutACryptoSessionIsNotAccepted) {
  auto ticket = ticket_with(flags("DEFGHNO"));
  const Mpk mpki = ticket->mpki.clone();
  const auto offer = TransferOffer::start(env_, std::move(ticket), good()).value();
  const Message init = Message::parse(offer.message()).value();
  Pieces answer(answered(offer).value().message);
  const MessageKeys keys =
      derive_message_keys(kSuite256, mpki.reveal(),
                          {offer.csb_id(), true, *init.randr_i, answer.rand(RandRole::responder)},
                          Protects::integrity)
          .value();
  const auto accepted = [&] {
    return offer.accept(answer.sealed(kSuite256, keys.auth, offer.message()));
  };
  EXPECT_TRUE(accepted().has_value());
  constexpr std::size_t kCsId = 10;
  answer.header.at(kCsId) = 2;
  expect_refused(accepted(),
                 {malformed, "crypto session 1 is not in the answer", "HDR", "RFC 6043 4.2.2.3"});
}

}  // namespace
}  // namespace keystub::mikey
