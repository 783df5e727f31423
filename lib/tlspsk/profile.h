// Profile: which TLS is spoken. The settings of TS 33.310 Annex E as changed by TS 33.328 for
// pre-shared keys: TLS 1.2 and 1.3, PSK suites only, no NULL encryption, no compression, no
// renegotiation (RFC 5746), no session tickets or resumption, extended master secret (RFC 7627)
// where the peer has it. There is no way to give it a certificate.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "base/random.h"

struct ssl_ctx_st;

namespace keystub::tlspsk {

// Immutable, and shared by any number of engines on any thread.
class Profile {
 public:
  // `cipher_suites`: names of tlspsk/cipher_suites.h in order of preference; they decide the
  // versions too. `random` makes the decoy keys that hide which identities exist, and must
  // outlive the profile. Malformed: a bad list. Internal: OpenSSL lacks one of the suites.
  static Result<std::shared_ptr<const Profile>> create(std::span<const std::string> cipher_suites,
                                                       RandomSource& random);

  Profile(const Profile&) = delete;
  Profile& operator=(const Profile&) = delete;
  ~Profile();

 private:
  friend class Engine;
  Profile(ssl_ctx_st* context, RandomSource& random);

  ssl_ctx_st* context_;
  RandomSource& random_;
};

}  // namespace keystub::tlspsk
