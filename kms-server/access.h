// Who may do what at a KMS: five roles, and a table with a row for each method of its two ports.
// A method without a row is denied (rpc/guard.h).
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "rpc/method_rule.h"

namespace keystub::kms {

// Who has a role: names in a client certificate (subject alternative names, common name), or
// "uid:N" on the Unix socket. The daemon's own uid and root are always admins: whoever is one of
// them can read the files of the KMS anyway.
struct Roles {
  std::vector<std::string> admin;      // everything
  std::vector<std::string> operators;  // identities, backups; not the keys of the KMS
  std::vector<std::string> auditor;    // sees, changes nothing
  // The ticket calls, for callers with a certificate. Empty: every verified certificate.
  std::vector<std::string> ticket_client;
  // Hears of revocations on the ticket port, beside those who see identities anyway. Revocations
  // tell who exists, so nobody does by default.
  std::vector<std::string> watcher;
};

// Users that the roles let in on the Unix socket: those named "uid:N", our own and root.
std::vector<uid_t> uids_of(const Roles& roles);

// The ticket port: without a certificate too unless one is required, since the MAC inside a message
// authenticates its sender. Revocations are for certificates with a role that sees them.
std::vector<rpc::MethodRule> ticket_method_rules(const Roles& roles,
                                                 bool require_client_certificate,
                                                 bool allow_plaintext);
std::vector<rpc::MethodRule> admin_method_rules(const Roles& roles);

}  // namespace keystub::kms
