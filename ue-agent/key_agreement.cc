// From a completed Ticket Transfer to the key of the stream.
#include "ue-agent/key_agreement.h"

#include <ctime>

#include "mikey/psk_identity.h"

namespace keystub::ue {

namespace {

std::string join(const std::vector<mikey::Identity>& identities) {
  std::string all;
  for (const auto& identity : identities) all += (all.empty() ? "" : " ") + identity.data;
  return all;
}

std::string show_time(const std::optional<mikey::Timestamp>& timestamp) {
  if (!timestamp) return "open";
  const auto seconds =
      std::chrono::floor<std::chrono::seconds>(timestamp->to_wall_time()).time_since_epoch();
  const std::time_t time = seconds.count();
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

}  // namespace

Result<tlspsk::Candidate> stream_key(const mikey::EstablishedTransfer& transfer) {
  if (transfer.sessions.size() != 1 || transfer.mac.size() < 8) {
    return fail(Category::internal, "the transfer does not key exactly one TLS session");
  }
  const auto& session = transfer.sessions.front();
  std::string identity =
      mikey::PskIdentityPattern().format(transfer.csb_id, session.cs_id, transfer.mac);
  return tlspsk::Candidate{std::move(identity), session.tek.retag<PskTag>(), {}};
}

void report_policy(Reporter& reporter, std::string_view name, const mikey::TicketPolicy& policy) {
  reporter.event(name, {{"ticket_type", std::to_string(policy.type.type) + "/" +
                                            std::to_string(policy.type.subtype) + "/" +
                                            std::to_string(policy.type.version)},
                        {"prf", mikey::name_of(policy.prf)},
                        {"flags", policy.flags.letters()},
                        {"initiator", policy.idr_i ? policy.idr_i->data : ""},
                        {"responders", join(policy.idr_r)},
                        {"kms", policy.idr_kms ? policy.idr_kms->data : ""},
                        {"valid_from", show_time(policy.trs)},
                        {"valid_to", show_time(policy.tre)}});
}

Result<msrp::Uri> make_msrp_uri(const service::SocketAddress& local, RandomSource& random) {
  msrp::Uri uri;
  uri.secure = true;
  uri.host = local.ip;
  uri.port = local.port;
  uri.session_id = to_hex(TRY(random.bytes(10)));
  return uri;
}

Result<std::uint64_t> make_session_id(RandomSource& random) {
  // 62 bits: some SDP readers keep it in a signed number.
  std::uint64_t id = 0;
  for (const std::uint8_t octet : TRY(random.bytes(8))) id = id << 8 | octet;
  return id >> 2;
}

}  // namespace keystub::ue
