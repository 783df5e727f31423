// The initiator of a call in mode 1: has the KMS grant a ticket, offers it to the peer, and ends
// with a key that the peer has too.
//
//   example-initiator SELF PEER KMS PSK_FILE
//
// Out: REQUEST_INIT, in: REQUEST_RESP (the KMS); out: TRANSFER_INIT, in: TRANSFER_RESP (the peer).
#include "mikey/examples/example.h"
#include "mikey/request_exchange.h"

namespace keystub::example {

Result<void> call(const mikey::Identity& self, const mikey::Identity& peer,
                  const mikey::Identity& kms, const std::string& psk_file) {
  // Time and randomness are handed in: a test hands in others.
  SystemClock clock;
  OpenSslRandom random;
  const mikey::Environment env{clock, random};
  Psk psk = TRY(key_of(TRY(read_keys(psk_file)), self.data));
  const mikey::KmsCredentials credentials{self, kms, self.data, std::move(psk)};

  // What we wish for: key forking, an hour, one responder, a TGK of 256 bits to derive keys from.
  mikey::TicketPolicy wish;
  wish.flags = mikey::kMode1Flags;
  wish.idr_i = self;
  wish.tre = mikey::Timestamp::from(clock.now() + std::chrono::hours(1));
  wish.idr_r = {peer};
  wish.keys = {{.type = mikey::KeyType::tgk, .key_octets = 32, .salt_octets = 0, .spi = {1}}};

  // Ticket Request. The KMS may grant less than we wish for; finish() refuses more.
  const auto request = TRY(mikey::TicketRequest::start(env, credentials, wish));
  send(request.message());
  mikey::GrantedTicket granted = TRY(request.finish(TRY(receive())));

  // Ticket Transfer: one crypto session of type TLS, keyed by the ticket's first key.
  mikey::OfferParameters parameters;
  parameters.initiator = self;
  parameters.responder = peer;
  parameters.sessions = mikey::tls_session(granted.session_keys);
  const auto ticket = std::make_shared<const mikey::GrantedTicket>(std::move(granted));
  const auto offer = TRY(mikey::TransferOffer::start(env, ticket, std::move(parameters)));
  send(offer.message());
  // Whoever answered is one that the ticket names, and proved it. No key leaves before that.
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
