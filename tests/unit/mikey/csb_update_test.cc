// CSB updating (RFC 6043 5.2): what either side may change in a bundle, and what is refused. The
// vectors' scenario j is played octet by octet in vectors_test.cc.
#include <gtest/gtest.h>

#include <functional>

#include "mikey/csb_update.h"
#include "mikey/derivation.h"
#include "mikey/initiator_data.h"
#include "mikey/message_builder.h"
#include "mikey/protection.h"
#include "tests/unit/mikey/exchanges.h"
#include "tests/unit/mikey/refused.h"

namespace keystub::mikey {
namespace {

constexpr AcceptedAdditions kAll{.keys = true, .crypto_sessions = true, .policies = true};

class Updates : public Exchanges {
 protected:
  // A completed Ticket Transfer with one SRTP session under the ticket's TGK; alice is its
  // initiator.
  void transfer(std::string_view letters = "DEFGHILMNO") {
    profile_.require_forking = false;
    profile_.require_single_tls_session = false;
    TicketPolicy policy = wish();
    policy.flags = TicketFlags::from_letters(letters).value();
    auto ticket = std::make_shared<GrantedTicket>(request(policy, policy).value());
    OfferParameters parameters;
    parameters.initiator = alice_.self;
    parameters.responder = bob_.self;
    parameters.sessions = {session(1)};
    parameters.policies = {policy_1_};
    const auto offered =
        TransferOffer::start(env_, std::move(ticket), std::move(parameters)).value();
    init_ = to_vector(offered.message());
    if (policy.flags.has(TicketFlag::f_response)) {
      TransferAnswer answered = answer(offered.message(), bob_.self).value();
      resp_ = answered.message;
      alice_bundle_ = offered.accept(answered.message).value().bundle;
      bob_bundle_ = answered.established.bundle;
    } else {
      alice_bundle_ = offered.complete().value().bundle;
      bob_bundle_ = answer(offered.message(), bob_.self).value().established.bundle;
    }
    later();
  }
  // No two messages of a bundle have the same T.
  void later() { clock_.advance(std::chrono::seconds(1)); }

  CryptoSession session(std::uint8_t cs_id, ByteVector spi = {1, 2, 3, 4}) const {
    return {cs_id, ProtType::srtp, false, {1}, {0, 0, 0, cs_id}, std::move(spi)};
  }
  static SessionKey key(KeyType type, std::uint8_t octet, ByteVector spi) {
    return {type, CarriedKey(ByteVector(32, octet)), SaltKey(), std::move(spi)};
  }
  static UpdateParameters with_key(std::vector<CryptoSession> sessions, SessionKey key) {
    UpdateParameters parameters{std::move(sessions)};
    parameters.keys.push_back(std::move(key));
    return parameters;
  }

  Result<VerifiedUpdate> received(Bytes update, const CryptoSessionBundle& by,
                                  const AcceptedAdditions& accepted = kAll) {
    const ReceivedUpdate parsed = TRY(ReceivedUpdate::parse(update));
    return parsed.verify(by, accepted);
  }
  // What alice starts, bob answers.
  Result<std::vector<EstablishedSession>> updated(UpdateParameters parameters,
                                                  UpdateResponse response = {}) {
    SentUpdate update = TRY(SentUpdate::start(env_, alice(), std::move(parameters)));
    VerifiedUpdate verified = TRY(received(update.message(), bob()));
    const UpdateAnswer answer = TRY(verified.respond(env_, std::move(response)));
    later();
    return update.accept(answer.message);
  }
  // Both sides have the same sessions and keys.
  void expect_same() {
    EXPECT_EQ(alice().crypto_sessions(), bob().crypto_sessions());
    const auto ours = alice().sessions().value();
    const auto theirs = bob().sessions().value();
    ASSERT_EQ(ours.size(), theirs.size());
    for (std::size_t i = 0; i < ours.size(); ++i) {
      EXPECT_EQ(ours[i].tek, theirs[i].tek);
      EXPECT_EQ(ours[i].policy, theirs[i].policy);
    }
  }
  // A TRANSFER_INIT of alice's in this bundle with what a SentUpdate would not put in.
  template <class Fill>
  ByteVector forged(Fill fill, std::uint32_t csb_id_xor = 0) {
    const Message init = Message::parse(init_).value();
    const Message resp = Message::parse(resp_).value();
    const std::uint32_t csb_id = init.header.csb_id ^ csb_id_xor;
    MessageBuilder builder(DataType::transfer_init, true, PrfFunc::hmac_sha_256, csb_id, {});
    builder.t(Timestamp::from(clock_.now()));
    fill(builder, init);
    const MessageKeys keys =
        derive_message_keys(kSuite256, mpkr_forked(resp).reveal(),
                            {init.header.csb_id, true, *init.randr_i, *resp.randr_r},
                            Protects::integrity)
            .value();
    (void)builder.begin_v(kSuite256.mac);
    ByteVector message = std::move(builder).end_v(ByteVector(32)).value();
    const Message draft = Message::parse(message).value();
    const CoveredTransferInit covered = covered_by_mac(draft);
    const Mac mac =
        compute_mac(kSuite256, keys.auth,
                    {covered.before, covered.after, alice_.self.bytes(), bob_.self.bytes()})
            .value();
    std::ranges::copy(mac.bytes(), message.end() - 32);
    return message;
  }
  // From Ticket Type to the end of Ticket Data.
  ByteVector other_ticket() {
    const TicketPolicy policy = wish();
    return request(policy, policy).value().body;
  }
  // As alice knows it.
  Mpk mpkr_forked(const Message& resp) {
    const auto opened =
        open_ticket(*Message::parse(init_).value().ticket,
                    parse_ticket_data(*Message::parse(init_).value().ticket, "").value(),
                    Tpk(ByteVector(32, 9)), "")
            .value();
    return fork_mpkr(PrfFunc::hmac_sha_256, opened.mpkr, resp.idr_r->data, *resp.randr_kms).value();
  }

  const CryptoSessionBundle& alice() { return *alice_bundle_; }
  const CryptoSessionBundle& bob() { return *bob_bundle_; }

  const SecurityPolicy policy_1_{1, ProtType::srtp, {0, 1, 1}};
  const SecurityPolicy policy_2_{2, ProtType::srtp, {0, 1, 0}};
  ByteVector init_;
  ByteVector resp_;
  std::optional<CryptoSessionBundle> alice_bundle_;
  std::optional<CryptoSessionBundle> bob_bundle_;
};

std::uint8_t number(ErrorNo error) { return static_cast<std::uint8_t>(error); }

// --- What an update does -----------------------------------------------------------------------

// [6043-5.2-01] [6043-5.2-03] [6043-5.2-04] [3830-4.5-01]
TEST_F(Updates, AnUpdateHasTheCsbIdOfTheFirstExchangeAndNothingThatIsStatic) {
  transfer();
  const SentUpdate update = SentUpdate::start(env_, alice(), {{session(1)}}).value();
  const Message message = Message::parse(update.message()).value();
  EXPECT_EQ(message.header.csb_id, Message::parse(init_).value().header.csb_id);
  EXPECT_TRUE(message.header.v_flag);
  EXPECT_FALSE(message.randr_i || message.randr_r || message.randr_kms || message.ticket);
  EXPECT_EQ(ReceivedUpdate::parse(update.message()).value().csb_id(), bob().csb_id());
  EXPECT_EQ(alice().peer(), bob_.self);
  EXPECT_EQ(bob().peer(), alice_.self);
  EXPECT_EQ(alice().role(), CsbRole::initiator);
  EXPECT_EQ(bob().role(), CsbRole::responder);
}

// [6043-5.2-08] [6043-5.2-11] [6043-5.2-13]
TEST_F(Updates, EitherSideBringsNewKeysThatAreNotForked) {
  transfer();
  const auto rekeyed = updated(with_key({session(1, {5})}, key(KeyType::tgk, 0x55, {5}))).value();
  const Message init = Message::parse(init_).value();
  const Message resp = Message::parse(resp_).value();
  const Tek expected = derive_tek(PrfFunc::hmac_sha_256, key(KeyType::tgk, 0x55, {5}), 1,
                                  *init.randr_i, *resp.randr_r, 32)
                           .value();
  EXPECT_EQ(rekeyed[0].tek, expected);
  expect_same();

  // Bob starts one, alice adds a key in her answer.
  SentUpdate update =
      SentUpdate::start(env_, bob(), with_key({session(1, {6})}, key(KeyType::tek, 0x66, {6})))
          .value();
  EXPECT_EQ(Message::parse(update.message()).value().kemac->mac_alg, MacAlg::null);
  UpdateResponse response{{session(1, {7})}};
  response.keys.push_back(key(KeyType::gtgk, 0x77, {7}));
  const UpdateAnswer answer =
      received(update.message(), alice()).value().respond(env_, std::move(response)).value();
  later();
  EXPECT_FALSE(update.accept(answer.message).has_value()) << "bob accepts nothing of hers";
}

// [6043-5.2-08]
TEST_F(Updates, AnAnswerAddsOnlyWhatIsAccepted) {
  transfer();
  for (const bool accepted : {false, true}) {
    UpdateParameters parameters{{session(1)}};
    parameters.accepted.keys = accepted;
    UpdateResponse response{{session(1, {7})}};
    response.keys.push_back(key(KeyType::gtgk, 0x77, {7}));
    const auto done = updated(std::move(parameters), std::move(response));
    EXPECT_EQ(done.has_value(), accepted);
    later();
  }
  expect_same();
}

TEST_F(Updates, CryptoSessionsAreAddedAndThoseNotNamedGoOn) {
  transfer();
  const auto before = bob().sessions().value();
  const auto added = updated({{session(2)}}).value();
  ASSERT_EQ(added.size(), 1U);
  EXPECT_EQ(added[0].cs_id, 2);
  expect_same();
  ASSERT_EQ(bob().crypto_sessions().size(), 2U);
  EXPECT_EQ(bob().sessions().value()[0].tek, before[0].tek);

  SentUpdate third = SentUpdate::start(env_, alice(), {{session(3)}}).value();
  const auto refused = received(third.message(), bob(), {.keys = true});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().mikey_error_no(), number(ErrorNo::invalid_sp));
}

TEST_F(Updates, APolicyIsChangedForTheSessionsThatAreNamed) {
  transfer();
  CryptoSession changed = session(1);
  changed.policies = {2};
  EXPECT_EQ(updated({{changed}, {policy_2_}}).value()[0].policy, policy_2_);
  expect_same();

  // Number 2 cannot come to mean something else under a session that the update does not name.
  const SecurityPolicy other{2, ProtType::srtp, {0, 1, 9}};
  CryptoSession second = session(2);
  second.policies = {2};
  const auto refused = SentUpdate::start(env_, alice(), {{second}, {other}});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().mikey_error_no(), number(ErrorNo::invalid_sp));

  // Bob may not want any.
  const SentUpdate update = SentUpdate::start(env_, alice(), {{changed}, {policy_2_}}).value();
  EXPECT_EQ(received(update.message(), bob(), {.keys = true}).error().mikey_error_no(),
            number(ErrorNo::invalid_sppar));
}

// [6043-5.2-03]
TEST_F(Updates, WithoutAResponseAllIsSettledByTheUpdate) {
  transfer();
  UpdateParameters parameters = with_key({session(1, {5})}, key(KeyType::tgk, 0x55, {5}));
  parameters.with_response = false;
  SentUpdate update = SentUpdate::start(env_, alice(), std::move(parameters)).value();
  EXPECT_FALSE(Message::parse(update.message()).value().header.v_flag);
  VerifiedUpdate verified = received(update.message(), bob()).value();
  EXPECT_FALSE(verified.wants_response());
  EXPECT_FALSE(verified.respond(env_, {{session(1)}}).has_value()) << "it changes the sessions";
  EXPECT_TRUE(verified.respond(env_).value().message.empty());
  EXPECT_TRUE(update.complete().has_value());
  EXPECT_EQ(update.complete().error().category(), Category::conflict);
  expect_same();

  CryptoSession open = session(1);
  open.spi.clear();
  UpdateParameters unsettled{{open}};
  unsettled.with_response = false;
  EXPECT_FALSE(SentUpdate::start(env_, alice(), std::move(unsettled)).has_value());
}

// [6043-5.2-10]
TEST_F(Updates, EachSessionOfAnAnswerHasAKey) {
  transfer();
  CryptoSession open = session(1);
  open.spi.clear();
  // It stays with the key it has, or takes the first new one.
  EXPECT_EQ(updated({{open}}).value()[0].spi, (ByteVector{1, 2, 3, 4}));
  EXPECT_EQ(updated(with_key({open}, key(KeyType::tgk, 0x55, {5}))).value()[0].spi, ByteVector{5});
  expect_same();
  EXPECT_FALSE(SentUpdate::start(env_, alice(), {{session(1, {9, 9})}}).has_value());
  SentUpdate update = SentUpdate::start(env_, alice(), {{session(1)}}).value();
  VerifiedUpdate verified = received(update.message(), bob()).value();
  EXPECT_FALSE(verified.respond(env_, {{session(1, {9, 9})}}).has_value());
  EXPECT_FALSE(verified.respond(env_, {{session(2)}}).has_value()) << "session 1 is missing";
  EXPECT_TRUE(verified.respond(env_).has_value());
  EXPECT_EQ(verified.respond(env_).error().category(), Category::conflict) << "answered already";
}

// --- Who may
// --------------------------------------------------------------------------------------

// [6043-5.2-09] [6043-6.10-17] [6043-6.10-19]
TEST_F(Updates, KeysComeOnlyFromWhomTheTicketPolicyLets) {
  transfer("DEFGHILNO");  // L: the initiator
  const auto from = [&](const CryptoSessionBundle& bundle) {
    return SentUpdate::start(env_, bundle, with_key({}, key(KeyType::tek, 0x66, {6})));
  };
  EXPECT_TRUE(from(alice()).has_value());
  ASSERT_FALSE(from(bob()).has_value());
  EXPECT_EQ(from(bob()).error().mikey_error_no(), number(ErrorNo::invalid_tppar));
  transfer("DEFGHIMNO");  // M: the responder
  EXPECT_FALSE(from(alice()).has_value());
  EXPECT_TRUE(from(bob()).has_value());
}

// [6043-5.2-09]
TEST_F(Updates, KeysThatThePolicyForbidsAreRefusedAndSoAreUnwelcomeOnes) {
  transfer("DEFGHINO");
  const ByteVector forbidden = forged([](MessageBuilder& builder, const Message&) {
    builder.kemac(EncrAlg::aes_cm_256, ByteVector(41, 1));
  });
  const auto refused = received(forbidden, bob());
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().mikey_error_no(), number(ErrorNo::invalid_tppar));

  transfer();
  const SentUpdate update =
      SentUpdate::start(env_, alice(), with_key({}, key(KeyType::tek, 0x66, {6}))).value();
  EXPECT_FALSE(received(update.message(), bob(), {}).has_value());
}

// --- Genuine and new ---------------------------------------------------------------------------

// [6043-5.2-07] [6043-5.2-12]
TEST_F(Updates, BothMessagesAreProtectedWithTheKeysOfTheLastMessageOfTheTransfer) {
  for (const char* letters : {"DEFGHILMNO", "DEFGHLMNO", "DEHLNO"}) {
    transfer(letters);
    SentUpdate update =
        SentUpdate::start(env_, alice(), with_key({session(1, {5})}, key(KeyType::tgk, 5, {5})))
            .value();
    const auto answer = received(update.message(), bob()).value().respond(env_).value();
    later();
    EXPECT_TRUE(update.accept(answer.message).has_value()) << letters;
    expect_same();
  }
}

TEST_F(Updates, AnyOctetThatIsChangedIsRefusedAndTheBundleStaysAsItIs) {
  transfer();
  SentUpdate update =
      SentUpdate::start(env_, alice(), with_key({session(1, {5})}, key(KeyType::tgk, 5, {5})))
          .value();
  for (std::size_t i = 0; i < update.message().size(); ++i) {
    ByteVector changed = to_vector(update.message());
    changed[i] ^= 1;
    const auto refused = received(changed, bob());
    ASSERT_FALSE(refused.has_value()) << i;
    EXPECT_FALSE(refused.error().place()->payload.empty()) << i;
  }
  const UpdateAnswer answer = received(update.message(), bob()).value().respond(env_).value();
  for (std::size_t i = 0; i < answer.message.size(); ++i) {
    ByteVector changed = answer.message;
    changed[i] ^= 1;
    ASSERT_FALSE(update.accept(changed).has_value()) << i;
  }
  EXPECT_EQ(alice().crypto_sessions()[0].spi, (ByteVector{1, 2, 3, 4}));
  EXPECT_TRUE(update.accept(answer.message).has_value());
  expect_same();
}

// [6043-5.2-02] [3830-4.5-02]
TEST_F(Updates, NoTimestampOfABundleComesTwice) {
  transfer();
  SentUpdate update = SentUpdate::start(env_, alice(), {{session(1)}}).value();
  VerifiedUpdate verified = received(update.message(), bob()).value();
  const auto again = received(update.message(), bob());
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().category(), Category::expired);
  EXPECT_EQ(again.error().mikey_error_no(), number(ErrorNo::invalid_ts));
  // The clock stands still; T does not.
  const UpdateAnswer answer = verified.respond(env_).value();
  EXPECT_NE(Message::parse(answer.message).value().t->value,
            Message::parse(update.message()).value().t->value);
  EXPECT_TRUE(update.accept(answer.message).has_value());
  EXPECT_FALSE(update.accept(answer.message).has_value());
}

// [6043-5.2-05] [6043-5.2-06] [3830-4.5-03]
TEST_F(Updates, StaticPayloadsMayBeRepeatedButNotReplaced) {
  transfer();
  using Fill = std::function<void(MessageBuilder&, const Message&)>;
  const std::vector<Fill> repeated = {
      [](MessageBuilder& b, const Message& init) { b.randr(RandRole::initiator, *init.randr_i); },
      [](MessageBuilder& b, const Message& init) { b.ticket(init.ticket->body, {}); },
      [&](MessageBuilder& b, const Message&) { b.idr(IdRole::initiator, alice_.self); }};
  for (const Fill& fill : repeated) {
    EXPECT_TRUE(received(forged(fill), bob()).has_value());
    later();
  }
  const std::vector<Fill> replaced = {
      [](MessageBuilder& b, const Message&) { b.randr(RandRole::initiator, ByteVector(32, 3)); },
      [](MessageBuilder& b, const Message&) { b.randr(RandRole::responder, ByteVector(32, 3)); },
      [](MessageBuilder& b, const Message&) { b.randr(RandRole::kms, ByteVector(32, 3)); },
      [&](MessageBuilder& b, const Message&) { b.ticket(other_ticket(), {}); },
      [&](MessageBuilder& b, const Message&) { b.idr(IdRole::responder, alice_.self); }};
  for (const Fill& fill : replaced) {
    const auto refused = received(forged(fill), bob());
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().place()->clause, "RFC 6043 5.2") << refused.error().describe();
    later();
  }
}

// [6043-5.2-01]
TEST_F(Updates, AnUpdateOfAnotherBundleIsRefused) {
  transfer();
  const auto nothing = [](MessageBuilder&, const Message&) {};
  EXPECT_TRUE(received(forged(nothing), bob()).has_value());
  later();
  EXPECT_FALSE(received(forged(nothing, 1), bob()).has_value());
}

// --- Two updates, lost answers, refusals
// -----------------------------------------------------------

TEST_F(Updates, WhereBothSidesStartOneThatOfTheInitiatorGoesFirst) {
  transfer();
  SentUpdate of_alice = SentUpdate::start(env_, alice(), {{session(2)}}).value();
  later();
  SentUpdate of_bob = SentUpdate::start(env_, bob(), {{session(3)}}).value();
  const auto refused = received(of_bob.message(), alice());
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().category(), Category::conflict);
  const UpdateAnswer answer = received(of_alice.message(), bob()).value().respond(env_).value();
  EXPECT_TRUE(of_alice.accept(answer.message).has_value());
  EXPECT_EQ(of_bob.accept(answer.message).error().category(), Category::conflict);
  expect_same();
}

TEST_F(Updates, OneUpdateAtATimeAndADroppedOneIsGivenUp) {
  transfer();
  {
    const SentUpdate update = SentUpdate::start(env_, alice(), {{session(1)}}).value();
    EXPECT_EQ(SentUpdate::start(env_, alice(), {{session(1)}}).error().category(),
              Category::conflict);
  }
  EXPECT_TRUE(SentUpdate::start(env_, alice(), {{session(1)}}).has_value());
}

TEST_F(Updates, AfterALostAnswerTheSameIsSaidAgain) {
  transfer();
  const auto parameters = [&] {
    return with_key({session(1, {5}), session(2, {5})}, key(KeyType::tgk, 0x55, {5}));
  };
  {
    const SentUpdate lost = SentUpdate::start(env_, alice(), parameters()).value();
    ASSERT_TRUE(received(lost.message(), bob()).value().respond(env_).has_value());
  }
  later();
  EXPECT_TRUE(updated(parameters()).has_value());
  expect_same();
  // Another key under the same SPI is another matter.
  EXPECT_FALSE(
      SentUpdate::start(env_, alice(), with_key({}, key(KeyType::tgk, 0x56, {5}))).has_value());
}

// [6043-5.4-07]
TEST_F(Updates, ARefusalIsAnAuthenticatedErrorAndChangesNothing) {
  transfer();
  SentUpdate update = SentUpdate::start(env_, alice(), {{session(2)}}).value();
  VerifiedUpdate verified = received(update.message(), bob()).value();
  EXPECT_EQ(verified.sessions(), std::vector{session(2)});
  EXPECT_TRUE(verified.policies().empty());
  const ByteVector error = verified.refuse(env_, ErrorNo::invalid_sp).value();
  const auto refused = update.accept(error);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().mikey_error_no(), number(ErrorNo::invalid_sp));
  EXPECT_EQ(alice().crypto_sessions().size(), 1U);
  expect_same();
}

TEST_F(Updates, ACryptoSessionKeepsItsProtocol) {
  transfer();
  CryptoSession other = session(1);
  other.prot_type = ProtType::tls;
  other.policies.clear();
  expect_refused(SentUpdate::start(env_, alice(), {{other}}),
                 {Category::malformed, "crypto session 1 is for another security protocol"});
}

TEST_F(Updates, WhatIsNoAnswerIsRefused) {
  transfer();
  {
    UpdateParameters parameters{{session(1)}};
    parameters.with_response = false;
    SentUpdate unanswered = SentUpdate::start(env_, alice(), std::move(parameters)).value();
    expect_refused(unanswered.accept(resp_),
                   {Category::denied, "the update asked for no response", "HDR", "RFC 6043 5.2"});
  }
  SentUpdate update = SentUpdate::start(env_, alice(), {{session(1)}}).value();
  EXPECT_FALSE(update.accept(init_).has_value());
  EXPECT_FALSE(update.accept(resp_).has_value()) << "the answer of the Ticket Transfer";
  EXPECT_EQ(update.complete().error().category(), Category::conflict);
  EXPECT_FALSE(received(resp_, bob()).has_value());
}

}  // namespace
}  // namespace keystub::mikey
