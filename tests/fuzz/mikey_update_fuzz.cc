// CSB updating: one side of a bundle receives an update, or the answer to its own, or an Error
// message. sealing.h says what an input is. The last bits of the CSB ID pick the bundle and the
// side that receives.
#include "mikey/csb_update.h"
#include "mikey/request_exchange.h"
#include "mikey/transfer_exchange.h"
#include "tests/fuzz/sealing.h"

using namespace keystub;
using namespace keystub::mikey;
using namespace keystub::mikey::fuzzing;

namespace {

const ByteVector kSpi{1, 2, 3, 4};
constexpr AcceptedAdditions kAll{.keys = true, .crypto_sessions = true, .policies = true};

// A bundle of Alice and Bob. A bundle remembers its messages, so each run has its own.
struct Bundle {
  CryptoSessionBundle receiver;
  ByteVector mpk;
  ByteVector randr_i;
  ByteVector randr_r;

  MessageContext context() const { return {receiver.csb_id(), true, randr_i, randr_r}; }

  static Bundle make(PrfFunc prf, bool forking, bool initiator_receives) {
    Surroundings all;
    TicketPolicy policy;
    policy.prf = prf;
    // F G H J L M N O, and with key forking E and I
    policy.flags = TicketFlags(0x3AF)
                       .with(TicketFlag::e_resolve_mandatory, forking)
                       .with(TicketFlag::i_forking, forking);
    policy.idr_i = kAlice;
    policy.idr_r = {kBob};
    policy.keys = {{KeyType::tgk, 16, 0, kSpi}};
    auto issued = issue_ticket(all.env, policy, {tpk(), "tpk", ""});
    auto ticket = std::make_shared<GrantedTicket>(std::move(issued.value()));
    OfferParameters parameters{
        kAlice, kBob, tls_session(ticket->session_keys), {{0, ProtType::tls, {}}}, {}};
    const auto offer = TransferOffer::start(all.env, ticket, std::move(parameters));
    const auto received = ReceivedTransfer::parse(offer->message());
    const auto resolve = TicketResolve::start(all.env, credentials(kBob), received->ticket());
    const auto asked = ReceivedResolve::parse(resolve->message());
    const auto proven = asked->authenticate(credentials(kBob).psk, kBob, kKms);
    const auto opened = proven->open(tpk());
    auto resolved = resolve->finish(opened->respond(all.env, kBob).value());
    ByteVector mpk = to_vector((forking ? resolved->mpkr_forked : resolved->mpki).reveal());
    const auto verified = received->verify(std::move(resolved.value()), kBob);
    const auto answer = verified->respond(all.env, {kBob, {}, {}});
    const auto established = offer->accept(answer->message);
    const Message response = Message::parse(answer->message).value();
    return {initiator_receives ? established->bundle : answer->established.bundle, std::move(mpk),
            to_vector(*received->message().randr_i), to_vector(*response.randr_r)};
  }
};

Bundle bundle_for(const Header& header) {
  return Bundle::make(header.prf, (header.csb_id & 1U) != 0, (header.csb_id & 2U) != 0);
}

// Whatever came: each crypto session of the bundle has a key.
void check_bundle(const CryptoSessionBundle& bundle) {
  const auto sessions = bundle.sessions();
  if (!sessions || sessions->size() != bundle.crypto_sessions().size()) std::abort();
  for (const EstablishedSession& session : *sessions) {
    if (session.tek.size() < kSuite128.key_octets || session.spi.empty()) std::abort();
  }
}

void receive_update(Draft draft) {
  Bundle bundle = bundle_for(draft.header);
  draft.header.csb_id = bundle.receiver.csb_id();
  draft.encrypt_kemac(bundle.mpk, bundle.context());
  const auto message = draft.sealed(bundle.mpk, bundle.context(), {kAlice.bytes(), kBob.bytes()});
  if (!message) return;
  const auto received = ReceivedUpdate::parse(*message);
  check_refusal(received);
  if (!received) return;
  auto verified = received->verify(bundle.receiver, kAll);
  // The MAC leaves Initiator Data out, which sealed() does not.
  if (draft.find<TicketView>() != nullptr) {
    check_refusal(verified);
  } else {
    check_refusal_past_mac(verified);
  }
  if (verified) {
    Surroundings own;
    check_sent(verified->refuse(own.env, ErrorNo::invalid_sp), DataType::error);
    const auto answer = verified->respond(own.env);
    if (answer && answer->message.empty() == verified->wants_response()) std::abort();
    if (answer && verified->wants_response()) check_sent(answer->message, DataType::transfer_resp);
  }
  check_bundle(bundle.receiver);
}

void receive_answer(Draft draft) {
  Bundle bundle = bundle_for(draft.header);
  draft.header.csb_id = bundle.receiver.csb_id();
  UpdateParameters parameters{bundle.receiver.crypto_sessions()};
  parameters.accepted = kAll;
  Surroundings own;
  auto update = SentUpdate::start(own.env, bundle.receiver, std::move(parameters));
  draft.encrypt_kemac(bundle.mpk, bundle.context());
  const auto message = draft.sealed(bundle.mpk, bundle.context(), {update.value().message()});
  if (!message) return;
  const auto accepted = update->accept(*message);
  check_refusal_past_mac(accepted);
  check_bundle(bundle.receiver);
}

void receive_errors(const Draft& draft) {
  Bundle bundle = bundle_for(draft.header);
  Draft about = draft;
  about.header.csb_id = bundle.receiver.csb_id();
  receive_error(about, bundle.mpk, bundle.context(),
                [&](Bytes error) { return bundle.receiver.read_error(error); });
  check_bundle(bundle.receiver);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto draft = Draft::read({data, size});
  if (!draft) return 0;
  switch (draft->header.data_type) {
    case DataType::transfer_resp: receive_answer(*draft); break;
    case DataType::error: receive_errors(*draft); break;
    default: receive_update(*draft); break;
  }
  return 0;
}
