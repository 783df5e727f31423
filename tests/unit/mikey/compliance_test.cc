// Rules of RFC 6043 that show only in a message that is genuine and wrong: each message is taken
// apart, changed, and given a MAC that verifies. docs/compliance.md says which rule is tested
// where.
#include <algorithm>
#include <functional>
#include <utility>

#include "tests/unit/mikey/exchanges.h"
#include "tests/unit/mikey/pieces.h"

namespace keystub::mikey {
namespace {

using namespace std::chrono_literals;
using Change = std::function<void(Pieces&)>;

constexpr std::string_view kMessages[] = {"REQUEST_INIT", "REQUEST_RESP", "TRANSFER_INIT",
                                          "RESOLVE_INIT", "RESOLVE_RESP", "TRANSFER_RESP"};

void nothing(Pieces& /*unused*/) {}
Change without(PayloadType type) {
  return [=](Pieces& message) { message.drop(type); };
}
template <class Role>
Change without(PayloadType type, Role role) {
  return [=](Pieces& message) { message.drop(type, role); };
}

// Corrects the TP Data length of a TP payload that grew.
void lengthen_tp(ByteVector& tp, std::size_t octets) {
  const std::size_t length = (static_cast<std::size_t>(tp.at(8)) << 8 | tp.at(9)) + octets;
  tp.at(8) = static_cast<std::uint8_t>(length >> 8);
  tp.at(9) = static_cast<std::uint8_t>(length);
}

template <class T>
Result<void> outcome(Result<T> result) {
  if (!result) return std::unexpected(std::move(result).error());
  return {};
}

// What the receiver of a message says about it after `change`. The ticket goes without key forking,
// so that TRANSFER_INIT has no Initiator Data that would have to change with its MAC.
class Compliance : public Exchanges {
 protected:
  Compliance() { profile_.require_forking = false; }

  Result<void> receive(std::string_view message, const Change& change) {
    if (message == "REQUEST_INIT") return request_init(change);
    if (message == "REQUEST_RESP") return request_resp(change);
    if (message == "TRANSFER_INIT") return transfer_init(change);
    if (message == "RESOLVE_INIT") return resolve_init(change);
    if (message == "RESOLVE_RESP") return resolve_resp(change);
    return transfer_resp(change);
  }

  TicketPolicy plain_wish() const {
    TicketPolicy policy = wish();
    policy.flags = policy.flags.with(TicketFlag::i_forking, false);
    return policy;
  }
  GrantedTicket plain_ticket() { return request(plain_wish(), plain_wish()).value(); }

  static MessageKeys message_keys(Bytes inkey, const Message& about, bool response, Bytes randr_i,
                                  Bytes randr_r) {
    return derive_message_keys(kSuite256, inkey, {about.header.csb_id, response, randr_i, randr_r},
                               Protects::integrity_and_keys)
        .value();
  }
  static AuthKey auth_key(Bytes inkey, const Message& about, bool response, Bytes randr_i,
                          Bytes randr_r) {
    return std::move(message_keys(inkey, about, response, randr_i, randr_r).auth);
  }

  Result<void> request_init(const Change& change) {
    const auto request = TicketRequest::start(env_, alice_, wish()).value();
    const Message init = Message::parse(request.message()).value();
    Pieces pieces(init.bytes);
    change(pieces);
    const ByteVector octets = pieces.sealed(
        kSuite256, auth_key(alice_.psk.reveal(), init, false, pieces.rand(RandRole::initiator), {}),
        alice_.self.bytes(), alice_.kms.bytes());
    const ReceivedRequest received = TRY(ReceivedRequest::parse(octets));
    return outcome(received.authenticate(alice_.psk, alice_.self, alice_.kms));
  }

  Result<void> request_resp(const Change& change) {
    const auto request = TicketRequest::start(env_, alice_, wish()).value();
    const Message init = Message::parse(request.message()).value();
    const auto granted = ReceivedRequest::parse(init.bytes)
                             .value()
                             .authenticate(alice_.psk, alice_.self, alice_.kms)
                             .value()
                             .grant(env_, wish(), wish().keys, protection())
                             .value();
    Pieces pieces(granted.message);
    change(pieces);
    return outcome(request.finish(pieces.sealed(
        kSuite256, auth_key(alice_.psk.reveal(), init, true, *init.randr_i, {}), init.bytes)));
  }

  Result<void> transfer_init(const Change& change) {
    GrantedTicket ticket = plain_ticket();
    const Mpk mpki = ticket.mpki.clone();
    const TransferOffer offered = offer(std::move(ticket));
    const Message init = Message::parse(offered.message()).value();
    Pieces pieces(init.bytes);
    change(pieces);
    return outcome(answer(
        pieces.sealed_transfer_init(
            kSuite256, auth_key(mpki.reveal(), init, false, pieces.rand(RandRole::initiator), {}),
            alice_.self.bytes(), bob_.self.bytes()),
        bob_.self));
  }

  Result<void> transfer_resp(const Change& change) {
    GrantedTicket ticket = plain_ticket();
    const Mpk mpki = ticket.mpki.clone();
    const TransferOffer offered = offer(std::move(ticket));
    const Message init = Message::parse(offered.message()).value();
    Pieces pieces(answer(offered.message(), bob_.self).value().message);
    change(pieces);
    return outcome(offered.accept(pieces.sealed(
        kSuite256,
        auth_key(mpki.reveal(), init, true, *init.randr_i, pieces.rand(RandRole::responder)),
        init.bytes)));
  }

  // Bob's RESOLVE_INIT about a ticket with key forking.
  TicketResolve resolve_of(Bytes transfer_init) {
    const auto received = ReceivedTransfer::parse(transfer_init).value();
    return TicketResolve::start(env_, bob_, received.ticket()).value();
  }

  Result<void> resolve_init(const Change& change) {
    const TransferOffer offered = offer(request(wish(), wish()).value());
    const TicketResolve resolve = resolve_of(offered.message());
    const Message init = Message::parse(resolve.message()).value();
    Pieces pieces(init.bytes);
    change(pieces);
    const ByteVector octets = pieces.sealed(
        kSuite256, auth_key(bob_.psk.reveal(), init, false, {}, pieces.rand(RandRole::responder)),
        bob_.self.bytes(), bob_.kms.bytes());
    return outcome(kms_resolves(octets, bob_.self));
  }

  Result<void> resolve_resp(const Change& change) {
    const TransferOffer offered = offer(request(wish(), wish()).value());
    const TicketResolve resolve = resolve_of(offered.message());
    const Message init = Message::parse(resolve.message()).value();
    Pieces pieces(kms_resolves(init.bytes, bob_.self).value());
    change(pieces);
    return outcome(resolve.finish(pieces.sealed(
        kSuite256, auth_key(bob_.psk.reveal(), init, true, {}, *init.randr_r), init.bytes)));
  }

  // Why it was refused.
  std::string refusal(std::string_view message, const Change& change) {
    const auto result = receive(message, change);
    return result ? "accepted" : result.error().describe();
  }
};

TEST_F(Compliance, EveryMessageIsAcceptedAsItIs) {
  for (const std::string_view message : kMessages) {
    const auto result = receive(message, nothing);
    EXPECT_TRUE(result.has_value()) << message << ": " << result.error().describe();
  }
}

// [6043-4.2.1.1-01] [6043-4.2.2.1-01] [6043-4.2.3.1-01] [6043-6.6-01]
TEST_F(Compliance, AMessageWithoutOneOfItsPayloadsIsRefused) {
  struct Row {
    std::string_view message;
    Change change;
    std::string_view missing;
  };
  const Row rows[] = {
      {"REQUEST_INIT", without(PayloadType::t), "lacks its T"},
      {"REQUEST_INIT", without(PayloadType::randr), "lacks its RANDRi"},
      {"REQUEST_INIT", without(PayloadType::tp), "lacks its TP"},
      {"REQUEST_RESP", without(PayloadType::t), "lacks its T"},
      {"REQUEST_RESP", without(PayloadType::ticket), "lacks its TICKET"},
      {"REQUEST_RESP", without(PayloadType::kemac), "lacks its KEMAC"},
      {"TRANSFER_INIT", without(PayloadType::t), "lacks its T"},
      {"TRANSFER_INIT", without(PayloadType::randr), "lacks its RANDRi"},
      {"RESOLVE_INIT", without(PayloadType::t), "lacks its T"},
      {"RESOLVE_INIT", without(PayloadType::randr), "lacks its RANDRr"},
      {"RESOLVE_INIT", without(PayloadType::ticket), "lacks its TICKET"},
      {"RESOLVE_RESP", without(PayloadType::t), "lacks its T"},
      {"RESOLVE_RESP", without(PayloadType::kemac), "lacks its KEMAC"},
      {"RESOLVE_RESP", without(PayloadType::idr, IdRole::responder), "lacks its IDRr"},
      {"RESOLVE_RESP", without(PayloadType::randr, RandRole::kms), "lacks its RANDRkms"},
      {"TRANSFER_RESP", without(PayloadType::t), "lacks its T"},
      {"TRANSFER_RESP", without(PayloadType::randr, RandRole::responder), "lacks its RANDRr"},
      // An ID payload stands for no IDR.
      {"RESOLVE_RESP",
       [](Pieces& message) {
         Pieces::Piece& idr = message.find(PayloadType::idr, IdRole::responder);
         idr.type = PayloadType::id;
         idr.octets.erase(idr.octets.begin() + 1);
       },
       "lacks its IDRr"},
  };
  for (const Row& row : rows) {
    EXPECT_NE(refusal(row.message, row.change).find(row.missing), std::string::npos)
        << row.message << " " << row.missing << ": " << refusal(row.message, row.change);
  }
}

// [6043-4.2.1.1-10] [6043-4.2.1.2-02] [6043-4.2.1.2-03] [6043-4.2.2.1-06] [6043-4.2.2.1-07]
// [6043-4.2.3.1-09] [6043-4.2.3.2-02] [6043-4.2.3.2-03]
TEST_F(Compliance, IdentitiesThatTheReceiverKnowsMayBeLeftOut) {
  struct Row {
    std::string_view message;
    IdRole role;
  };
  for (const Row row :
       {Row{"REQUEST_INIT", IdRole::initiator}, Row{"REQUEST_INIT", IdRole::kms},
        Row{"REQUEST_INIT", IdRole::psk}, Row{"REQUEST_RESP", IdRole::kms},
        Row{"TRANSFER_INIT", IdRole::initiator}, Row{"TRANSFER_INIT", IdRole::responder},
        Row{"RESOLVE_INIT", IdRole::responder}, Row{"RESOLVE_INIT", IdRole::kms},
        Row{"RESOLVE_INIT", IdRole::psk}, Row{"RESOLVE_RESP", IdRole::kms},
        Row{"TRANSFER_RESP", IdRole::responder}}) {
    EXPECT_EQ(refusal(row.message, without(PayloadType::idr, row.role)), "accepted")
        << row.message << " without IDR " << static_cast<int>(row.role);
  }
}

// [6043-4.2.1.4-03] [6043-4.2.1.6-02] [6043-4.2.2.2-03] [6043-4.2.2.4-04] [6043-4.2.3.4-03]
// [6043-4.2.3.6-03]
TEST_F(Compliance, UnexpectedPayloadsAreIgnored) {
  for (const std::string_view message : kMessages) {
    EXPECT_EQ(refusal(message,
                      [](Pieces& pieces) {
                        pieces.insert(PayloadType::rand, {0, 2, 0xAA, 0xBB});
                        pieces.insert(PayloadType::id, {0, 1, 0, 1, 'x'});
                        pieces.insert(PayloadType::err, {0, 1, 0, 0});
                        pieces.insert(PayloadType::ext, {0, 0, 0, 1, 7});
                        pieces.insert(PayloadType::idr, {0, 99, 1, 0, 1, 'x'});
                        pieces.insert(PayloadType::randr, {0, 99, 1, 0xCC});
                        pieces.insert(PayloadType::tr, {0, 1, 2, 0, 0, 0, 1});
                      }),
              "accepted")
        << message;
  }
}

// [6043-4.2.1.1-04] [6043-4.2.1.5-02] [6043-4.2.2.1-04] [6043-4.2.2.3-02] [6043-4.2.3.1-04]
// [6043-4.2.3.5-02] [6043-6.1-01]
TEST_F(Compliance, TheReceiverIgnoresTheVFlag) {
  for (const std::string_view message : kMessages) {
    EXPECT_EQ(refusal(message, [](Pieces& pieces) { pieces.v_and_prf() ^= 0x80; }), "accepted")
        << message;
  }
}

// [6043-4.2.1.5-01] [6043-4.2.2.3-01] [6043-4.2.3.5-01]
TEST_F(Compliance, AResponseWithAnotherPrfOrCsbIdIsRefused) {
  for (const std::string_view message : {"REQUEST_RESP", "RESOLVE_RESP", "TRANSFER_RESP"}) {
    for (const Change& change : {Change([](Pieces& pieces) { pieces.v_and_prf() ^= 1; }),
                                 Change([](Pieces& pieces) { pieces.csb_id() ^= 1; })}) {
      EXPECT_NE(refusal(message, change).find("differ from those of its initial message"),
                std::string::npos)
          << message << ": " << refusal(message, change);
    }
  }
}

// [6043-4.2.1.1-05] [6043-4.2.1.1-06] [6043-4.2.1.1-07] [6043-4.2.1.5-01] [6043-4.2.3.1-05]
// [6043-4.2.3.1-06] [6043-4.2.3.1-07] [6043-4.2.3.5-01] [6043-5.1-01]
TEST_F(Compliance, RequestAndResolveHandleNoCryptoSessions) {
  for (const std::string_view message :
       {"REQUEST_INIT", "REQUEST_RESP", "RESOLVE_INIT", "RESOLVE_RESP"}) {
    // A GENERIC-ID map, empty and with one session; then a session behind the Empty map.
    EXPECT_NE(refusal(message, [](Pieces& pieces) { pieces.map_type() = 2; }).find("Empty map"),
              std::string::npos);
    EXPECT_NE(refusal(message,
                      [](Pieces& pieces) {
                        pieces.map_type() = 2;
                        pieces.cs_count() = 1;
                        const ByteVector session = {1, 2, 0, 0, 0, 1, 9};
                        pieces.header.insert(pieces.header.end(), session.begin(), session.end());
                      })
                  .find("Empty map"),
              std::string::npos);
    EXPECT_NE(refusal(message, [](Pieces& pieces) { pieces.cs_count() = 1; }).find("Empty map"),
              std::string::npos);
  }
}

// [4563-5-01]
TEST_F(Compliance, NoPolicyGoesWithTheEmptyMap) {
  for (const std::string_view message :
       {"REQUEST_INIT", "REQUEST_RESP", "RESOLVE_INIT", "RESOLVE_RESP"}) {
    EXPECT_NE(
        refusal(message, [](Pieces& pieces) { pieces.insert(PayloadType::sp, {0, 1, 2, 0, 0}); })
            .find("no SP goes with the Empty map"),
        std::string::npos)
        << message;
  }
}

// Reading A14: the clauses show an order of payloads, and demand none but HDR first and V last.
TEST_F(Compliance, PayloadsMayComeInAnyOrderBeforeV) {
  for (const std::string_view message : kMessages) {
    EXPECT_EQ(refusal(message,
                      [](Pieces& pieces) {
                        std::reverse(pieces.payloads.begin(), pieces.payloads.end() - 1);
                      }),
              "accepted")
        << message;
  }
}

// [6043-6.1-06]
TEST_F(Compliance, TransferUsesNoMapButGenericId) {
  for (const std::string_view message : {"TRANSFER_INIT", "TRANSFER_RESP"}) {
    for (const std::uint8_t type : {0, 1}) {  // SRTP-ID, Empty map
      EXPECT_NE(refusal(message,
                        [type](Pieces& pieces) {
                          pieces.header.resize(10);
                          pieces.map_type() = type;
                          pieces.cs_count() = 0;
                        })
                    .find("no other map type is accepted"),
                std::string::npos)
          << message;
    }
  }
}

// [6043-4.2.1.2-04] [6043-4.2.1.5-12] [6043-4.2.2.1-11] [6043-4.2.2.3-18] [6043-4.2.3.2-04]
// [6043-4.2.3.5-14]
TEST_F(Compliance, VIsTheLastPayload) {
  for (const std::string_view message : kMessages) {
    EXPECT_NE(refusal(message,
                      [](Pieces& pieces) {
                        const Pieces::Piece v = pieces.payloads.back();
                        pieces.payloads.insert(pieces.payloads.begin(), v);
                        pieces.payloads.front().octets.resize(2 + 32);
                      })
                  .find("V must be the last"),
              std::string::npos)
        << message;
  }
}

// [6043-5.5-01] [6043-4.2.1.2-05] [6043-4.2.2.1-12] [6043-4.2.3.2-05]
TEST_F(Compliance, InitialMessagesAreBoundToBothIdentities) {
  const auto request = TicketRequest::start(env_, alice_, wish()).value();
  const auto received = ReceivedRequest::parse(request.message()).value();
  EXPECT_TRUE(received.authenticate(alice_.psk, alice_.self, alice_.kms).has_value());
  EXPECT_FALSE(received.authenticate(alice_.psk, bob_.self, alice_.kms).has_value());
  EXPECT_FALSE(received.authenticate(alice_.psk, alice_.self, bob_.self).has_value());
  // The ID Data alone: an identity of another type is the same to the MAC.
  EXPECT_TRUE(
      received.authenticate(alice_.psk, Identity::byte_string(std::string(kAlice)), alice_.kms)
          .has_value());

  const TransferOffer offered = offer(plain_ticket());
  const TicketResolve resolve = resolve_of(offered.message());
  const auto resolving = ReceivedResolve::parse(resolve.message()).value();
  EXPECT_TRUE(resolving.authenticate(bob_.psk, bob_.self, bob_.kms).has_value());
  EXPECT_FALSE(resolving.authenticate(bob_.psk, alice_.self, bob_.kms).has_value());
  EXPECT_FALSE(resolving.authenticate(bob_.psk, bob_.self, alice_.self).has_value());

  // For Carol, who is not named in it, Bob's TRANSFER_INIT has another MAC.
  GrantedTicket ticket = plain_ticket();
  const Mpk mpki = ticket.mpki.clone();
  const TransferOffer to_bob = offer(std::move(ticket));
  const Message init = Message::parse(to_bob.message()).value();
  Pieces pieces(init.bytes);
  pieces.drop(PayloadType::idr, IdRole::responder);
  const AuthKey key = auth_key(mpki.reveal(), init, false, *init.randr_i, {});
  const Identity carol = Identity::uri("sip:carol@example.com");
  EXPECT_TRUE(
      answer(pieces.sealed_transfer_init(kSuite256, key, alice_.self.bytes(), bob_.self.bytes()),
             bob_.self)
          .has_value());
  EXPECT_FALSE(
      answer(pieces.sealed_transfer_init(kSuite256, key, alice_.self.bytes(), carol.bytes()),
             bob_.self)
          .has_value());
}

// [6043-5.5-04] [6043-4.2.1.5-14] [6043-4.2.2.3-19] [6043-4.2.3.5-16]
TEST_F(Compliance, AResponseIsBoundToItsWholeInitialMessage) {
  // The responder saw another message: its last octet, one of the MAC, differs.
  const auto another = [](Bytes message) {
    ByteVector octets = to_vector(message);
    octets.back() ^= 1;
    return octets;
  };
  const auto request = TicketRequest::start(env_, alice_, wish()).value();
  const Message init = Message::parse(request.message()).value();
  const auto authenticated = ReceivedRequest::parse(init.bytes)
                                 .value()
                                 .authenticate(alice_.psk, alice_.self, alice_.kms)
                                 .value();
  const ByteVector resp =
      authenticated.grant(env_, wish(), wish().keys, protection()).value().message;
  const AuthKey request_key = auth_key(alice_.psk.reveal(), init, true, *init.randr_i, {});
  EXPECT_TRUE(request.finish(Pieces(resp).sealed(kSuite256, request_key, init.bytes)).has_value());
  EXPECT_FALSE(
      request.finish(Pieces(resp).sealed(kSuite256, request_key, another(init.bytes))).has_value());

  GrantedTicket ticket = plain_ticket();
  const Mpk mpki = ticket.mpki.clone();
  const TransferOffer offered = offer(std::move(ticket));
  const Message transfer = Message::parse(offered.message()).value();
  const Pieces answered(answer(offered.message(), bob_.self).value().message);
  const AuthKey transfer_key = auth_key(mpki.reveal(), transfer, true, *transfer.randr_i,
                                        answered.rand(RandRole::responder));
  EXPECT_TRUE(offered.accept(answered.sealed(kSuite256, transfer_key, transfer.bytes)).has_value());
  EXPECT_FALSE(offered.accept(answered.sealed(kSuite256, transfer_key, another(transfer.bytes)))
                   .has_value());

  const TicketResolve resolve = resolve_of(offered.message());
  const Message resolving = Message::parse(resolve.message()).value();
  const Pieces resolved(kms_resolves(resolving.bytes, bob_.self).value());
  const AuthKey resolve_key = auth_key(bob_.psk.reveal(), resolving, true, {}, *resolving.randr_r);
  EXPECT_TRUE(resolve.finish(resolved.sealed(kSuite256, resolve_key, resolving.bytes)).has_value());
  EXPECT_FALSE(resolve.finish(resolved.sealed(kSuite256, resolve_key, another(resolving.bytes)))
                   .has_value());
}

// [6043-4.2.1-01] [6043-4.2.1-02] [6043-4.2.3-02] [6043-4.2.3-03] [6043-4.2.1.2-04]
// [6043-4.2.1.5-13] [6043-4.2.3.2-04] [6043-4.2.3.5-15] [6043-5.4-03]
TEST_F(Compliance, RequestAndResolveVerifyUnderThePreSharedKeyOfTheSenderAlone) {
  const auto as_another = [](auto& credentials, auto step) {
    const Psk own = std::exchange(credentials.psk, Psk(ByteVector(32, 77)));
    auto result = step();
    credentials.psk = own.clone();
    return result;
  };
  const auto request = TicketRequest::start(env_, alice_, wish()).value();
  const auto forged =
      as_another(alice_, [&] { return TicketRequest::start(env_, alice_, wish()).value(); });
  const auto kms_hears = [&](Bytes message) {
    return ReceivedRequest::parse(message).value().authenticate(alice_.psk, alice_.self,
                                                                alice_.kms);
  };
  EXPECT_TRUE(kms_hears(request.message()).has_value());
  EXPECT_EQ(kms_hears(forged.message()).error().category(), Category::unauthenticated);
  const ByteVector granted = kms_hears(request.message())
                                 .value()
                                 .grant(env_, wish(), wish().keys, protection())
                                 .value()
                                 .message;
  EXPECT_TRUE(request.finish(granted).has_value());
  // Only the key of the MAC is another one.
  const Psk other(ByteVector(32, 77));
  const Message request_init = Message::parse(request.message()).value();
  const AuthKey other_of_request =
      auth_key(other.reveal(), request_init, true, *request_init.randr_i, {});
  EXPECT_EQ(request.finish(Pieces(granted).sealed(kSuite256, other_of_request, request.message()))
                .error()
                .category(),
            Category::unauthenticated);

  const TransferOffer offered = offer(request.finish(granted).value());
  const TicketResolve resolve = resolve_of(offered.message());
  const TicketResolve false_resolve =
      as_another(bob_, [&] { return resolve_of(offered.message()); });
  const auto resolved = kms_resolves(resolve.message(), bob_.self);
  EXPECT_TRUE(resolve.finish(resolved.value()).has_value());
  EXPECT_EQ(kms_resolves(false_resolve.message(), bob_.self).error().category(),
            Category::unauthenticated);
  const Message resolve_init = Message::parse(resolve.message()).value();
  const AuthKey other_of_resolve =
      auth_key(other.reveal(), resolve_init, true, {}, *resolve_init.randr_r);
  EXPECT_EQ(
      resolve
          .finish(Pieces(resolved.value()).sealed(kSuite256, other_of_resolve, resolve.message()))
          .error()
          .category(),
      Category::unauthenticated);
}

// [6043-4.2.1.5-08] [6043-4.2.1.5-09] [6043-4.2.1.5-06] [6043-4.2.3.5-06] [6043-4.2.3.5-07]
// [6043-4.2.3.5-08]
TEST_F(Compliance, AKemacHoldsMpkiAndWithKeyForkingASecondMpk) {
  const Mpk mpk(ByteVector(32, 5));
  const ByteVector spi = {9, 9};
  // Puts these MPKs into the KEMAC of a response.
  const auto with_mpks = [&](const Mpk* first, const Mpk* second, const MessageKeys& keys,
                             const Message& about) {
    return [&, first, second](Pieces& message) {
      std::vector<SessionKey> session_keys;
      session_keys.push_back({KeyType::tgk, CarriedKey(ByteVector(32, 6)), SaltKey(), {1}});
      const PlainKeyData plain = first == nullptr ? encode_kemac_keys({}, spi, session_keys)
                                 : second == nullptr
                                     ? encode_kemac_keys({first}, spi, session_keys)
                                     : encode_kemac_keys({first, second}, spi, session_keys);
      const ByteVector sealed =
          seal_kemac(kSuite256, keys, about.header.csb_id, Timestamp::from(clock_.now()), plain)
              .value();
      ByteVector& kemac = message.find(PayloadType::kemac).octets;
      kemac = {0, static_cast<std::uint8_t>(EncrAlg::aes_cm_256),
               static_cast<std::uint8_t>(sealed.size() >> 8),
               static_cast<std::uint8_t>(sealed.size())};
      kemac.insert(kemac.end(), sealed.begin(), sealed.end());
      kemac.push_back(static_cast<std::uint8_t>(MacAlg::null));
    };
  };
  for (const bool forking : {true, false}) {
    const TicketPolicy policy = forking ? wish() : plain_wish();
    const auto request = TicketRequest::start(env_, alice_, policy).value();
    const Message init = Message::parse(request.message()).value();
    const Pieces granted(ReceivedRequest::parse(init.bytes)
                             .value()
                             .authenticate(alice_.psk, alice_.self, alice_.kms)
                             .value()
                             .grant(env_, policy, policy.keys, protection())
                             .value()
                             .message);
    const MessageKeys request_keys =
        message_keys(alice_.psk.reveal(), init, true, *init.randr_i, {});
    const TransferOffer offered =
        offer(request.finish(granted.sealed(kSuite256, request_keys.auth, init.bytes)).value());
    const TicketResolve resolve = resolve_of(offered.message());
    const Message resolving = Message::parse(resolve.message()).value();
    const Pieces resolved(kms_resolves(resolving.bytes, bob_.self).value());
    const MessageKeys resolve_keys =
        message_keys(bob_.psk.reveal(), resolving, true, {}, *resolving.randr_r);
    struct Row {
      const Mpk* first;
      const Mpk* second;
      bool accepted;
    };
    for (const Row& row :
         {Row{nullptr, nullptr, false}, Row{&mpk, nullptr, !forking}, Row{&mpk, &mpk, forking}}) {
      Pieces request_resp = granted;
      with_mpks(row.first, row.second, request_keys, init)(request_resp);
      EXPECT_EQ(
          request.finish(request_resp.sealed(kSuite256, request_keys.auth, init.bytes)).has_value(),
          row.accepted);
      Pieces resolve_resp = resolved;
      with_mpks(row.first, row.second, resolve_keys, resolving)(resolve_resp);
      EXPECT_EQ(resolve.finish(resolve_resp.sealed(kSuite256, resolve_keys.auth, resolving.bytes))
                    .has_value(),
                row.accepted);
    }
  }
}

// [6043-4.2.1.5-05] [6043-4.2.3.5-05]
// [3830-4.2.3-05] [3830-4.2.4-03]
TEST_F(Compliance, AKemacWithAMacOfItsOwnIsRefused) {
  for (const std::string_view message : {"REQUEST_RESP", "RESOLVE_RESP"}) {
    EXPECT_NE(refusal(message,
                      [](Pieces& pieces) {
                        ByteVector& kemac = pieces.find(PayloadType::kemac).octets;
                        kemac.back() = static_cast<std::uint8_t>(MacAlg::hmac_sha_256_256);
                        kemac.resize(kemac.size() + 32);
                      })
                  .find("it must be NULL"),
              std::string::npos)
        << message;
  }
}

// [6043-4.2.1.5-10] [6043-4.2.1.5-11] [6043-4.2.3.5-09] [6043-4.2.3.5-10] [6043-4.2.3.6-01]
// [6043-4.2.2.1-11] [6043-4.2.2.3-18] [6043-5.1-02] [6043-5.1-03] [6043-5.1.2-01]
TEST_F(Compliance, WithKeyForkingMpkiProtectsTheOfferAndMpkrForkedTheAnswer) {
  GrantedTicket ticket = request(wish(), wish()).value();
  const Mpk mpki = ticket.mpki.clone();
  const Mpk mpkr = ticket.mpkr.clone();
  const TransferOffer offered = offer(std::move(ticket));
  const Message init = Message::parse(offered.message()).value();
  const Pieces answered(answer(offered.message(), bob_.self).value().message);
  const Mpk mpkr_forked =
      fork_mpkr(PrfFunc::hmac_sha_256, mpkr, bob_.self.bytes(), answered.rand(RandRole::kms))
          .value();
  const auto answer_under = [&](const Mpk& mpk) {
    return offered.accept(answered.sealed(
        kSuite256,
        auth_key(mpk.reveal(), init, true, *init.randr_i, answered.rand(RandRole::responder)),
        init.bytes));
  };
  EXPECT_TRUE(answer_under(mpkr_forked).has_value());
  EXPECT_FALSE(answer_under(mpki).has_value());
  EXPECT_FALSE(answer_under(mpkr).has_value());

  const auto received = ReceivedTransfer::parse(offered.message()).value();
  const auto resolved_with = [&](const Mpk& first) {
    return ResolvedTicket{first.clone(), mpkr_forked.clone(), {}, bob_.self, ByteVector(32, 1)};
  };
  EXPECT_TRUE(received.verify(resolved_with(mpki), bob_.self).has_value());
  EXPECT_FALSE(received.verify(resolved_with(mpkr), bob_.self).has_value());
  EXPECT_FALSE(received.verify(resolved_with(mpkr_forked), bob_.self).has_value());
}

// Who resolved the ticket knows MPKi and could make a TRANSFER_INIT of her own with it.
// [6043-4.2.3.6-02] [6043-6.10-37] [6043-9.1-01]
TEST_F(Compliance, AGenuineTicketInAnotherMessageIsRefusedThoughTheMacVerifies) {
  GrantedTicket ticket = request(wish(), wish()).value();
  const Mpk mpki = ticket.mpki.clone();
  const TransferOffer offered = offer(std::move(ticket));
  const Message init = Message::parse(offered.message()).value();
  Pieces pieces(init.bytes);
  Pieces covered = pieces;
  ByteVector& covered_ticket = covered.find(PayloadType::ticket).octets;
  covered_ticket.resize(covered_ticket.size() - init.ticket->initiator_data.size() - 2);
  for (Pieces* each : {&pieces, &covered}) each->insert(PayloadType::ext, {0, 0, 0, 1, 7});
  ByteVector octets = pieces.without_mac();
  const Mac mac = compute_mac(kSuite256, auth_key(mpki.reveal(), init, false, *init.randr_i, {}),
                              {covered.without_mac(), alice_.self.bytes(), bob_.self.bytes()})
                      .value();
  octets.insert(octets.end(), mac.bytes().begin(), mac.bytes().end());

  const auto received = ReceivedTransfer::parse(octets).value();
  const auto early = received.check_early(profile_, clock_.now());
  ASSERT_FALSE(early.has_value());
  EXPECT_NE(early.error().text().find("MAC in Vi"), std::string::npos);
  const auto late = received.verify(
      ResolvedTicket{mpki.clone(), Mpk(ByteVector(32, 3)), {}, bob_.self, ByteVector(32, 1)},
      bob_.self);
  ASSERT_FALSE(late.has_value());
  EXPECT_NE(late.error().text().find("MAC in Vi"), std::string::npos);
}

// [6043-4.2.3.4-02] [6043-6.10-35] [6043-6.10-36] [6043-6.10-38] [6043-6.10-39] [6043-6.10-40]
// [6043-6.10-41]
TEST_F(Compliance, TheKmsVerifiesVrOverAllOfTheInitiatorData) {
  GrantedTicket ticket = request(wish(), wish()).value();
  const Mpk mpkr = ticket.mpkr.clone();
  const TransferOffer offered = offer(std::move(ticket));
  const TicketResolve resolve = resolve_of(offered.message());
  const Message init = Message::parse(resolve.message()).value();
  const ByteVector genuine = to_vector(init.ticket->initiator_data);
  const auto with = [&](const ByteVector& initiator_data) {
    Pieces pieces(init.bytes);
    ByteVector& payload = pieces.find(PayloadType::ticket).octets;
    payload.resize(payload.size() - genuine.size() - 2);
    payload.push_back(static_cast<std::uint8_t>(initiator_data.size() >> 8));
    payload.push_back(static_cast<std::uint8_t>(initiator_data.size()));
    payload.insert(payload.end(), initiator_data.begin(), initiator_data.end());
    return kms_resolves(
        pieces.sealed(kSuite256, auth_key(bob_.psk.reveal(), init, false, {}, *init.randr_r),
                      bob_.self.bytes(), bob_.kms.bytes()),
        bob_.self);
  };
  ASSERT_EQ(genuine.size(), 1U + 2 * (2 + 32));
  EXPECT_TRUE(with(genuine).has_value());
  EXPECT_FALSE(with({}).has_value());
  for (std::size_t i = 0; i < genuine.size(); ++i) {
    ByteVector changed = genuine;
    changed[i] ^= 1;
    EXPECT_FALSE(with(changed).has_value()) << "octet " << i;
  }

  const AuthKey key = derive_initiator_data_key(kSuite256, mpkr).value();
  const auto closed = [&](ByteVector covered) {
    const Mac vr = compute_mac(kSuite256, key, {covered}).value();
    covered.insert(covered.end(), vr.bytes().begin(), vr.bytes().end());
    return covered;
  };
  const ByteVector vi(genuine.begin() + 2, genuine.begin() + 1 + 2 + 32);
  ByteVector covered = {9, 9};
  covered.insert(covered.end(), vi.begin(), vi.end());
  ByteVector plain = covered;
  plain.insert(plain.end(), {0, 2});
  EXPECT_EQ(to_hex(closed(plain)), to_hex(genuine));

  // An unexpected payload between Vi and Vr is ignored, one behind Vr is not covered by it.
  ByteVector between = covered;
  between[1] = static_cast<std::uint8_t>(PayloadType::ext);
  between.insert(between.end(), {9, 0, 0, 1, 7, 0, 2});
  EXPECT_TRUE(with(closed(between)).has_value());
  ByteVector behind = covered;
  behind.insert(behind.end(), {static_cast<std::uint8_t>(PayloadType::ext), 2});
  behind = closed(behind);
  behind.insert(behind.end(), {0, 0, 0, 1, 7});
  EXPECT_FALSE(with(behind).has_value());

  // Vr with another algorithm than Vi.
  ByteVector weaker = covered;
  weaker.insert(weaker.end(), {0, 1});
  const Mac sha_1 = compute_mac(kSuite128, key, {weaker}).value();
  weaker.insert(weaker.end(), sha_1.bytes().begin(), sha_1.bytes().end());
  EXPECT_FALSE(with(weaker).has_value());
}

// [6043-12.1-05] [6043-12.1-06]
TEST_F(Compliance, RandsShorterThanTheKeysAreRefused) {
  struct Row {
    std::string_view message;
    RandRole role;
    std::uint8_t octets;
    bool accepted;
  };
  for (const Row& row :
       {Row{"REQUEST_INIT", RandRole::initiator, 31, false},
        Row{"REQUEST_INIT", RandRole::initiator, 32, true},
        Row{"RESOLVE_INIT", RandRole::responder, 31, false},
        Row{"RESOLVE_INIT", RandRole::responder, 32, true},
        Row{"RESOLVE_RESP", RandRole::kms, 31, false}, Row{"RESOLVE_RESP", RandRole::kms, 32, true},
        // Together with RANDRi it is long enough.
        Row{"TRANSFER_RESP", RandRole::responder, 1, true}}) {
    const std::string said =
        refusal(row.message, [&](Pieces& message) { message.cut_rand(row.role, row.octets); });
    EXPECT_EQ(said == "accepted", row.accepted) << row.message << ": " << said;
    if (!row.accepted) {
      EXPECT_NE(said.find("too short"), std::string::npos) << row.message << ": " << said;
    }
  }
  // Without RANDRr (G = 0) RANDRi has to do it alone.
  TicketPolicy policy = plain_wish();
  policy.flags = TicketFlags::from_letters("DEFHNO").value();
  for (const std::uint8_t octets : {31, 32}) {
    GrantedTicket ticket = request(policy, policy).value();
    const Mpk mpki = ticket.mpki.clone();
    const TransferOffer offered = offer(std::move(ticket));
    const Message init = Message::parse(offered.message()).value();
    Pieces pieces(init.bytes);
    pieces.cut_rand(RandRole::initiator, octets);
    const AuthKey key = auth_key(mpki.reveal(), init, false, pieces.rand(RandRole::initiator), {});
    EXPECT_EQ(
        answer(pieces.sealed_transfer_init(kSuite256, key, alice_.self.bytes(), bob_.self.bytes()),
               bob_.self)
            .has_value(),
        octets == 32);
  }
}

// [6043-12.1-10] [6043-12.1-11]
TEST_F(Compliance, AlgorithmsOfTwoSuitesInOneMessageAreRefused) {
  for (const std::string_view message : kMessages) {
    // V with the MAC of the 128-bit suite, which is 12 octets shorter.
    const auto mixed = [&] {
      return refusal(message, [](Pieces& pieces) {
        pieces.payloads.back().octets[1] = static_cast<std::uint8_t>(MacAlg::hmac_sha_1_160);
      });
    };
    EXPECT_NE(mixed(), "accepted") << message;
  }
  for (const std::string_view message : {"REQUEST_RESP", "RESOLVE_RESP"}) {
    const std::string said = refusal(message, [](Pieces& pieces) {
      pieces.find(PayloadType::kemac).octets[1] = static_cast<std::uint8_t>(EncrAlg::aes_cm_128);
    });
    EXPECT_NE(said.find("suites must not be mixed"), std::string::npos) << message << ": " << said;
  }
}

// [6043-12.1-12]
// [3830-9.1-02]
TEST_F(Compliance, LongSessionKeysDoNotGoWithThe128BitSuite) {
  TicketPolicy policy = wish();
  policy.prf = PrfFunc::mikey_1;
  policy.keys = {{KeyType::tgk, 16, 0, {1}}};
  alice_.psk = Psk(ByteVector(16, 1));
  EXPECT_TRUE(request(policy, policy).has_value());
  policy.keys = {{KeyType::tgk, 17, 0, {1}}};
  EXPECT_FALSE(request(policy, policy).has_value());
}

// [6043-6.1.1-17] [6043-6.1.1-16]
TEST_F(Compliance, AnAnswerWhoseSpiNamesNoKeyIsRefused) {
  for (const bool unknown : {true, false}) {
    const std::string said = refusal("TRANSFER_RESP", [=](Pieces& message) {
      if (unknown) {
        message.header.back() ^= 1;  // the last octet of the SPI
      } else {
        message.header.resize(message.header.size() - 4);
        message.header.back() = 0;  // SPI Length
      }
    });
    const std::string_view expected = unknown ? "names none of the bundle's keys" : "has no SPI";
    EXPECT_NE(said.find(expected), std::string::npos) << said;
  }
}

// [6043-6.10-24] [6043-6.10-23]
TEST_F(Compliance, UnexpectedPayloadsInTpDataAreIgnored) {
  constexpr std::size_t kFirst = 10;  // of the TP payload: First Payload
  const std::pair<PayloadType, ByteVector> rows[] = {
      {PayloadType::ext, {0, 0, 1, 7}},
      {PayloadType::tr, {static_cast<std::uint8_t>(TsRole::issue), 3, 1, 2, 3, 4}},
      {PayloadType::idr, {static_cast<std::uint8_t>(IdRole::psk), 2, 0, 1, 'k'}},
  };
  for (const auto& [type, fields] : rows) {
    EXPECT_EQ(refusal("REQUEST_INIT",
                      [&](Pieces& message) {
                        ByteVector& tp = message.find(PayloadType::tp).octets;
                        ByteVector payload = {tp[kFirst]};
                        payload.insert(payload.end(), fields.begin(), fields.end());
                        tp[kFirst] = static_cast<std::uint8_t>(type);
                        tp.insert(tp.begin() + kFirst + 1, payload.begin(), payload.end());
                        lengthen_tp(tp, payload.size());
                      }),
              "accepted")
        << name_of(type);
  }
  EXPECT_NE(refusal("REQUEST_INIT",
                    [](Pieces& message) { message.find(PayloadType::tp).octets[kFirst] = 99; })
                .find("has no meaning here"),
            std::string::npos);
}

// Reading A19: it is not expected there, so that its lengths are all that is looked at.
TEST_F(Compliance, ATicketPolicyInsideAnotherIsPassedOver) {
  constexpr std::size_t kFirst = 10;  // of the TP payload: First Payload
  for (const std::uint8_t length : {2, 3}) {
    const std::string said = refusal("REQUEST_INIT", [&](Pieces& message) {
      ByteVector& tp = message.find(PayloadType::tp).octets;
      // Its TP Data would begin with a First Payload that does not exist.
      const ByteVector inner = {tp[kFirst], 0, 9, 9, 9, 0xFF, 0xFF, 0xFF, 0, length, 99, 99};
      tp[kFirst] = static_cast<std::uint8_t>(PayloadType::tp);
      tp.insert(tp.begin() + kFirst + 1, inner.begin(), inner.end());
      lengthen_tp(tp, inner.size());
    });
    EXPECT_EQ(said == "accepted", length == 2) << said;
  }
}

// Without key forking nothing demands IDRr of the KMS; where it is there, it is whom we answer as.
// [6043-4.2.2.3-10]
TEST_F(Compliance, WithoutKeyForkingTheKmsMayNameTheResponderToo) {
  const TransferOffer offered = offer(plain_ticket());
  const TicketResolve resolve = resolve_of(offered.message());
  const Message init = Message::parse(resolve.message()).value();
  Pieces response(kms_resolves(init.bytes, bob_.self).value());
  const std::string named = "sip:bob@home.example.com";
  ByteVector idr = {0, static_cast<std::uint8_t>(IdRole::responder),
                    static_cast<std::uint8_t>(IdType::uri), 0,
                    static_cast<std::uint8_t>(named.size())};
  idr.insert(idr.end(), named.begin(), named.end());
  response.insert(PayloadType::idr, idr);
  ResolvedTicket resolved =
      resolve
          .finish(response.sealed(
              kSuite256, auth_key(bob_.psk.reveal(), init, true, {}, *init.randr_r), init.bytes))
          .value();
  const auto received = ReceivedTransfer::parse(offered.message()).value();
  const auto transfer = received.verify(std::move(resolved), bob_.self).value();
  const TransferAnswer answer = transfer.respond(env_, {bob_.self, {}, {}, {}}).value();
  EXPECT_EQ(Message::parse(answer.message).value().idr_r->text(), named);
}

TEST_F(Compliance, AnMpkCannotBeWishedFor) {
  TicketPolicy with_mpk = wish();
  with_mpk.keys[0].type = KeyType::mpk;
  const std::string said = refusal("REQUEST_INIT", [&](Pieces& message) {
    ByteWriter policy;
    with_mpk.encode(policy);
    ByteVector& tp = message.find(PayloadType::tp).octets;
    tp.resize(1);  // Next Payload
    tp.insert(tp.end(), policy.view().begin(), policy.view().end());
  });
  EXPECT_NE(said.find("MPKs cannot be wished for: the KMS always makes them"), std::string::npos)
      << said;
}

// [6043-6.10-16]
TEST_F(Compliance, AWishNeverHasK) {
  TicketPolicy with_k = wish();
  with_k.flags = with_k.flags.with(TicketFlag::k_changed);
  const auto request = TicketRequest::start(env_, alice_, with_k).value();
  EXPECT_EQ(ReceivedRequest::parse(request.message()).value().wish().flags, wish().flags);
}

// [6043-6.10-16]
TEST_F(Compliance, TheKmsIgnoresKInAWish) {
  // In the octet of the flags E to L. D is the last bit of the octet before.
  constexpr std::uint8_t kK = 0x02;
  constexpr std::uint8_t kL = 0x01;
  EXPECT_EQ(refusal("REQUEST_INIT",
                    [](Pieces& message) { message.find(PayloadType::tp).octets[6] |= kK; }),
            "accepted");
  // K demands D; a K that is ignored does not.
  EXPECT_EQ(refusal("REQUEST_INIT",
                    [](Pieces& message) {
                      ByteVector& tp = message.find(PayloadType::tp).octets;
                      tp[5] &= 0xFE;
                      tp[6] |= kK | kL;
                    }),
            "accepted");
}

// [6043-6.10-30] [6043-6.10-31]
// [3830-4.2.3-01]
TEST_F(Compliance, WishedKeysAreZeroAndTheirValueIsIgnored) {
  const auto request = TicketRequest::start(env_, alice_, wish()).value();
  const Message init = Message::parse(request.message()).value();
  PayloadWalker walker(ByteReader("TP", init.tp->tp_data.subspan(1)),
                       static_cast<PayloadType>(init.tp->tp_data[0]));
  const KemacView* kemac = nullptr;
  Payload found;
  while (auto payload = walker.next().value()) {
    if (payload->type == PayloadType::kemac) found = *payload;
  }
  kemac = std::get_if<KemacView>(&found.value);
  ASSERT_NE(kemac, nullptr);
  EXPECT_EQ(kemac->encr_alg, EncrAlg::null);
  EXPECT_EQ(kemac->mac_alg, MacAlg::null);
  KeyDataWalker keys(ByteReader("KEMAC", kemac->encr_data));
  const KeyDataView key = *keys.next().value();
  EXPECT_TRUE(std::ranges::all_of(key.key, [](std::uint8_t octet) { return octet == 0; }));

  // The KEMAC starts in TP where it starts in TP Data; its first key octet follows 8 octets later.
  const std::size_t in_tp = static_cast<std::size_t>(key.key.data() - init.tp->tp_data.data()) + 10;
  TicketPolicy read;
  EXPECT_EQ(refusal("REQUEST_INIT",
                    [&](Pieces& message) {
                      message.find(PayloadType::tp).octets[in_tp] = 0xAB;
                      const ByteVector octets = message.sealed(kSuite256, AuthKey(32), {});
                      read = ReceivedRequest::parse(octets).value().wish();
                    }),
            "accepted");
  EXPECT_EQ(read.keys, wish().keys);

  for (const bool encryption : {true, false}) {
    const std::string said = refusal("REQUEST_INIT", [&](Pieces& message) {
      ByteVector& tp = message.find(PayloadType::tp).octets;
      const std::size_t alg =
          static_cast<std::size_t>(kemac->encr_data.data() - init.tp->tp_data.data()) + 10 - 3;
      if (encryption) {
        tp[alg] = static_cast<std::uint8_t>(EncrAlg::aes_cm_256);
      } else {
        const std::size_t mac = alg + 3 + kemac->encr_data.size();
        tp[mac] = static_cast<std::uint8_t>(MacAlg::hmac_sha_1_160);
        tp.insert(tp.begin() + static_cast<std::ptrdiff_t>(mac) + 1, 20, 0);
        lengthen_tp(tp, 20);
      }
    });
    EXPECT_NE(said.find("uses NULL encryption and a NULL MAC"), std::string::npos) << said;
  }
}

}  // namespace
}  // namespace keystub::mikey
