// The KMS's work for one Ticket Request and one Ticket Resolve, from octets to octets, as
// kms-server does it: the keys of identities and tickets are prepared, since its key directory
// keeps them so.
#pragma once

#include "base/random.h"
#include "mikey/request_exchange.h"
#include "mikey/resolve_exchange.h"
#include "tests/support/vectors.h"

namespace keystub::testing {

// Not thread-safe. A refusal by the library is an exception.
class KmsExchanges {
 public:
  // `scenario` has a Ticket Request and a Ticket Resolve with pre-shared keys.
  explicit KmsExchanges(const Scenario& scenario);

  // REQUEST_INIT in, REQUEST_RESP out: parse, verify, derive, seal, build.
  ByteVector request();
  // RESOLVE_INIT in, RESOLVE_RESP out: parse, verify, open, fork, seal, build.
  ByteVector resolve();

 private:
  SystemClock clock_;
  OpenSslRandom random_;
  mikey::Environment env_{clock_, random_};
  mikey::Prepared<Psk> psk_i_;
  mikey::Prepared<Psk> psk_r_;
  mikey::TicketProtection tpk_;
  ByteVector request_init_;
  ByteVector resolve_init_;
  mikey::TicketPolicy granted_;
};

}  // namespace keystub::testing
