// Ticket Request with pre-shared keys: the KMS receives REQUEST_INIT, the initiator REQUEST_RESP,
// and both an Error message. sealing.h says what an input is. The last bits of the CSB ID pick the
// ticket that was asked for.
#include "mikey/request_exchange.h"
#include "mikey/transfer_exchange.h"
#include "tests/fuzz/sealing.h"

using namespace keystub;
using namespace keystub::mikey;
using namespace keystub::mikey::fuzzing;

namespace {

const Psk& psk() {
  static const Psk key = credentials(kAlice).psk.clone();
  return key;
}

// --- REQUEST_INIT
// ---------------------------------------------------------------------------------

void receive_request_init(Draft draft) {
  const MessageContext context{draft.header.csb_id, false, draft.rand(RandRole::initiator), {}};
  const auto message = draft.sealed(psk().reveal(), context, {kAlice.bytes(), kKms.bytes()});
  if (!message) return;
  const auto received = ReceivedRequest::parse(*message);
  check_refusal(received);
  if (!received) return;
  const auto authenticated = received->authenticate(psk(), kAlice, kKms);
  check_refusal_past_mac(authenticated);
  if (!authenticated) return;
  Surroundings kms;
  check_sent(authenticated->refuse(kms.env, ErrorNo::invalid_tppar), DataType::error);
  TicketPolicy policy = authenticated->wish();
  const std::vector<KeyWish> keys = std::exchange(policy.keys, {});
  const auto grant = authenticated->grant(kms.env, policy, keys, {tpk(), "tpk", ""});
  if (!grant) return;
  check_sent(grant->message, DataType::request_resp);
  // What the layout of another type would be is for its KMS to know.
  if (policy.type != kMikeyBaseTicket && policy.type != k3gppBaseTicket) return;
  // The ticket opens, and holds what was wished for under the policy that was granted.
  const Message response = Message::parse(grant->message).value();
  const auto data = parse_ticket_data(*response.ticket, response.name());
  const auto opened = open_ticket(*response.ticket, data.value(), tpk(), response.name());
  if (opened.value().session_keys.size() != keys.size()) std::abort();
  if (response.ticket->policy.read(response.name()).value() != policy) std::abort();
}

// --- REQUEST_RESP
// ---------------------------------------------------------------------------------

TicketPolicy wish(PrfFunc prf, bool forking) {
  const testing::FakeClock clock;
  TicketPolicy policy;
  policy.prf = prf;
  // D F G H L M N O, and with key forking E and I
  policy.flags = forking ? kMode1ReusableFlags : TicketFlags(0xBAF);
  policy.idr_kms = kKms;
  policy.idr_i = kAlice;
  policy.trs = Timestamp::from(clock.now() - std::chrono::minutes(5), TsType::ntp_utc_32);
  policy.tre = Timestamp::from(clock.now() + std::chrono::hours(24), TsType::ntp_utc_32);
  policy.keys = {{KeyType::tgk, 16, 0, {1, 2, 3, 4}}};
  policy.idr_r = {kBob};
  return policy;
}

// A REQUEST_INIT that waits for its answer, on both sides.
struct Waiting {
  TicketPolicy wished;
  TicketRequest request;
  AuthenticatedRequest authenticated;
  ByteVector randr_i;

  static Waiting make(PrfFunc prf, bool forking) {
    Surroundings alice;
    TicketPolicy wished = wish(prf, forking);
    auto request = TicketRequest::start(alice.env, credentials(kAlice), wished);
    const auto received = ReceivedRequest::parse(request->message());
    auto authenticated = received->authenticate(psk(), kAlice, kKms);
    ByteVector randr_i = to_vector(received->message().randr_i.value());
    return {std::move(wished), std::move(request.value()), std::move(authenticated.value()),
            std::move(randr_i)};
  }
};

const Waiting& waiting(const Header& header) {
  static const std::array<Waiting, 4> all{
      Waiting::make(PrfFunc::mikey_1, false), Waiting::make(PrfFunc::mikey_1, true),
      Waiting::make(PrfFunc::hmac_sha_256, false), Waiting::make(PrfFunc::hmac_sha_256, true)};
  return all[(header.prf == PrfFunc::mikey_1 ? 0U : 2U) + (header.csb_id & 1U)];
}

// A granted ticket can be offered, or the offer says why not.
void offer(GrantedTicket ticket) {
  Surroundings alice;
  const auto sessions = tls_session(ticket.session_keys);
  const auto shared = std::make_shared<GrantedTicket>(std::move(ticket));
  const auto offered = TransferOffer::start(alice.env, shared, {kAlice, kBob, sessions, {}, {}});
  if (offered) check_sent(to_vector(offered->message()), DataType::transfer_init);
}

void receive_request_resp(Draft draft) {
  const Waiting& about = waiting(draft.header);
  draft.header.csb_id = Message::parse(about.request.message()).value().header.csb_id;
  const MessageContext context{draft.header.csb_id, true, about.randr_i, {}};
  draft.seal_ticket();
  draft.encrypt_kemac(psk().reveal(), context);
  const auto message = draft.sealed(psk().reveal(), context, {about.request.message()});
  if (!message) return;
  auto granted = about.request.finish(*message);
  check_refusal_past_mac(granted);
  if (!granted) return;
  const TicketPolicy& policy = granted->policy;
  const bool forking = about.wished.flags.has(TicketFlag::i_forking);
  if (granted->mpki.empty() || granted->mpkr.empty() == forking) std::abort();
  if (policy.prf != about.wished.prf || policy.flags.has(TicketFlag::i_forking) != forking ||
      policy.idr_r.size() > about.wished.idr_r.size()) {
    std::abort();
  }
  offer(std::move(*granted));
}

// --- Error
// ----------------------------------------------------------------------------------------

void receive_errors(Draft draft) {
  const Waiting& about = waiting(draft.header);
  draft.header.csb_id = Message::parse(about.request.message()).value().header.csb_id;
  MessageContext context{draft.header.csb_id, false, about.randr_i, {}};
  receive_error(draft, psk().reveal(), context, [&](Bytes error) {
    // No Error message is a ticket.
    const auto finished = about.request.finish(error);
    check_refusal(finished);
    if (finished) std::abort();
    return about.request.read_error(error);
  });
  context.response = true;
  receive_error(draft, psk().reveal(), context,
                [&](Bytes error) { return about.authenticated.read_error(error); });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto draft = Draft::read({data, size});
  if (!draft) return 0;
  switch (draft->header.data_type) {
    case DataType::request_resp: receive_request_resp(*draft); break;
    case DataType::error: receive_errors(*draft); break;
    default: receive_request_init(*draft); break;
  }
  return 0;
}
