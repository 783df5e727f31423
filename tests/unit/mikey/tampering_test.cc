// Any octet of any message that is changed on its way is refused by the party that receives it,
// with an error that names message, payload and clause (scenarios b and c of the vectors).
#include <gtest/gtest.h>

#include "mikey/request_exchange.h"
#include "mikey/transfer_exchange.h"
#include "tests/support/scripted_random.h"
#include "tests/support/vectors.h"

namespace keystub::mikey {
namespace {

using testing::Scenario;
using testing::ScriptedRandom;
using testing::VectorClock;

// The three parties of a scenario, each at the point where it waits for a message.
class Parties {
 public:
  explicit Parties(const std::string& name)
      : s_(KEYSTUB_SOURCE_DIR, name),
        request_init_(s_.message("REQUEST_INIT")),
        resolve_init_(s_.message("RESOLVE_INIT")),
        transfer_init_(s_.message("TRANSFER_INIT")) {
    const Message request = Message::parse(request_init_).value();
    const Message resolve = Message::parse(resolve_init_).value();
    kms_ = Identity(*request.idr_kms);
    initiator_ = {Identity(*request.idr_i), kms_, std::string(request.idr_psk->text()),
                  Psk(s_.octets("psk_i"))};
    responder_ = {Identity(*resolve.idr_r), kms_, std::string(resolve.idr_psk->text()),
                  Psk(s_.octets("psk_r"))};
    play_request(request);
    play_offer();
    play_resolve(*resolve.ticket);
  }

  ByteVector message(const std::string& name) const { return s_.message(name); }

  // What the receiver of the message says.
  Result<void> receive(const std::string& name, Bytes octets) const {
    if (name == "REQUEST_INIT") return kms_receives_request(octets);
    if (name == "REQUEST_RESP") return drop(request_->finish(octets));
    if (name == "TRANSFER_INIT") return responder_receives_offer(octets);
    if (name == "RESOLVE_INIT") return drop(kms_resolves(octets));
    if (name == "RESOLVE_RESP") return drop(resolve_->finish(octets));
    return drop(offer_->accept(octets));
  }

 private:
  template <class T>
  static Result<void> drop(Result<T> result) {
    if (!result) return std::unexpected(std::move(result).error());
    return {};
  }

  void play_request(const Message& init) {
    clock_.push(s_.input("request_init_t"));
    random_.push_hex(s_.input("request_csb_id"));
    random_.push_hex(s_.input("request_randri"));
    request_.emplace(
        TicketRequest::start(env_, initiator_, init.tp->read("REQUEST_INIT").value()).value());
  }

  void play_offer() {
    const Message init = Message::parse(transfer_init_).value();
    auto ticket =
        std::make_shared<GrantedTicket>(request_->finish(s_.message("REQUEST_RESP")).value());
    clock_.push(s_.input("transfer_init_t"));
    random_.push_hex(s_.input("transfer_csb_id"));
    random_.push_hex(s_.input("transfer_randri"));
    OfferParameters parameters{Identity(*init.idr_i),
                               Identity(*init.idr_r),
                               init.header.crypto_sessions("TRANSFER_INIT").value(),
                               {},
                               "",
                               false};
    PayloadWalker walker = init.payloads();
    while (const auto payload = walker.next().value()) {
      if (const auto* sp = std::get_if<SecurityPolicyView>(&payload->value)) {
        parameters.policies.push_back({sp->policy_no, sp->prot_type, to_vector(sp->parameters)});
      }
    }
    offer_.emplace(TransferOffer::start(env_, std::move(ticket), std::move(parameters)).value());
  }

  void play_resolve(const TicketView& ticket) {
    clock_.push(s_.input("resolve_init_t"));
    random_.push_hex(s_.input("resolve_csb_id"));
    random_.push_hex(s_.input("resolve_randrr"));
    resolve_.emplace(TicketResolve::start(env_, responder_, ticket).value());
  }

  Result<void> kms_receives_request(Bytes octets) const {
    const ReceivedRequest received = TRY(ReceivedRequest::parse(octets));
    return drop(received.authenticate(Psk(s_.octets("psk_i")), initiator_.self, kms_));
  }

  Result<OpenedResolve> kms_resolves(Bytes octets) const {
    const ReceivedResolve received = TRY(ReceivedResolve::parse(octets));
    const AuthenticatedResolve authenticated =
        TRY(received.authenticate(Psk(s_.octets("psk_r")), responder_.self, kms_));
    return authenticated.open(Tpk(s_.octets("tpk")));
  }

  // Early checks, then the KMS, then the verification with the keys that it returned.
  Result<void> responder_receives_offer(Bytes octets) const {
    const ReceivedTransfer received = TRY(ReceivedTransfer::parse(octets));
    ResponderProfile profile;
    profile.own_identities = {responder_.self};
    profile.accept_128_bit_suite = true;
    profile.require_single_tls_session = false;
    profile.accept_rekeying = true;
    TRY(received.check_early(profile, received.t().to_wall_time()));
    VectorClock clock;
    clock.push(s_.input("resolve_init_t"));
    clock.push(s_.input("resolve_resp_t"));
    ScriptedRandom random;
    const Environment env{clock, random};
    const TicketResolve resolve = TRY(TicketResolve::start(env, responder_, received.ticket()));
    const OpenedResolve opened = TRY(kms_resolves(resolve.message()));
    const ByteVector response = TRY(opened.respond(env, responder_.self));
    ResolvedTicket resolved = TRY(resolve.finish(response));
    return drop(received.verify(std::move(resolved), responder_.self));
  }

  Scenario s_;
  ByteVector request_init_;
  ByteVector resolve_init_;
  ByteVector transfer_init_;
  VectorClock clock_;
  ScriptedRandom random_;
  Environment env_{clock_, random_};
  Identity kms_;
  KmsCredentials initiator_;
  KmsCredentials responder_;
  std::optional<TicketRequest> request_;
  std::optional<TransferOffer> offer_;
  std::optional<TicketResolve> resolve_;
};

struct Case {
  const char* scenario;
  const char* message;
};

class Tampering : public ::testing::TestWithParam<Case> {};

TEST_P(Tampering, TheUnchangedMessageIsAccepted) {
  const Parties parties(GetParam().scenario);
  const auto accepted = parties.receive(GetParam().message, parties.message(GetParam().message));
  EXPECT_TRUE(accepted.has_value()) << accepted.error().describe();
}

// [6043-4.2.1-01] [6043-4.2.3-02] [6043-4.2.1.2-05] [6043-4.2.1.5-14] [6043-4.2.2.1-12]
// [6043-4.2.2.3-19] [6043-4.2.3.2-05] [6043-4.2.3.5-16] [6043-5.4-03]
TEST_P(Tampering, AnyOneChangedOctetIsRefusedWithItsPlace) {
  const Parties parties(GetParam().scenario);
  ByteVector octets = parties.message(GetParam().message);
  for (std::size_t i = 0; i < octets.size(); ++i) {
    for (const std::uint8_t flip : {0x01, 0x80, 0xFF}) {
      octets[i] ^= flip;
      const auto result = parties.receive(GetParam().message, octets);
      octets[i] ^= flip;
      ASSERT_FALSE(result.has_value()) << "octet " << i << " ^ " << int{flip};
      const auto& place = result.error().place();
      ASSERT_TRUE(place.has_value()) << "octet " << i << ": " << result.error().text();
      EXPECT_FALSE(place->message.empty()) << "octet " << i << ": " << result.error().text();
      EXPECT_FALSE(place->payload.empty()) << "octet " << i << ": " << result.error().text();
      EXPECT_FALSE(place->clause.empty()) << "octet " << i << ": " << result.error().text();
    }
  }
}

// [6043-5.4-01]
TEST_P(Tampering, ACutOrLengthenedMessageIsRefused) {
  const Parties parties(GetParam().scenario);
  ByteVector octets = parties.message(GetParam().message);
  for (std::size_t size = 0; size < octets.size(); ++size) {
    EXPECT_FALSE(parties.receive(GetParam().message, Bytes(octets).first(size)).has_value())
        << size;
  }
  octets.push_back(0);
  EXPECT_FALSE(parties.receive(GetParam().message, octets).has_value());
}

INSTANTIATE_TEST_SUITE_P(Messages, Tampering,
                         ::testing::Values(Case{"b", "REQUEST_INIT"}, Case{"b", "REQUEST_RESP"},
                                           Case{"b", "TRANSFER_INIT"}, Case{"b", "RESOLVE_INIT"},
                                           Case{"b", "RESOLVE_RESP"}, Case{"b", "TRANSFER_RESP"},
                                           Case{"c", "REQUEST_INIT"}, Case{"c", "REQUEST_RESP"},
                                           Case{"c", "TRANSFER_INIT"}, Case{"c", "RESOLVE_INIT"},
                                           Case{"c", "RESOLVE_RESP"}, Case{"c", "TRANSFER_RESP"}),
                         [](const auto& test) {
                           return std::string(test.param.scenario) + "_" + test.param.message;
                         });

}  // namespace
}  // namespace keystub::mikey
