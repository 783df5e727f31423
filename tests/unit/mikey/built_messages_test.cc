// What the exchanges put into a message: its payloads, fresh values, and keys that only the right
// party can use (RFC 6043 4.2). docs/compliance.md says which rule is tested where.
#include <algorithm>

#include "tests/unit/mikey/exchanges.h"

namespace keystub::mikey {
namespace {

using namespace std::chrono_literals;

// Alice's TRANSFER_INIT and Bob's answer to it, with all messages on the way.
struct Played {
  ByteVector request_init;
  ByteVector request_resp;
  ByteVector transfer_init;
  ByteVector resolve_init;
  ByteVector resolve_resp;
  ByteVector transfer_resp;
};

class BuiltMessages : public Exchanges {
 protected:
  // A second passes before each message.
  Played play() {
    Played out;
    clock_.advance(1s);
    const TicketPolicy wished = wish();
    const auto request = TicketRequest::start(env_, alice_, wished).value();
    out.request_init = to_vector(request.message());
    clock_.advance(1s);
    out.request_resp = ReceivedRequest::parse(out.request_init)
                           .value()
                           .authenticate(alice_.psk, alice_.self, alice_.kms)
                           .value()
                           .grant(env_, wished, wished.keys, protection())
                           .value()
                           .message;
    clock_.advance(1s);
    const TransferOffer offered = offer(request.finish(out.request_resp).value());
    out.transfer_init = to_vector(offered.message());
    const auto received = ReceivedTransfer::parse(out.transfer_init).value();
    clock_.advance(1s);
    const auto resolve = TicketResolve::start(env_, bob_, received.ticket()).value();
    out.resolve_init = to_vector(resolve.message());
    clock_.advance(1s);
    out.resolve_resp = kms_resolves(out.resolve_init, bob_.self).value();
    clock_.advance(1s);
    out.transfer_resp = received.verify(resolve.finish(out.resolve_resp).value(), bob_.self)
                            .value()
                            .respond(env_, {bob_.self, {}, {}})
                            .value()
                            .message;
    return out;
  }

  // Mode 1 with these flags, whatever the profile says.
  TransferOffer offer_with(TicketFlags flags) {
    TicketPolicy policy = wish();
    policy.flags = flags;
    profile_.require_forking = false;
    return offer(request(policy, policy).value());
  }
};

std::vector<PayloadType> payload_types(const Message& message) {
  std::vector<PayloadType> types;
  PayloadWalker walker = message.payloads();
  while (const auto payload = walker.next().value()) types.push_back(payload->type);
  return types;
}

// [6043-4.2.1.1-03] [6043-4.2.1.1-09] [6043-4.2.1.2-01] [6043-4.2.1.2-04]
TEST_F(BuiltMessages, RequestInitHasItsComponents) {
  const Played played = play();
  const Message message = Message::parse(played.request_init).value();
  EXPECT_EQ(message.header.data_type, DataType::request_init_psk);
  EXPECT_TRUE(message.header.v_flag);
  EXPECT_EQ(message.header.map_type, CsIdMapType::empty);
  EXPECT_EQ(message.header.cs_count, 0);
  EXPECT_TRUE(message.t && message.randr_i && message.tp);
  EXPECT_EQ(message.idr_i->text(), kAlice);
  EXPECT_EQ(message.idr_kms->text(), kKms);
  EXPECT_EQ(message.idr_psk->type, IdType::byte_string);
  EXPECT_EQ(payload_types(message).back(), PayloadType::v);
}

// [6043-4.2.1.5-02] [6043-4.2.1.5-05] [6043-4.2.1.5-12]
TEST_F(BuiltMessages, RequestRespHasItsComponents) {
  const Played played = play();
  const Message init = Message::parse(played.request_init).value();
  const Message message = Message::parse(played.request_resp).value();
  EXPECT_EQ(message.header.data_type, DataType::request_resp);
  EXPECT_FALSE(message.header.v_flag);
  EXPECT_EQ(message.header.prf, init.header.prf);
  EXPECT_EQ(message.header.csb_id, init.header.csb_id);
  EXPECT_EQ(message.header.map_type, init.header.map_type);
  EXPECT_EQ(message.kemac->mac_alg, MacAlg::null);
  EXPECT_TRUE(message.ticket->initiator_data.empty());
  EXPECT_EQ(payload_types(message).back(), PayloadType::v);
}

// [6043-4.2.2.1-03] [6043-4.2.2.1-05] [6043-6.1-05] [3830-9.5-01]
TEST_F(BuiltMessages, TransferInitHasItsComponents) {
  const Played played = play();
  const Message message = Message::parse(played.transfer_init).value();
  EXPECT_EQ(message.header.data_type, DataType::transfer_init);
  EXPECT_TRUE(message.header.v_flag);
  EXPECT_EQ(message.header.map_type, CsIdMapType::generic_id);
  EXPECT_TRUE(message.t && message.randr_i && message.ticket);
  EXPECT_EQ(message.idr_i->text(), kAlice);
  EXPECT_EQ(message.idr_r->text(), kBob);
  EXPECT_EQ(payload_types(message).back(), PayloadType::v);
}

// [6043-4.2.3.1-03] [6043-4.2.3.1-08] [6043-4.2.3.2-01] [6043-4.2.3.2-04] [6043-10-04] [6043-10-05]
TEST_F(BuiltMessages, ResolveInitHasItsComponentsAndTheTicketAsItCame) {
  const Played played = play();
  const Message transfer = Message::parse(played.transfer_init).value();
  const Message message = Message::parse(played.resolve_init).value();
  EXPECT_EQ(message.header.data_type, DataType::resolve_init_psk);
  EXPECT_TRUE(message.header.v_flag);
  EXPECT_EQ(message.header.map_type, CsIdMapType::empty);
  EXPECT_EQ(message.idr_r->text(), kBob);
  EXPECT_EQ(message.idr_kms->text(), kKms);
  EXPECT_TRUE(equal(message.ticket->body, transfer.ticket->body));
  EXPECT_TRUE(equal(message.ticket->initiator_data, transfer.ticket->initiator_data));
  EXPECT_EQ(payload_types(message).back(), PayloadType::v);
}

// [6043-4.2.3.5-02] [6043-4.2.3.5-05] [6043-4.2.3.5-12] [6043-4.2.3.5-14]
TEST_F(BuiltMessages, ResolveRespHasItsComponents) {
  const Played played = play();
  const Message init = Message::parse(played.resolve_init).value();
  const Message message = Message::parse(played.resolve_resp).value();
  EXPECT_EQ(message.header.data_type, DataType::resolve_resp);
  EXPECT_FALSE(message.header.v_flag);
  EXPECT_EQ(message.header.csb_id, init.header.csb_id);
  EXPECT_EQ(message.kemac->mac_alg, MacAlg::null);
  EXPECT_EQ(message.idr_r->text(), kBob);
  EXPECT_EQ(message.randr_kms->size(), 32U);
  EXPECT_EQ(payload_types(message).back(), PayloadType::v);
}

// [6043-4.2.2.3-02] [6043-4.2.2.3-10] [6043-4.2.2.3-12] [6043-4.2.2.3-14]
TEST_F(BuiltMessages, TransferRespRepeatsWhatTheKmsForkedTheKeysWith) {
  const Played played = play();
  const Message resolved = Message::parse(played.resolve_resp).value();
  const Message message = Message::parse(played.transfer_resp).value();
  EXPECT_FALSE(message.header.v_flag);
  EXPECT_EQ(message.idr_r->text(), resolved.idr_r->text());
  EXPECT_TRUE(equal(*message.randr_kms, *resolved.randr_kms));
  const std::vector<PayloadType> types = payload_types(message);
  EXPECT_EQ(std::ranges::count(types, PayloadType::sp), 0);
  EXPECT_EQ(types.back(), PayloadType::v);
}

// [6043-4.2.1.5-03] [6043-4.2.2.3-07] [6043-4.2.3.5-03] [3830-4.2.8-02]
TEST_F(BuiltMessages, EveryMessageHasATimestampOfItsOwnInUtc) {
  const WallTime start = clock_.now();
  const Played played = play();
  WallTime expected = start;
  for (const ByteVector& octets :
       {played.request_init, played.request_resp, played.transfer_init, played.resolve_init,
        played.resolve_resp, played.transfer_resp}) {
    expected += 1s;
    const Message message = Message::parse(octets).value();
    EXPECT_EQ(message.t->type, TsType::ntp_utc) << message.name();
    EXPECT_EQ(message.t->to_wall_time(), expected) << message.name();
  }
}

// [6043-4.2.1.1-02] [6043-4.2.2.1-02] [6043-4.2.3.1-02] [6043-4.2.2.3-09] [6043-4.2.3.5-12]
// [6043-5.3-01] [3830-6.1-03] [3830-6.11-01]
TEST_F(BuiltMessages, CsbIdsAndRandsAreDrawnAnew) {
  const Played first = play();
  const Played second = play();
  const auto header_differs = [](const ByteVector& a, const ByteVector& b) {
    return Message::parse(a).value().header.csb_id != Message::parse(b).value().header.csb_id;
  };
  EXPECT_TRUE(header_differs(first.request_init, second.request_init));
  EXPECT_TRUE(header_differs(first.transfer_init, second.transfer_init));
  EXPECT_TRUE(header_differs(first.resolve_init, second.resolve_init));
  EXPECT_TRUE(header_differs(first.request_init, first.transfer_init));
  const auto rand_differs = [](const ByteVector& a, const ByteVector& b,
                               std::optional<Bytes> Message::* rand) {
    return !equal(*(Message::parse(a).value().*rand), *(Message::parse(b).value().*rand));
  };
  EXPECT_TRUE(rand_differs(first.request_init, second.request_init, &Message::randr_i));
  EXPECT_TRUE(rand_differs(first.transfer_init, second.transfer_init, &Message::randr_i));
  EXPECT_TRUE(rand_differs(first.resolve_init, second.resolve_init, &Message::randr_r));
  EXPECT_TRUE(rand_differs(first.resolve_resp, second.resolve_resp, &Message::randr_kms));
  EXPECT_TRUE(rand_differs(first.transfer_resp, second.transfer_resp, &Message::randr_r));
  EXPECT_TRUE(rand_differs(first.resolve_init, first.transfer_resp, &Message::randr_r));
}

// [6043-12.1-05] [6043-12.1-06] [6043-12.1-07] [3830-6.11-03]
TEST_F(BuiltMessages, RandsAreAsLongAsTheLongestKey) {
  alice_ = {alice_.self, alice_.kms, "psk", Psk(ByteVector(40, 1))};
  bob_ = {bob_.self, bob_.kms, "psk", Psk(ByteVector(48, 2))};
  const Played played = play();
  EXPECT_EQ(Message::parse(played.request_init).value().randr_i->size(), 40U);
  EXPECT_EQ(Message::parse(played.transfer_init).value().randr_i->size(), 32U);
  EXPECT_EQ(Message::parse(played.resolve_init).value().randr_r->size(), 48U);
  EXPECT_EQ(Message::parse(played.resolve_resp).value().randr_kms->size(), 32U);
  const auto init = Message::parse(played.transfer_init).value();
  EXPECT_EQ(parse_ticket_data(*init.ticket, "TRANSFER_INIT").value().rand.size(), 32U);
}

// [6043-4.2.2.1-03] [6043-4.2.2.2-04] [6043-6.10-06] [6043-6.10-07]
// [3830-5.3-04]
TEST_F(BuiltMessages, TransferRespIsSentWhereFSaysSoAndOnlyThere) {
  const TransferOffer with_f = offer_with(TicketFlags::from_letters("DFHNO").value());
  EXPECT_TRUE(Message::parse(with_f.message()).value().header.v_flag);
  EXPECT_FALSE(answer(with_f.message(), bob_.self).value().message.empty());
  const TransferOffer without_f = offer_with(TicketFlags::from_letters("DHNO").value());
  EXPECT_FALSE(Message::parse(without_f.message()).value().header.v_flag);
  const TransferAnswer answered = answer(without_f.message(), bob_.self).value();
  EXPECT_TRUE(answered.message.empty());
  EXPECT_EQ(answered.established.sessions.size(), 1U);
}

// [6043-4.2.2.3-09] [6043-5.1-04] [6043-6.10-08] [6043-6.10-09] [6043-12.1-08]
TEST_F(BuiltMessages, RandrrIsSentWhereGSaysSoAndOnlyThere) {
  const TransferOffer with_g = offer_with(TicketFlags::from_letters("DFGHNO").value());
  const ByteVector resp = answer(with_g.message(), bob_.self).value().message;
  EXPECT_TRUE(Message::parse(resp).value().randr_r.has_value());
  const TransferOffer without_g = offer_with(TicketFlags::from_letters("DFHNO").value());
  const ByteVector other = answer(without_g.message(), bob_.self).value().message;
  EXPECT_FALSE(Message::parse(other).value().randr_r.has_value());
  EXPECT_TRUE(without_g.accept(other).has_value());
}

// [6043-6.10-02] [6043-6.10-12] [6043-6.10-13] [6043-6.10-34]
TEST_F(BuiltMessages, InitiatorDataGoesWithKeyForkingAndOnlyWithIt) {
  const TransferOffer forking = offer_with(TicketFlags::from_letters("DEFGHINO").value());
  const Message with = Message::parse(forking.message()).value();
  EXPECT_FALSE(with.ticket->initiator_data.empty());
  const TransferOffer plain = offer_with(TicketFlags::from_letters("DEFGHNO").value());
  const Message without = Message::parse(plain.message()).value();
  EXPECT_TRUE(without.ticket->initiator_data.empty());

  const ByteVector forked = answer(forking.message(), bob_.self).value().message;
  EXPECT_TRUE(Message::parse(forked).value().randr_kms.has_value());
  const ByteVector unforked = answer(plain.message(), bob_.self).value().message;
  EXPECT_FALSE(Message::parse(unforked).value().randr_kms.has_value());
}

// [6043-4.2.2.1-08] [6043-4.2.2.3-13]
TEST_F(BuiltMessages, SeveralSecurityPoliciesTravelAsTheyAreGiven) {
  auto ticket = std::make_shared<GrantedTicket>(request(wish(), wish()).value());
  OfferParameters parameters{alice_.self, bob_.self, tls_session(ticket->session_keys),
                             {},          "mikey",   false};
  const SecurityPolicy policies[] = {{3, ProtType::srtp, {0, 1, 1}}, {9, ProtType::srtp, {}}};
  parameters.policies = {policies[0], policies[1]};
  const TransferOffer offered = TransferOffer::start(env_, ticket, std::move(parameters)).value();
  const Message message = Message::parse(offered.message()).value();
  std::vector<SecurityPolicy> found;
  PayloadWalker walker = message.payloads();
  while (const auto payload = walker.next().value()) {
    if (const auto* sp = std::get_if<SecurityPolicyView>(&payload->value)) {
      found.push_back({sp->policy_no, sp->prot_type, to_vector(sp->parameters)});
    }
  }
  EXPECT_EQ(found, (std::vector<SecurityPolicy>{policies[0], policies[1]}));
}

// [6043-4.2.2.3-04] [6043-6.1.1-03] [6043-6.1.1-15] [6043-6.1.1-16]
TEST_F(BuiltMessages, TheResponderNamesTheKeyWhereTheInitiatorDidNot) {
  auto ticket = std::make_shared<GrantedTicket>(request(wish(), wish()).value());
  OfferParameters parameters{alice_.self, bob_.self, tls_session(ticket->session_keys),
                             {},          "mikey",   false};
  parameters.sessions[0].spi.clear();
  const TransferOffer offered = TransferOffer::start(env_, ticket, std::move(parameters)).value();
  const TransferAnswer answered = answer(offered.message(), bob_.self).value();
  const Message message = Message::parse(answered.message).value();
  EXPECT_EQ(message.header.crypto_sessions(message.name()).value()[0].spi, wish().keys[0].spi);
  EXPECT_TRUE(offered.accept(answered.message).has_value());
}

// [6043-4.2.1.6-05]
TEST_F(BuiltMessages, AfterARefusedPolicyAnotherWishMayFollow) {
  TicketPolicy granted = wish();
  granted.tre.reset();
  EXPECT_FALSE(request(wish(), granted).has_value());
  TicketPolicy endless = wish();
  endless.tre.reset();
  EXPECT_TRUE(request(endless, endless).has_value());
}

}  // namespace
}  // namespace keystub::mikey
