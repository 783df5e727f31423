// Ticket Transfer: the responder receives TRANSFER_INIT, has its ticket resolved by a KMS, or opens
// it itself, and answers; the initiator receives TRANSFER_RESP, and both an Error message.
// sealing.h says what an input is. The last bits of the CSB ID pick the offer that was made.
#include "mikey/request_exchange.h"
#include "mikey/transfer_exchange.h"
#include "tests/fuzz/sealing.h"

using namespace keystub;
using namespace keystub::mikey;
using namespace keystub::mikey::fuzzing;

namespace {

const ByteVector kSpi{1, 2, 3, 4};

Psk psk() { return credentials(kBob).psk.clone(); }

// What either side ends with: a key for each crypto session, and a bundle that goes on.
void check_established(const EstablishedTransfer& transfer) {
  CryptoSessionBundle bundle = transfer.bundle;
  if (transfer.sessions.size() != bundle.crypto_sessions().size() ||
      bundle.sessions().value().size() != transfer.sessions.size()) {
    std::abort();
  }
  for (const EstablishedSession& session : transfer.sessions) {
    if (session.tek.size() < kSuite128.key_octets || session.spi.empty()) std::abort();
  }
  Surroundings own;
  check_sent(bundle.refuse(own.env, ErrorNo::invalid_sp), DataType::error);
}

// --- TRANSFER_INIT
// --------------------------------------------------------------------------------

// Nothing where the ticket cannot be opened: then there is no key that the message could be
// protected with.
std::optional<ByteVector> sealed_transfer_init(Draft draft) {
  auto* ticket = draft.find<TicketView>();
  const auto opened = draft.seal_ticket();
  if (!opened) return std::nullopt;
  const Bytes randr_i = draft.rand(RandRole::initiator);
  const MessageContext context{draft.header.csb_id, false, randr_i, {}};
  draft.encrypt_kemac(opened->mpki.reveal(), context);

  const Suite& suite = suite_of(draft.header.prf);
  MessageBuilder builder(draft.header);
  for (const PayloadValue& value : draft.payloads) {
    if (std::get_if<TicketView>(&value) == ticket) {
      builder.ticket_without_initiator_data(ticket->body);
    } else {
      builder.payload(value);
    }
  }
  const auto policy = ticket->policy.read("ticket");
  const Identity owner = policy && policy->idr_i ? *policy->idr_i : kAlice;
  const Identity initiator = draft.id(IdRole::initiator).value_or(owner);
  const Identity responder = draft.id(IdRole::responder).value_or(kBob);
  const auto keys = derive_message_keys(suite, opened->mpki.reveal(), context, Protects::integrity);
  const Bytes covered = builder.begin_v(suite.mac);
  const Mac mac =
      compute_mac(suite, keys->auth, {covered, initiator.bytes(), responder.bytes()}).value();
  const ByteVector initiator_data =
      draft.sealed_initiator_data(opened->mpkr, VerificationView{suite.mac, mac.bytes()});
  auto message = std::move(builder).end_v(mac.bytes(), initiator_data);
  if (!message) return std::nullopt;
  return std::move(*message);
}

// Refusals of what a ticket holds, once the MAC is verified or the TPK of the ticket known to be
// right.
void answer(const Result<VerifiedTransfer>& verified) {
  check_refusal_past_mac(verified);
  if (!verified) return;
  Surroundings bob;
  check_sent(verified->refuse(bob.env, ErrorNo::invalid_sp), DataType::error);
  const auto kept = verified->keep_ticket();
  if (kept.has_value() != verified->policy().flags.has(TicketFlag::j_reusable)) std::abort();
  const auto answered = verified->respond(bob.env, {kBob, {}, {}});
  if (!answered) return;
  check_established(answered->established);
  if (answered->established.peer != verified->initiator()) std::abort();
  const bool answers = verified->policy().flags.has(TicketFlag::f_response);
  if (answered->message.empty() == answers) std::abort();
  if (answers) check_sent(answered->message, DataType::transfer_resp);
}

Result<ResolvedTicket> resolve(const TicketView& ticket) {
  Surroundings bob;
  const auto resolve = TRY(TicketResolve::start(bob.env, credentials(kBob), ticket));
  const auto received = TRY(ReceivedResolve::parse(resolve.message()));
  const auto authenticated = TRY(received.authenticate(psk(), kBob, kKms));
  const auto opened = TRY(authenticated.open(tpk()));
  return resolve.finish(TRY(opened.respond(bob.env, kBob)));
}

void receive_transfer_init(const Draft& draft) {
  const auto message = sealed_transfer_init(draft);
  if (!message) return;
  const auto received = ReceivedTransfer::parse(*message);
  check_refusal(received);
  if (!received) return;
  const testing::FakeClock clock;
  ResponderProfile profile;
  profile.own_identities = {kBob};
  check_refusal(received->check_early(profile, clock.now()));
  profile.accept_128_bit_suite = true;
  profile.require_forking = false;
  profile.require_single_tls_session = false;
  profile.accept_initiator_keys = true;
  profile.accept_rekeying = true;
  check_refusal(received->check_early(profile, clock.now()));

  if (auto resolved = resolve(received->ticket())) {
    answer(received->verify(std::move(*resolved), kBob));
  }
  auto from_kms = received->open_from_kms(tpk());
  check_refusal(from_kms);
  if (from_kms) answer(received->verify(std::move(*from_kms), kBob));
  auto from_initiator = received->open_from_initiator(tpk(), kAlice);
  check_refusal(from_initiator);
  if (from_initiator) answer(received->verify(std::move(*from_initiator), kBob));
}

// --- TRANSFER_RESP
// --------------------------------------------------------------------------------

// What is offered: TLS, and SRTP with two policies to choose from.
std::vector<CryptoSession> offered_sessions(const std::vector<SessionKey>& keys) {
  CryptoSession srtp;
  srtp.cs_id = 2;
  srtp.prot_type = ProtType::srtp;
  srtp.policies = {1, 2};
  std::vector<CryptoSession> sessions = tls_session(keys);
  sessions.push_back(srtp);
  return sessions;
}

// What an honest responder makes of it.
std::vector<CryptoSession> settled_sessions() {
  std::vector<CryptoSession> sessions = offered_sessions({});
  sessions.back().policies = {1};
  sessions.back().session_data = ByteVector(4, 5);  // SSRC
  for (CryptoSession& session : sessions) session.spi = kSpi;
  return sessions;
}

// An offer that waits for its answer, on both sides.
struct Waiting {
  std::shared_ptr<const GrantedTicket> ticket;
  TransferOffer offer;
  VerifiedTransfer verified;
  ByteVector randr_i;

  static Waiting make(PrfFunc prf, bool forking, bool additions) {
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
    auto sessions = offered_sessions(issued->session_keys);
    auto shared = std::make_shared<GrantedTicket>(std::move(issued.value()));
    OfferParameters parameters{
        kAlice, kBob, std::move(sessions), {{1, ProtType::srtp, {}}, {2, ProtType::srtp, {}}}, {}};
    parameters.accept_group_members = additions;
    parameters.accepted = {additions, additions, additions};
    auto offer = TransferOffer::start(all.env, shared, std::move(parameters));
    const auto received = ReceivedTransfer::parse(offer.value().message());
    auto verified = received->verify(resolve(received->ticket()).value(), kBob);
    ByteVector randr_i = to_vector(received->message().randr_i.value());
    return {std::move(shared), std::move(offer.value()), std::move(verified.value()),
            std::move(randr_i)};
  }
};

const Waiting& waiting(const Header& header) {
  static const auto* all = [] {
    auto* made = new std::vector<Waiting>;
    for (const PrfFunc prf : {PrfFunc::mikey_1, PrfFunc::hmac_sha_256}) {
      for (const bool forking : {false, true}) {
        for (const bool additions : {false, true}) {
          made->push_back(Waiting::make(prf, forking, additions));
        }
      }
    }
    return made;
  }();
  return all->at((header.prf == PrfFunc::mikey_1 ? 0U : 4U) + (header.csb_id & 3U));
}

void receive_transfer_resp(Draft draft) {
  const Waiting& about = waiting(draft.header);
  const GrantedTicket& ticket = *about.ticket;
  const PrfFunc prf = ticket.policy.prf;
  draft.header.csb_id = about.offer.csb_id();
  const Identity peer = draft.id(IdRole::responder).value_or(kBob);
  const auto mpk = ticket.policy.flags.has(TicketFlag::i_forking)
                       ? fork_mpkr(prf, ticket.mpkr, peer.bytes(), draft.rand(RandRole::kms))
                       : ticket.mpki.clone();
  const MessageContext context{draft.header.csb_id, true, about.randr_i,
                               draft.rand(RandRole::responder)};
  draft.encrypt_kemac(mpk->reveal(), context);
  const auto message = draft.sealed(mpk->reveal(), context, {about.offer.message()});
  if (!message) return;
  const auto accepted = about.offer.accept(*message);
  check_refusal_past_mac(accepted);
  if (!accepted) return;
  check_established(*accepted);
  if (accepted->peer != peer || accepted->csb_id != about.offer.csb_id()) std::abort();
  Surroundings alice;
  check_sent(about.offer.refuse(alice.env, *message, ErrorNo::invalid_sp), DataType::error);
}

// --- Error
// ----------------------------------------------------------------------------------------

void receive_errors(Draft draft) {
  const Waiting& about = waiting(draft.header);
  draft.header.csb_id = about.offer.csb_id();
  const MessageContext about_init{draft.header.csb_id, false, about.randr_i, {}};
  receive_error(draft, about.ticket->mpki.reveal(), about_init, [&](Bytes error) {
    // No Error message is an answer.
    const auto accepted = about.offer.accept(error);
    check_refusal(accepted);
    if (accepted) std::abort();
    return about.offer.read_error(error);
  });

  // About TRANSFER_RESP. A bundle remembers timestamps: each run has a fresh one.
  Surroundings bob;
  const auto answered = about.verified.respond(bob.env, {kBob, settled_sessions(), {}});
  const Message response = Message::parse(answered.value().message).value();
  const PrfFunc prf = response.header.prf;
  const auto mpk = response.randr_kms
                       ? fork_mpkr(prf, about.ticket->mpkr, kBob.bytes(), *response.randr_kms)
                       : about.ticket->mpki.clone();
  const MessageContext about_resp{draft.header.csb_id, true, about.randr_i, *response.randr_r};
  CryptoSessionBundle bundle = answered->established.bundle;
  receive_error(draft, mpk->reveal(), about_resp,
                [&](Bytes error) { return bundle.read_error(error); });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto draft = Draft::read({data, size});
  if (!draft) return 0;
  switch (draft->header.data_type) {
    case DataType::transfer_resp: receive_transfer_resp(*draft); break;
    case DataType::error: receive_errors(*draft); break;
    default: receive_transfer_init(*draft); break;
  }
  return 0;
}
