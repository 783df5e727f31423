// The fixture of tests of the Ticket Transfer. Bob's profile demands neither key forking nor TLS.
#pragma once

#include "tests/unit/mikey/exchanges.h"

namespace keystub::mikey {

inline TicketFlags flags(std::string_view letters) {
  return TicketFlags::from_letters(letters).value();
}

class Transfers : public Exchanges {
 protected:
  Transfers() {
    profile_.require_forking = false;
    profile_.require_single_tls_session = false;
  }

  std::shared_ptr<GrantedTicket> ticket_with(TicketFlags ticket_flags) {
    TicketPolicy policy = wish();
    policy.flags = ticket_flags;
    return std::make_shared<GrantedTicket>(request(policy, policy).value());
  }

  OfferParameters to_bob(std::vector<CryptoSession> sessions,
                         std::vector<SecurityPolicy> policies = {}) const {
    OfferParameters parameters;
    parameters.initiator = alice_.self;
    parameters.responder = bob_.self;
    parameters.sessions = std::move(sessions);
    parameters.policies = std::move(policies);
    return parameters;
  }

  // An SRTP session under the key of the ticket that wish() asks for.
  CryptoSession srtp(ByteVector policies, std::uint8_t cs_id = 1) const {
    return {cs_id, ProtType::srtp, false, std::move(policies), {0, 0, 0, 7}, wish().keys[0].spi};
  }

  // What the KMS makes of the ticket, and what the responder then knows.
  Result<VerifiedTransfer> verified(const TransferOffer& offered) {
    const ReceivedTransfer received = TRY(ReceivedTransfer::parse(offered.message()));
    TRY(received.check_early(profile_, clock_.now()));
    const TicketResolve resolve = TRY(TicketResolve::start(env_, bob_, received.ticket()));
    const ByteVector response = TRY(kms_resolves(resolve.message(), bob_.self));
    return received.verify(TRY(resolve.finish(response)), bob_.self);
  }
  Result<TransferAnswer> answered(const TransferOffer& offered,
                                  ResponseParameters parameters = {}) {
    parameters.responder = bob_.self;
    const VerifiedTransfer transfer = TRY(verified(offered));
    return transfer.respond(env_, std::move(parameters));
  }

  static SessionKey key(KeyType type, std::uint8_t octet, ByteVector spi) {
    return {type, CarriedKey(ByteVector(32, octet)), SaltKey(), std::move(spi)};
  }
  template <class... Keys>
  static std::vector<SessionKey> keys(Keys... each) {
    std::vector<SessionKey> out;
    (out.push_back(std::move(each)), ...);
    return out;
  }

  const SecurityPolicy policy_1_{1, ProtType::srtp, {0, 1, 1}};
  const SecurityPolicy policy_2_{2, ProtType::srtp, {0, 1, 0}};
  const SecurityPolicy policy_7_{7, ProtType::srtp, {0, 1, 2}};
};

}  // namespace keystub::mikey
