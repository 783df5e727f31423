// Rules of RFC 6043 that show only in a message that is genuine and wrong: each message is taken
// apart, changed, and given a MAC that verifies. docs/compliance.md says which rule is tested
// where.
#include <functional>

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

  static AuthKey auth_key(Bytes inkey, const Message& about, bool response, Bytes randr_i,
                          Bytes randr_r) {
    return derive_message_keys(kSuite256, inkey, {about.header.csb_id, response, randr_i, randr_r},
                               Protects::integrity)
        .value()
        .auth;
  }
  static ByteVector changed(Bytes octets, const Change& change, const AuthKey& key, Bytes following,
                            Bytes more_following = {}) {
    Pieces pieces(octets);
    change(pieces);
    return pieces.sealed(kSuite256, key, following, more_following);
  }

  Result<void> request_init(const Change& change) {
    const auto request = TicketRequest::start(env_, alice_, wish()).value();
    const Message init = Message::parse(request.message()).value();
    const ByteVector octets =
        changed(init.bytes, change, auth_key(alice_.psk.reveal(), init, false, *init.randr_i, {}),
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
    return outcome(request.finish(
        changed(granted.message, change,
                auth_key(alice_.psk.reveal(), init, true, *init.randr_i, {}), init.bytes)));
  }

  Result<void> transfer_init(const Change& change) {
    GrantedTicket ticket = plain_ticket();
    const Mpk mpki = ticket.mpki.clone();
    const TransferOffer offered = offer(std::move(ticket));
    const Message init = Message::parse(offered.message()).value();
    Pieces pieces(init.bytes);
    change(pieces);
    return outcome(answer(pieces.sealed_transfer_init(
                              kSuite256, auth_key(mpki.reveal(), init, false, *init.randr_i, {}),
                              alice_.self.bytes(), bob_.self.bytes()),
                          bob_.self));
  }

  Result<void> transfer_resp(const Change& change) {
    GrantedTicket ticket = plain_ticket();
    const Mpk mpki = ticket.mpki.clone();
    const TransferOffer offered = offer(std::move(ticket));
    const Message init = Message::parse(offered.message()).value();
    const TransferAnswer answered = answer(offered.message(), bob_.self).value();
    const Message resp = Message::parse(answered.message).value();
    return outcome(offered.accept(
        changed(resp.bytes, change,
                auth_key(mpki.reveal(), init, true, *init.randr_i, *resp.randr_r), init.bytes)));
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
    const ByteVector octets =
        changed(init.bytes, change, auth_key(bob_.psk.reveal(), init, false, {}, *init.randr_r),
                bob_.self.bytes(), bob_.kms.bytes());
    return outcome(kms_resolves(octets, bob_.self));
  }

  Result<void> resolve_resp(const Change& change) {
    const TransferOffer offered = offer(request(wish(), wish()).value());
    const TicketResolve resolve = resolve_of(offered.message());
    const Message init = Message::parse(resolve.message()).value();
    const ByteVector resp = kms_resolves(init.bytes, bob_.self).value();
    return outcome(resolve.finish(changed(
        resp, change, auth_key(bob_.psk.reveal(), init, true, {}, *init.randr_r), init.bytes)));
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

}  // namespace
}  // namespace keystub::mikey
