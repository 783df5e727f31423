// The initiator's part.
#include "ue-agent/offer_procedure.h"

#include "mikey/key_mgmt_attribute.h"
#include "ue-agent/key_agreement.h"

namespace keystub::ue {

namespace {

// A ticket begins a little in the past: clocks differ.
constexpr std::chrono::minutes kBackdating{5};
constexpr std::size_t kTgkOctets = 32;
constexpr std::size_t kSpiOctets = 4;

// Turns the last bit of the Ticket Data over, in a message that is otherwise as it was sent.
Result<ByteVector> tamper_with_ticket(Bytes transfer_init) {
  const auto message = TRY(mikey::Message::parse(transfer_init));
  const auto& ticket = *message.ticket;
  ByteVector tampered = to_vector(transfer_init);
  tampered[ticket.ticket_data_offset + ticket.ticket_data.size() - 1] ^= 1;
  return tampered;
}

}  // namespace

OfferProcedure::OfferProcedure(const mikey::Environment& env, const UeConfig& config,
                               TicketSource& tickets, Reporter& reporter, OfferOptions options)
    : env_(env),
      config_(config),
      tickets_(tickets),
      reporter_(reporter),
      options_(std::move(options)) {}

Result<mikey::TicketPolicy> OfferProcedure::desired_policy() const {
  const WallTime now = env_.clock.now();
  mikey::TicketPolicy wish;
  if (options_.mode == TicketMode::mode_1) {
    wish.flags = config_.ticket_reusable ? mikey::kMode1ReusableFlags : mikey::kMode1Flags;
  } else {
    wish.flags = config_.ticket_reusable ? mikey::kMode3ReusableFlags : mikey::kMode3Flags;
  }
  wish.idr_kms = config_.kms();
  wish.idr_i = config_.identity();
  wish.trs = mikey::Timestamp::from(now - kBackdating, mikey::TsType::ntp_utc_32);
  wish.tre = mikey::Timestamp::from(now + config_.ticket_validity, mikey::TsType::ntp_utc_32);
  auto spi = TRY(env_.random.bytes(kSpiOctets));
  wish.keys.push_back({mikey::KeyType::tgk, kTgkOctets, 0, std::move(spi)});
  wish.idr_r.push_back(mikey::Identity::uri(options_.to));
  if (config_.any_resolver) {
    wish.idr_r.push_back(mikey::Identity::uri(std::string(mikey::kAnyResponder)));
  }
  return wish;
}

Result<std::string> OfferProcedure::make_offer(const service::SocketAddress& local) {
  auto ticket = TRY(tickets_.obtain(TRY(desired_policy())));
  report_policy(reporter_, options_.mode == TicketMode::mode_1 ? "ticket granted" : "ticket issued",
                ticket->policy);

  mikey::OfferParameters parameters;
  parameters.initiator = config_.identity();
  parameters.responder = mikey::Identity::uri(options_.to);
  parameters.sessions =
      mikey::tls_session(ticket->session_keys, mikey::ProtType{config_.prot_type});
  parameters.sdp_ids = mikey::kKeyMgmtProtocol;
  transfer_ = TRY(mikey::TransferOffer::start(env_, std::move(ticket), std::move(parameters)));

  ByteVector message = to_vector(transfer_->message());
  if (options_.tamper_ticket) {
    message = TRY(tamper_with_ticket(message));
    reporter_.event("lab fault", {{"what", "one bit of the ticket is flipped on its way"}});
  }
  local_uri_ = TRY(make_msrp_uri(local, env_.random));
  const MediaDescription media{.address = local,
                               .setup = options_.setup,
                               .path = {local_uri_},
                               .accept_types = config_.accept_types,
                               .key_mgmt = {mikey::format_key_mgmt(message)}};
  offer_ = TRY(ue::make_offer(media, TRY(make_session_id(env_.random))));
  reporter_.event("offer made", {{"to", options_.to},
                                 {"setup", sdp::setup_name(options_.setup)},
                                 {"transfer_init_octets", message.size()}});
  return offer_->to_string();
}

Result<MediaPlan> OfferProcedure::accept_answer(std::string_view sdp) const {
  const auto media = TRY(read_answer(*offer_, TRY(sdp::SessionDescription::parse(sdp))));
  const std::vector<std::string_view> values(media.key_mgmt.begin(), media.key_mgmt.end());
  const auto key_mgmt = TRY(mikey::read_key_mgmt(values));
  const auto transfer = TRY(transfer_->accept(key_mgmt.message));
  // The ticket may allow others too; a diverted call must not go unnoticed.
  if (transfer.peer.data != options_.to && !config_.any_resolver) {
    return fail(Category::denied, "the answer comes from " + transfer.peer.data + ", but " +
                                      options_.to + " was called");
  }
  MediaPlan plan;
  plan.active = media.setup == sdp::Setup::passive;
  plan.remote = media.address;
  plan.local_uri = local_uri_;
  plan.remote_path = media.path;
  plan.key = TRY(stream_key(transfer));
  reporter_.event("answer verified", {{"peer", transfer.peer.data},
                                      {"our_role", plan.active ? "active" : "passive"},
                                      {"psk_identity", plan.key.identity},
                                      {"psk_bits", plan.key.psk.bits()}});
  return plan;
}

}  // namespace keystub::ue
