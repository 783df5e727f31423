// The responder of a call: has the KMS open the ticket that came with the offer, proves the offer
// genuine with what was inside, and answers.
//
//   example-responder SELF KMS PSK_FILE
//
// In: TRANSFER_INIT (the peer); out: RESOLVE_INIT, in: RESOLVE_RESP (the KMS); out: TRANSFER_RESP.
#include "mikey/examples/example.h"

namespace keystub::example {

Result<void> answer(const mikey::Identity& self, const mikey::Identity& kms,
                    const std::string& psk_file) {
  SystemClock clock;
  OpenSslRandom random;
  const mikey::Environment env{clock, random};
  Psk psk = TRY(key_of(TRY(read_keys(psk_file)), self.data));
  const mikey::KmsCredentials credentials{self, kms, self.data, std::move(psk)};

  // The octets must outlive what is parsed from them. Everything in them is a claim; what rules
  // itself out is refused here, before the KMS is asked.
  const ByteVector transfer_init = TRY(receive());
  const auto received = TRY(mikey::ReceivedTransfer::parse(transfer_init));
  mikey::ResponderProfile profile;
  profile.own_identities = {self};
  TRY(received.check_early(profile, clock.now()));

  // Ticket Resolve.
  const auto resolve = TRY(mikey::TicketResolve::start(env, credentials, received.ticket()));
  send(resolve.message());
  mikey::ResolvedTicket resolved = TRY(resolve.finish(TRY(receive())));

  // The ticket's keys show that the offer comes from the ticket's owner, and that T is the owner's.
  const auto verified = TRY(received.verify(std::move(resolved), self));
  TRY(check_fresh(clock, received.t()));
  const auto answer =
      TRY(verified.respond(env, {.responder = self, .sessions = {}, .policies = {}}));
  send(answer.message);
  report(answer.established);
  return {};
}

}  // namespace keystub::example

int main(int argc, char** argv) {
  using keystub::mikey::Identity;
  if (argc != 4) return 64;
  return keystub::example::exit_code(
      keystub::example::answer(Identity::uri(argv[1]), Identity::uri(argv[2]), argv[3]));
}
