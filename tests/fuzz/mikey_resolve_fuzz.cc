// Ticket Resolve with pre-shared keys: the KMS receives RESOLVE_INIT and opens its ticket, the
// responder receives RESOLVE_RESP, and both an Error message. sealing.h says what an input is. The
// last bit of the CSB ID picks the ticket that was to be resolved.
#include "mikey/request_exchange.h"
#include "mikey/transfer_exchange.h"
#include "tests/fuzz/sealing.h"

using namespace keystub;
using namespace keystub::mikey;
using namespace keystub::mikey::fuzzing;

namespace {

const Psk& psk() {
  static const Psk key = credentials(kBob).psk.clone();
  return key;
}

// --- RESOLVE_INIT
// ---------------------------------------------------------------------------------

void receive_resolve_init(Draft draft) {
  const auto opened = draft.seal_ticket();
  if (auto* ticket = draft.find<TicketView>()) {
    if (opened) {
      draft.octets.push_back(draft.sealed_initiator_data(opened->mpkr, std::nullopt));
      ticket->initiator_data = draft.octets.back();
    }
  }
  const MessageContext context{draft.header.csb_id, false, {}, draft.rand(RandRole::responder)};
  const auto message = draft.sealed(psk().reveal(), context, {kBob.bytes(), kKms.bytes()});
  if (!message) return;
  const auto received = ReceivedResolve::parse(*message);
  check_refusal(received);
  if (!received) return;
  const auto authenticated = received->authenticate(psk(), kBob, kKms);
  check_refusal_past_mac(authenticated);
  if (!authenticated) return;
  Surroundings kms;
  check_sent(authenticated->refuse(kms.env, ErrorNo::invalid_ticket), DataType::error);
  const auto resolved = authenticated->open(tpk());
  check_refusal(resolved);
  if (!resolved) return;
  // The ticket that the KMS opened is the one that was sealed.
  if (!opened || resolved->issued_at() != opened->issued_at) std::abort();
  check_sent(resolved->respond(kms.env, kBob), DataType::resolve_resp);
}

// --- RESOLVE_RESP
// ---------------------------------------------------------------------------------

// A RESOLVE_INIT that waits for its answer, on both sides.
struct Waiting {
  bool forking;
  TicketResolve resolve;
  OpenedResolve opened;
  ByteVector randr_r;

  static Waiting make(PrfFunc prf, bool forking) {
    Surroundings all;
    TicketPolicy policy;
    policy.prf = prf;
    // F G H J L N O, and with key forking E and I
    policy.flags = forking ? kMode3ReusableFlags : TicketFlags(0x3AB);
    policy.idr_i = kAlice;
    policy.idr_r = {kBob};
    policy.keys = {{KeyType::tgk, 16, 0, {1, 2, 3, 4}}};
    auto ticket = issue_ticket(all.env, policy, {tpk(), "tpk", ""});
    const auto sessions = tls_session(ticket->session_keys);
    const auto shared = std::make_shared<GrantedTicket>(std::move(ticket.value()));
    const auto offer = TransferOffer::start(all.env, shared, {kAlice, kBob, sessions, {}, {}});
    const auto transfer = ReceivedTransfer::parse(offer.value().message());
    auto resolve = TicketResolve::start(all.env, credentials(kBob), transfer.value().ticket());
    const auto received = ReceivedResolve::parse(resolve.value().message());
    const auto authenticated = received.value().authenticate(psk(), kBob, kKms);
    auto opened = authenticated.value().open(tpk());
    ByteVector randr_r = to_vector(received->message().randr_r.value());
    return {forking, std::move(resolve.value()), std::move(opened.value()), std::move(randr_r)};
  }
};

const Waiting& waiting(const Header& header) {
  static const std::array<Waiting, 4> all{
      Waiting::make(PrfFunc::mikey_1, false), Waiting::make(PrfFunc::mikey_1, true),
      Waiting::make(PrfFunc::hmac_sha_256, false), Waiting::make(PrfFunc::hmac_sha_256, true)};
  return all[(header.prf == PrfFunc::mikey_1 ? 0U : 2U) + (header.csb_id & 1U)];
}

std::uint32_t csb_id_of(const TicketResolve& resolve) {
  return Message::parse(resolve.message()).value().header.csb_id;
}

void receive_resolve_resp(Draft draft) {
  const Waiting& about = waiting(draft.header);
  draft.header.csb_id = csb_id_of(about.resolve);
  const MessageContext context{draft.header.csb_id, true, {}, about.randr_r};
  draft.encrypt_kemac(psk().reveal(), context);
  const auto message = draft.sealed(psk().reveal(), context, {about.resolve.message()});
  if (!message) return;
  const auto resolved = about.resolve.finish(*message);
  check_refusal_past_mac(resolved);
  if (!resolved) return;
  if (resolved->mpki.empty()) std::abort();
  for (const bool forked : {!resolved->mpkr_forked.empty(), !resolved->randr_kms.empty()}) {
    if (forked != about.forking) std::abort();
  }
  if (about.forking && !resolved->idr_r) std::abort();
}

// --- Error
// ----------------------------------------------------------------------------------------

void receive_errors(Draft draft) {
  const Waiting& about = waiting(draft.header);
  draft.header.csb_id = csb_id_of(about.resolve);
  MessageContext context{draft.header.csb_id, false, {}, about.randr_r};
  receive_error(draft, psk().reveal(), context, [&](Bytes error) {
    // No Error message resolves a ticket.
    const auto finished = about.resolve.finish(error);
    check_refusal(finished);
    if (finished) std::abort();
    return about.resolve.read_error(error);
  });
  context.response = true;
  receive_error(draft, psk().reveal(), context,
                [&](Bytes error) { return about.opened.read_error(error); });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto draft = Draft::read({data, size});
  if (!draft) return 0;
  switch (draft->header.data_type) {
    case DataType::resolve_resp: receive_resolve_resp(*draft); break;
    case DataType::error: receive_errors(*draft); break;
    default: receive_resolve_init(*draft); break;
  }
  return 0;
}
