// The fixture of tests that play whole exchanges: initiator, responder and KMS in one process.
#pragma once

#include <gtest/gtest.h>

#include "mikey/request_exchange.h"
#include "mikey/transfer_exchange.h"
#include "tests/support/fake_clock.h"
#include "tests/support/scripted_random.h"

namespace keystub::mikey {

// Alice, Bob and their KMS, all in one process.
class Exchanges : public ::testing::Test {
 protected:
  static constexpr std::string_view kAlice = "sip:alice@example.com";
  static constexpr std::string_view kBob = "sip:bob@example.com";
  static constexpr std::string_view kKms = "sip:kms@example.com";

  static KmsCredentials credentials(std::string_view self, std::uint8_t octet) {
    return {Identity::uri(std::string(self)), Identity::uri(std::string(kKms)), "psk",
            Psk(ByteVector(32, octet))};
  }

  TicketPolicy wish() const {
    TicketPolicy policy;
    policy.flags = kMode1Flags;
    policy.idr_kms = Identity::uri(std::string(kKms));
    policy.idr_i = Identity::uri(std::string(kAlice));
    policy.trs = Timestamp::from(clock_.now() - std::chrono::minutes(5), TsType::ntp_utc_32);
    policy.tre = Timestamp::from(clock_.now() + std::chrono::hours(24), TsType::ntp_utc_32);
    policy.keys = {{KeyType::tgk, 32, 0, {1, 2, 3, 4}}};
    policy.idr_r = {Identity::uri(std::string(kBob))};
    return policy;
  }

  TicketProtection protection() const { return {Tpk(ByteVector(32, 9)), "tpk-1", ""}; }

  Result<GrantedTicket> request(const TicketPolicy& wished, TicketPolicy granted) {
    const TicketRequest request = TRY(TicketRequest::start(env_, alice_, wished));
    const ReceivedRequest received = TRY(ReceivedRequest::parse(request.message()));
    const AuthenticatedRequest authenticated =
        TRY(received.authenticate(alice_.psk, alice_.self, alice_.kms));
    const auto grant =
        TRY(authenticated.grant(env_, std::move(granted), wished.keys, protection()));
    return request.finish(grant.message);
  }

  TransferOffer offer(GrantedTicket ticket, std::string sdp_ids = "mikey") {
    OfferParameters parameters{alice_.self, bob_.self,          tls_session(ticket.session_keys),
                               {},          std::move(sdp_ids), false};
    return TransferOffer::start(env_, std::make_shared<GrantedTicket>(std::move(ticket)),
                                std::move(parameters))
        .value();
  }

  Result<ByteVector> kms_resolves(Bytes resolve_init, const Identity& answered_by) {
    const ReceivedResolve received = TRY(ReceivedResolve::parse(resolve_init));
    const AuthenticatedResolve authenticated =
        TRY(received.authenticate(bob_.psk, bob_.self, bob_.kms));
    const OpenedResolve opened = TRY(authenticated.open(Tpk(ByteVector(32, 9))));
    return opened.respond(env_, answered_by);
  }

  Result<TransferAnswer> answer(Bytes transfer_init, const Identity& answered_by) {
    const ReceivedTransfer received = TRY(ReceivedTransfer::parse(transfer_init));
    TRY(received.check_early(profile_, clock_.now()));
    const TicketResolve resolve = TRY(TicketResolve::start(env_, bob_, received.ticket()));
    const ByteVector response = TRY(kms_resolves(resolve.message(), answered_by));
    const VerifiedTransfer verified =
        TRY(received.verify(TRY(resolve.finish(response)), bob_.self));
    return verified.respond(env_, {bob_.self, {}, {}});
  }

  testing::FakeClock clock_;
  testing::ScriptedRandom random_;
  Environment env_{clock_, random_};
  KmsCredentials alice_ = credentials(kAlice, 1);
  KmsCredentials bob_ = credentials(kBob, 2);
  ResponderProfile profile_{{Identity::uri(std::string(kBob))}, {}, false, true, true};
};

}  // namespace keystub::mikey
