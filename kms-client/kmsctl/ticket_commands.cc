// kmsctl ticket request|resolve: for trying things out.
#include <fstream>
#include <utility>

#include "kms-client/kms_client.h"
#include "kms-client/kmsctl/commands.h"
#include "kms-client/kmsctl/message_file.h"
#include "mikey/payload/bare_ticket.h"
#include "mikey/ticket.h"
#include "mikey/transfer_exchange.h"
#include "service/config.h"

namespace keystub::kmsctl {
namespace {

constexpr std::size_t kMaxKeyFile = 8192;  // octets of PEM: an RSA key of 8192 bits takes less

Result<void> write_file(const std::string& file, Bytes octets) {
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out << as_text(octets);
  out.close();
  if (!out) return fail(Category::unavailable, file + " cannot be written");
  return {};
}

Result<mikey::TicketId> ticket_id_of(Bytes ticket) {
  return mikey::ticket_id(TRY(mikey::parse_bare_ticket(ticket)));
}

std::vector<std::string> spis_of(const std::vector<mikey::SessionKey>& keys) {
  std::vector<std::string> spis;
  spis.reserve(keys.size());
  for (const auto& key : keys) spis.push_back(to_hex(key.spi));
  return spis;
}

}  // namespace

Result<std::vector<mikey::Certificate>> read_certificates(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return fail(Category::not_found, file + " cannot be read");
  const std::string pem(std::istreambuf_iterator<char>(in), {});
  auto certificates = mikey::Certificate::from_pem(pem);
  if (!certificates) return std::unexpected(std::move(certificates.error()).with_context(file));
  return certificates;
}

TicketCommands::TicketCommands(service::Verb& ticket, Session& session) : session_(session) {
  const auto common = [this](service::Verb& verb) -> service::Verb& {
    return verb.required_option("--identity", identity_, "As whom: its URI.")
        .required_option("--kms", kms_, "URI of the KMS.")
        .option("--psk-file", psk_.file, "The identity's key; -: standard input.")
        .choice("--psk-encoding", psk_.encoding, {"hex", "raw"}, "Form of the key in the file.")
        .option("--psk-id", psk_.id, "Name of the key. Default: the identity.")
        .option("--identity-cert", certificate_,
                "Instead of a key: the identity's certificate, then its issuers'.")
        .option("--identity-key", private_key_, "Its private key (mode 0600).")
        .option("--kms-cert", kms_certificate_, "Certificate of the KMS, for which to encrypt.")
        .option("--trace-id", trace_id_, "Travels into the KMS's log and audit.");
  };
  common(ticket.verb("request", "Requests a ticket."))
      .option("--responder", responders_,
              "Who may resolve it: a URI, or * for anybody. Repeatable.")
      .option("--application", applications_, "An application that it is for (IDRapp).")
      .option("--validity", validity_, "How long it should be valid.")
      .option("--ticket", ticket_file_, "Write the ticket to this file.")
      .option("--transfer-init", transfer_file_,
              "Write a TRANSFER_INIT with it, for the first responder, to this file.")
      .action([this] { return exit_code_of(request()); });
  common(ticket.verb("resolve", "Resolves the ticket of a TRANSFER_INIT."))
      .required_option(
          "--transfer-init", transfer_file_,
          "File with the message: octets, base64 or a key-mgmt line; -: standard input.")
      .action([this] { return exit_code_of(resolve()); });
}

Result<mikey::PkCredentials> TicketCommands::read_certified() const {
  if (certificate_.empty() || private_key_.empty() || kms_certificate_.empty()) {
    return fail(Category::malformed,
                "a certificate needs all three: --identity-cert, --identity-key and --kms-cert");
  }
  auto chain = TRY(read_certificates(certificate_));
  const auto pem = TRY(service::read_secret<mikey::PrivateKeyPemTag>(
      private_key_, service::SecretEncoding::raw, 1, kMaxKeyFile));
  auto key = TRY(mikey::PrivateKey::from_pem(pem));
  const auto kms_chain = TRY(read_certificates(kms_certificate_));
  auto kms = TRY(mikey::KmsCertificate::pinned(kms_chain.front()));
  return mikey::PkCredentials{mikey::Identity::uri(identity_), mikey::Identity::uri(kms_),
                              std::move(chain), std::move(key), std::move(kms)};
}

Result<std::unique_ptr<kms_client::KmsClient>> TicketCommands::open_client() const {
  if (session_.server.empty()) {
    return fail(Category::malformed, "tickets need --server IP:PORT of the KMS's ticket port");
  }
  const bool certified =
      !certificate_.empty() || !private_key_.empty() || !kms_certificate_.empty();
  if (certified == psk_.given()) {
    return fail(Category::malformed,
                "how does the identity prove itself? --psk-file, or --identity-cert with "
                "--identity-key and --kms-cert");
  }
  auto connection = TRY(kms_client::KmsConnection::open({.server = session_.server,
                                                         .ca = session_.ca,
                                                         .certificate = session_.certificate,
                                                         .private_key = session_.private_key,
                                                         .server_name = session_.server_name}));
  if (certified) {
    auto credentials = TRY(read_certified());
    return std::make_unique<kms_client::KmsClient>(std::move(connection), std::move(credentials),
                                                   session_.clock, session_.random);
  }
  const std::string psk_id = psk_.id.empty() ? identity_ : TRY(id_octets(psk_.id));
  Psk psk = TRY(psk_.read());
  return std::make_unique<kms_client::KmsClient>(
      std::move(connection),
      mikey::KmsCredentials{mikey::Identity::uri(identity_), mikey::Identity::uri(kms_), psk_id,
                            std::move(psk)},
      session_.clock, session_.random);
}

Result<void> TicketCommands::request() {
  const auto options = TRY(session_.connection());
  const auto validity =
      std::chrono::duration_cast<std::chrono::seconds>(TRY(service::parse_duration(validity_)));
  if (responders_.empty()) {
    return fail(Category::malformed, "who may resolve the ticket? --responder URI");
  }
  const auto self = mikey::Identity::uri(identity_);
  const auto client = TRY(open_client());
  auto wish = TRY(client->ticket_wish(responders_, validity));
  for (const std::string& application : applications_) {
    wish.idr_app.push_back(mikey::Identity::byte_string(application));
  }
  auto granted = TRY(
      client->request_ticket(std::move(wish), {.timeout = options.timeout, .trace_id = trace_id_}));
  const auto ticket = std::make_shared<const mikey::GrantedTicket>(std::move(granted));

  std::vector<Row> rows = policy_rows(ticket->policy);
  rows.emplace_back("ticket_id", to_hex(TRY(ticket_id_of(ticket->body))));
  rows.emplace_back("octets", std::uint64_t{ticket->body.size()});
  rows.emplace_back("session_key_spis", spis_of(ticket->session_keys));
  if (!ticket_file_.empty()) {
    TRY(write_file(ticket_file_, ticket->body));
    rows.emplace_back("ticket", ticket_file_);
  }
  if (!transfer_file_.empty()) {
    const mikey::Environment env{session_.clock, session_.random};
    const auto offer = TRY(mikey::TransferOffer::start(env, ticket,
                                                       {self,
                                                        mikey::Identity::uri(responders_.front()),
                                                        mikey::tls_session(ticket->session_keys),
                                                        {},
                                                        {}}));
    TRY(write_file(transfer_file_, offer.message()));
    rows.emplace_back("transfer_init", transfer_file_);
  }
  print_rows(session_.out, session_.format(), rows);
  return {};
}

Result<void> TicketCommands::resolve() {
  const auto options = TRY(session_.connection());
  const ByteVector message = TRY(read_message(transfer_file_));
  const auto received = TRY(mikey::ReceivedTransfer::parse(message));
  const auto self = mikey::Identity::uri(identity_);
  const auto client = TRY(open_client());
  auto resolved = TRY(client->resolve_ticket(received.ticket(),
                                             {.timeout = options.timeout, .trace_id = trace_id_}));

  const std::string individual = resolved.idr_r ? resolved.idr_r->data : std::string();
  auto spis = spis_of(resolved.session_keys);
  const auto verified = TRY(received.verify(std::move(resolved), self));
  std::vector<Row> rows = policy_rows(verified.policy());
  rows.emplace_back("ticket_id", to_hex(TRY(mikey::ticket_id(received.ticket()))));
  rows.emplace_back("resolved_for", individual);
  rows.emplace_back("session_key_spis", std::move(spis));
  rows.emplace_back("transfer_init", "verified, from " + verified.initiator().data);
  print_rows(session_.out, session_.format(), rows);
  return {};
}

}  // namespace keystub::kmsctl
