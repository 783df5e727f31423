#include "tests/support/kms_exchanges.h"

namespace keystub::testing {
namespace {

using namespace mikey;

// The policy of the ticket that the scenario's KMS grants.
TicketPolicy granted_policy(const Scenario& scenario) {
  const ByteVector request_resp = scenario.message("REQUEST_RESP");
  const Message message = Message::parse(request_resp).value();
  return message.ticket->policy.read(message.name()).value();
}

}  // namespace

KmsExchanges::KmsExchanges(const Scenario& scenario)
    : psk_i_(Psk(scenario.octets("psk_i"))),
      psk_r_(Psk(scenario.octets("psk_r"))),
      tpk_{Tpk(scenario.octets("tpk")), "tpk-7", "thdr"},
      request_init_(scenario.message("REQUEST_INIT")),
      resolve_init_(scenario.message("RESOLVE_INIT")),
      granted_(granted_policy(scenario)) {}

ByteVector KmsExchanges::request() {
  const auto received = ReceivedRequest::parse(request_init_).value();
  const auto proven = received.authenticate(psk_i_, *granted_.idr_i, *granted_.idr_kms).value();
  return proven.grant(env_, granted_, proven.wish().keys, tpk_).value().message;
}

ByteVector KmsExchanges::resolve() {
  const Identity& responder = granted_.idr_r.front();
  const auto received = ReceivedResolve::parse(resolve_init_).value();
  const auto proven = received.authenticate(psk_r_, responder, *granted_.idr_kms).value();
  const auto opened = proven.open(tpk_.key).value();
  return opened.respond(env_, responder).value();
}

}  // namespace keystub::testing
