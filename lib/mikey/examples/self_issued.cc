// The initiator of a call in mode 3: issues the ticket itself, under a TPK that it shares with the
// KMS, so that only the responder has to ask the KMS.
//
//   example-self-issued SELF PEER KMS TPK_FILE
//
// Out: TRANSFER_INIT, in: TRANSFER_RESP (the peer).
#include "mikey/examples/example.h"
#include "mikey/request_exchange.h"

namespace keystub::example {

Result<void> call(const mikey::Identity& self, const mikey::Identity& peer,
                  const mikey::Identity& kms, const std::string& tpk_file) {
  SystemClock clock;
  OpenSslRandom random;
  const mikey::Environment env{clock, random};
  const Psk tpk = TRY(key_of(TRY(read_keys(tpk_file)), self.data));

  // Nobody grants this: the KMS judges it when the peer resolves. D is clear, L set: the keys are
  // the initiator's.
  mikey::TicketPolicy policy;
  policy.flags = mikey::kMode3Flags;
  policy.idr_kms = kms;
  policy.idr_i = self;
  policy.tre = mikey::Timestamp::from(clock.now() + std::chrono::hours(1));
  policy.idr_r = {peer};
  policy.keys = {{.type = mikey::KeyType::tgk, .key_octets = 32, .salt_octets = 0, .spi = {1}}};
  const mikey::TicketProtection protection{tpk.retag<mikey::TpkTag>(), self.data, {}};
  mikey::GrantedTicket issued = TRY(mikey::issue_ticket(env, policy, protection));

  // From here on it is the Ticket Transfer of initiator.cc.
  mikey::OfferParameters parameters;
  parameters.initiator = self;
  parameters.responder = peer;
  parameters.sessions = mikey::tls_session(issued.session_keys);
  const auto ticket = std::make_shared<const mikey::GrantedTicket>(std::move(issued));
  const auto offer = TRY(mikey::TransferOffer::start(env, ticket, std::move(parameters)));
  send(offer.message());
  report(TRY(offer.accept(TRY(receive()))));
  return {};
}

}  // namespace keystub::example

int main(int argc, char** argv) {
  using keystub::mikey::Identity;
  if (argc != 5) return 64;
  return keystub::example::exit_code(keystub::example::call(
      Identity::uri(argv[1]), Identity::uri(argv[2]), Identity::uri(argv[3]), argv[4]));
}
