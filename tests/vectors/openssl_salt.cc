// RAND_set_rand_method is deprecated in favour of providers; for a test it does.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/rand.h>

#include <algorithm>

#include "tests/vectors/openssl_salt.h"

namespace keystub::vectors {
namespace {

ByteVector salt_in_use;
std::uint8_t next_octet = 0;

// What is as long as the salt is the salt. OpenSSL draws other numbers for its blinding, which show
// in no result; they only have to differ.
int draw(unsigned char* out, int octets) {
  if (static_cast<std::size_t>(octets) == salt_in_use.size()) {
    std::ranges::copy(salt_in_use, out);
  } else {
    std::generate_n(out, octets, [] { return next_octet += 7; });
  }
  return 1;
}
int ready() { return 1; }

constexpr RAND_METHOD kMethod{nullptr, draw, nullptr, nullptr, draw, ready};

}  // namespace

OpenSslSalt::OpenSslSalt(ByteVector salt) {
  salt_in_use = std::move(salt);
  if (!salt_in_use.empty()) RAND_set_rand_method(&kMethod);
}

OpenSslSalt::~OpenSslSalt() { RAND_set_rand_method(nullptr); }

}  // namespace keystub::vectors
