// Who is client and who is server: TCP by a=setup (RFC 4145), TLS for MSRP by the a=setup of the
// answer (TR 29.828 7.1.1.2): whoever is active in the answer is client of both.
#pragma once

#include <optional>

#include "base/error.h"
#include "sdp/setup.h"

namespace keystub::mrfc {

using sdp::Setup;

// What the MRFP has to be. Two roles, as BFCP decides them by different rules.
struct StreamRoles {
  bool tcp_client = false;
  bool tls_client = false;

  friend bool operator==(const StreamRoles&, const StreamRoles&) = default;
};

// MRFC-B2: our answer to an offer (RFC 4145 4.1). `prefer_active` decides where the offer leaves
// the choice. Denied for holdconn: there would be no connection.
Result<Setup> answer_setup(std::optional<Setup> offered, bool prefer_active);

// MRFC-B3: the roles of the MRFP once the answer is known. Denied for an answer that is neither
// active nor passive.
Result<StreamRoles> msrp_roles_when_answering(Setup our_answer);
Result<StreamRoles> msrp_roles_when_answered(Setup their_answer);

}  // namespace keystub::mrfc
