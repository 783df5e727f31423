#include "mrfc-agent/roles.h"

#include <fmt/format.h>

namespace keystub::mrfc {
namespace {

Result<void> require_decided(Setup answer) {
  if (answer == Setup::active || answer == Setup::passive) return {};
  return fail(Category::denied,
              fmt::format("an answer with a=setup:{} starts no connection; it must be active or "
                          "passive (RFC 4145 4.1)",
                          sdp::setup_name(answer)));
}

}  // namespace

Result<Setup> answer_setup(std::optional<Setup> offered, bool prefer_active) {
  const Setup answer = sdp::choose_answer(offered, prefer_active);
  if (answer == Setup::holdconn) {
    return fail(Category::denied, "the offer holds the connection back (a=setup:holdconn)");
  }
  return answer;
}

Result<StreamRoles> msrp_roles_when_answering(Setup our_answer) {
  TRY(require_decided(our_answer));
  const bool client = our_answer == Setup::active;
  return StreamRoles{.tcp_client = client, .tls_client = client};
}

Result<StreamRoles> msrp_roles_when_answered(Setup their_answer) {
  TRY(require_decided(their_answer));
  const bool client = their_answer == Setup::passive;
  return StreamRoles{.tcp_client = client, .tls_client = client};
}

}  // namespace keystub::mrfc
