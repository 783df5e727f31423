// kmsctl ticket revoke, kmsctl revocation list|watch.
#include <google/protobuf/util/time_util.h>

#include "kms-client/kmsctl/commands.h"
#include "kms-client/kmsctl/message_file.h"
#include "kms-client/kmsctl/revocation_client.h"
#include "kms-client/revocation_watch.h"
#include "mikey/transfer_exchange.h"
#include "rpc/timestamp.h"

namespace keystub::kmsctl {
namespace {

using google::protobuf::Timestamp;
using google::protobuf::util::TimeUtil;
using kms_client::Revoked;

std::string time_text(WallTime time) {
  Timestamp out;
  rpc::set_timestamp(out, time);
  return rfc3339(out);
}

std::vector<Row> revocation_rows(const v1::Revocation& revocation) {
  std::vector<Row> rows = {{"sequence", revocation.sequence()},
                           {"time", rfc3339(revocation.time())}};
  switch (revocation.revoked_case()) {
    case v1::Revocation::kTicketId:
      rows.emplace_back("revoked", "ticket");
      rows.emplace_back("ticket_id", to_hex(as_bytes(revocation.ticket_id())));
      rows.emplace_back("expire_time", rfc3339(revocation.expire_time()));
      break;
    case v1::Revocation::kTicketsBefore:
      rows.emplace_back("revoked", "tickets_before");
      rows.emplace_back("before", rfc3339(revocation.tickets_before()));
      break;
    case v1::Revocation::kIdentity: {
      const auto& identity = revocation.identity();
      rows.emplace_back("revoked", "identity");
      rows.emplace_back("uri", identity.uri());
      rows.emplace_back("aliases", std::vector<std::string>(identity.aliases().begin(),
                                                            identity.aliases().end()));
      rows.emplace_back("owned_patterns",
                        std::vector<std::string>(identity.owned_patterns().begin(),
                                                 identity.owned_patterns().end()));
      break;
    }
    case v1::Revocation::kTpkId:
      rows.emplace_back("revoked", "tpk");
      rows.emplace_back("tpk_id", id_text(revocation.tpk_id()));
      break;
    case v1::Revocation::REVOKED_NOT_SET: rows.emplace_back("revoked", "unknown"); break;
  }
  return rows;
}

std::vector<Row> revoked_rows(const Revoked& revoked) {
  std::vector<Row> rows = {{"sequence", revoked.sequence}};
  if (revoked.kind != Revoked::Kind::reset) rows.emplace_back("time", time_text(revoked.time));
  switch (revoked.kind) {
    case Revoked::Kind::ticket:
      rows.emplace_back("revoked", "ticket");
      rows.emplace_back("ticket_id", to_hex(revoked.id));
      break;
    case Revoked::Kind::tickets_before:
      rows.emplace_back("revoked", "tickets_before");
      rows.emplace_back("before", time_text(*revoked.before));
      break;
    case Revoked::Kind::identity:
      rows.emplace_back("revoked", "identity");
      rows.emplace_back("uri", revoked.uri);
      rows.emplace_back("aliases", revoked.aliases);
      rows.emplace_back("owned_patterns", revoked.owned_patterns);
      break;
    case Revoked::Kind::tpk:
      rows.emplace_back("revoked", "tpk");
      rows.emplace_back("tpk_id", id_text(as_text(revoked.id)));
      break;
    case Revoked::Kind::reset: rows.emplace_back("revoked", "reset"); break;
  }
  return rows;
}

Result<std::string> ticket_in(const std::string& transfer_file) {
  const ByteVector message = TRY(read_message(transfer_file));
  const auto received = TRY(mikey::ReceivedTransfer::parse(message));
  return to_string(received.ticket().body);
}

}  // namespace

RevocationCommands::RevocationCommands(service::Verb& top, service::Verb& ticket, Session& session)
    : session_(session) {
  ticket.verb("revoke", "Revokes one ticket, or all from before a time. Not undone.")
      .option("--id", ticket_id_, "The ticket's id: 32 hex digits, as in the audit.")
      .option("--ticket", ticket_file_, "File with the ticket, as ticket request wrote it.")
      .option("--transfer-init", transfer_file_, "File with a TRANSFER_INIT that carries it.")
      .option("--before", before_,
              "All tickets that the KMS issued before this time (RFC 3339), not in the future.")
      .action([this] { return exit_code_of(revoke()); });
  service::Verb& revocation =
      top.verb("revocation", "What is revoked: tickets, identities, ticket protection keys.");
  revocation.verb("list", "Lists what the KMS keeps, oldest first.").action([this] {
    return exit_code_of(list());
  });
  revocation.verb("watch", "Shows what is revoked from now on, until it is interrupted.")
      .option("--after", after_, "And what came after this sequence.")
      .action([this] { return exit_code_of(watch()); });
}

Result<void> RevocationCommands::revoke() {
  const int given = static_cast<int>(!ticket_id_.empty()) +
                    static_cast<int>(!ticket_file_.empty()) +
                    static_cast<int>(!transfer_file_.empty()) + static_cast<int>(!before_.empty());
  if (given != 1) {
    return fail(Category::malformed,
                "what is to be revoked? One of --id, --ticket, --transfer-init, --before");
  }
  v1::RevokeTicketRequest request;
  Timestamp before;
  if (!before_.empty() && !TimeUtil::FromString(before_, &before)) {
    return fail(Category::malformed,
                "--before: \"" + before_ + "\" is no time like 2026-01-02T03:04:05Z");
  }
  if (!ticket_id_.empty()) {
    const auto id = from_hex(ticket_id_);
    if (!id || id->size() != mikey::TicketId().size()) {
      return fail(Category::malformed, "--id: the id of a ticket is 32 hex digits");
    }
    request.set_ticket_id(to_string(Bytes(*id)));
  } else if (!ticket_file_.empty()) {
    request.set_ticket_octets(TRY(read_file(ticket_file_)));
  } else if (!transfer_file_.empty()) {
    request.set_ticket_octets(TRY(ticket_in(transfer_file_)));
  }
  const auto client = TRY(RevocationClient::open(TRY(session_.connection())));
  const v1::Revocation revocation =
      TRY(before_.empty() ? client->revoke_ticket(request) : client->revoke_before(before));
  print_rows(session_.out, session_.format(), revocation_rows(revocation));
  return {};
}

Result<void> RevocationCommands::list() {
  const auto client = TRY(RevocationClient::open(TRY(session_.connection())));
  std::vector<std::vector<Row>> all;
  TRY(client->list(
      [&](const v1::Revocation& revocation) { all.push_back(revocation_rows(revocation)); }));
  print_list(session_.out, session_.format(), all);
  return {};
}

Result<void> RevocationCommands::watch() {
  kms_client::ConnectionOptions where;
  where.unix_socket = session_.socket;
  where.server = session_.server;
  where.ca = session_.ca;
  where.certificate = session_.certificate;
  where.private_key = session_.private_key;
  where.server_name = session_.server_name;
  auto connection = TRY(kms_client::KmsConnection::open(where));
  kms_client::WatchOptions options;
  if (after_ != kNotGiven) {
    if (after_ < 0) return fail(Category::malformed, "--after is a sequence: 0 or more");
    options.after = static_cast<std::uint64_t>(after_);
  }
  kms_client::RevocationWatch watch(
      std::move(connection), options, session_.random,
      {.revoked =
           [this](const Revoked& revoked) {
             print_line(session_.out, session_.format(), revoked_rows(revoked));
           },
       .lost =
           [](const Error& why) {
             const bool again =
                 why.category() == Category::unavailable || why.category() == Category::busy;
             if (again) (void)exit_code_of(std::unexpected(why));
             return again;
           }});
  return std::unexpected(watch.wait());
}

}  // namespace keystub::kmsctl
