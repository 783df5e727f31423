// A KMS: grants tickets (REQUEST_INIT) and opens them (RESOLVE_INIT), one line in, one line out.
//
//   example-kms SELF PSK_FILE TPK_FILE
//
// The PSKs are those of its users; the TPKs its own and those of users that issue tickets
// themselves (mode 3). The exchanges leave three things to a KMS: whose keys are whose, what is
// still fresh, and who may have what.
#include "mikey/examples/example.h"
#include "mikey/request_exchange.h"

namespace keystub::example {

class Kms {
 public:
  Kms(const mikey::Environment& env, mikey::Identity self, Keys psks, Keys tpks)
      : env_(env), self_(std::move(self)), psks_(std::move(psks)), tpks_(std::move(tpks)) {}

  // Ticket Request: parse, is it of now, who is it, and only then: may it?
  Result<ByteVector> grant(Bytes request_init) const {
    const auto received = TRY(mikey::ReceivedRequest::parse(request_init));
    TRY(check_fresh(env_.clock, received.t()));
    const mikey::Identity initiator = TRY(claimed(received.message().idr_i));
    const Psk psk = TRY(key_of(psks_, initiator.data));
    const auto request = TRY(received.authenticate(psk, initiator, self_));
    // This KMS grants every wish, in the name of the initiator that it authenticated.
    mikey::TicketPolicy granted = request.wish();
    granted.idr_kms = self_;
    granted.idr_i = initiator;
    return TRY(request.grant(env_, granted, request.wish().keys, TRY(tpk_of(self_)))).message;
  }

  // Ticket Resolve: the same steps, then the ticket is opened and its policy decides.
  Result<ByteVector> resolve(Bytes resolve_init) const {
    const auto received = TRY(mikey::ReceivedResolve::parse(resolve_init));
    TRY(check_fresh(env_.clock, received.t()));
    const mikey::Identity responder = TRY(claimed(received.message().idr_r));
    const Psk psk = TRY(key_of(psks_, responder.data));
    const auto resolve = TRY(received.authenticate(psk, responder, self_));
    // The issuer is the KMS (D = 1) or the initiator, and only under a TPK of its own: nobody
    // issues in the name of another.
    const mikey::TicketPolicy& claim = resolve.claimed_policy();
    const bool ours = claim.flags.has(mikey::TicketFlag::d_kms_generated);
    const mikey::Identity issuer = ours ? self_ : claim.idr_i.value_or(mikey::Identity());
    const auto opened = TRY(resolve.open(TRY(tpk_of(issuer)).key));
    TRY(opened.policy().check_valid_at(env_.clock.now()));
    if (!opened.policy().names_responder(responder.data)) {
      return fail(Category::denied, "the ticket does not name " + responder.data);
    }
    return opened.respond(env_, responder);
  }

 private:
  static Result<mikey::Identity> claimed(const std::optional<mikey::IdentityView>& identity) {
    if (!identity) return fail(Category::malformed, "the sender does not say who it is");
    return mikey::Identity(*identity);
  }
  Result<mikey::TicketProtection> tpk_of(const mikey::Identity& issuer) const {
    const Psk key = TRY(key_of(tpks_, issuer.data));
    return mikey::TicketProtection{key.retag<mikey::TpkTag>(), issuer.data, {}};
  }

  const mikey::Environment env_;
  const mikey::Identity self_;
  const Keys psks_;
  const Keys tpks_;
};

// One answer per message. What is refused is told with a MIKEY Error, the reason stays here: a
// sender that has proved nothing learns a number and no more.
Result<void> serve(const mikey::Identity& self, const std::string& psk_file,
                   const std::string& tpk_file) {
  SystemClock clock;
  OpenSslRandom random;
  const mikey::Environment env{clock, random};
  Keys psks = TRY(read_keys(psk_file));
  Keys tpks = TRY(read_keys(tpk_file));
  const Kms kms(env, self, std::move(psks), std::move(tpks));
  for (;;) {
    const Result<ByteVector> line = receive();
    if (!line && line.error().category() == Category::unavailable) return {};
    const Result<mikey::Message> message =
        line ? mikey::Message::parse(*line) : std::unexpected(line.error());
    if (!message) {
      std::cerr << message.error().describe() << '\n';  // no header to answer with
      continue;
    }
    const bool request = message->header.data_type == mikey::DataType::request_init_psk;
    const Result<ByteVector> answer = request ? kms.grant(*line) : kms.resolve(*line);
    if (answer) {
      send(*answer);
    } else {
      std::cerr << answer.error().describe() << '\n';
      send(TRY(mikey::build_error(env, message->header, mikey::error_no_for(answer.error()))));
    }
  }
}

}  // namespace keystub::example

int main(int argc, char** argv) {
  if (argc != 4) return 64;
  return keystub::example::exit_code(
      keystub::example::serve(keystub::mikey::Identity::uri(argv[1]), argv[2], argv[3]));
}
