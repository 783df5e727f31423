#include "kms-client/kmsctl/kmsctl.h"

#include "kms-client/kmsctl/commands.h"
#include "service/config.h"

namespace keystub::kmsctl {

Result<ConnectionOptions> Session::connection() const {
  const auto time = TRY(service::parse_duration(timeout));
  return ConnectionOptions{socket, server, server_name, ca, certificate, private_key, time};
}

Result<std::unique_ptr<AdminClient>> Session::admin() const {
  return AdminClient::open(TRY(connection()));
}

Result<Psk> PskOptions::read() const {
  const auto form = encoding == "raw" ? service::SecretEncoding::raw : service::SecretEncoding::hex;
  return service::read_secret<PskTag>(file, form, 16, 64);
}

int exit_code_of(const Result<void>& result) {
  return result ? static_cast<int>(service::kExitOk) : service::report("kmsctl", result.error());
}

int run(int argc, char** argv, std::ostream& out, const Clock& clock, RandomSource& random) {
  Session session{out, clock, random, {}, {}, {}, {}, {}, {}};
  service::CommandLine line(
      "kmsctl", "Administers a Keystub KMS: identities, ticket protection keys, tickets, audit.",
      service::exit_code_table());
  line.top()
      .option("--socket", session.socket, "Unix socket of the admin port.")
      .option("--server", session.server, "ip:port, over TLS (tickets always; admin if no socket).")
      .option("--server-name", session.server_name, "Name in the server's certificate.")
      .option("--ca", session.ca, "PEM file of the CA of the server.")
      .option("--cert", session.certificate, "PEM file of our own certificate.")
      .option("--key", session.private_key, "PEM file of its key.")
      .option("--timeout", session.timeout, "How long to wait for an answer.")
      .choice("--output", session.output, {"table", "json"}, "Form of what is printed.");
  const IdentityCommands identity(line.top(), session);
  const GroupCommands group(line.top(), session);
  const PolicyCommands policy(line.top(), session);
  const TpkCommands tpk(line.top(), session);
  service::Verb& ticket_verb =
      line.top().verb("ticket", "Requests and resolves tickets, to try things out; revokes them.");
  const TicketCommands ticket(ticket_verb, session);
  const RevocationCommands revocation(line.top(), ticket_verb, session);
  const OperationCommands operation(line.top(), session);
  const AuditCommands audit(line.top(), session);
  const int code = line.run(argc, argv);
  out.flush();
  return code;
}

}  // namespace keystub::kmsctl
