#include "tlspsk/profile.h"

#include <openssl/ssl.h>

#include <string_view>

#include "tlspsk/cipher_suites.h"
#include "tlspsk/engine_callbacks.h"
#include "tlspsk/openssl_error.h"

namespace keystub::tlspsk {

namespace {

// Far above what a PSK handshake sends (no certificates): a peer cannot make us buffer more.
constexpr long kMaxHandshakeOctets = 16 * 1024;

std::string join(std::span<const std::string> names, bool tls13) {
  std::string list;
  for (const std::string& name : names) {
    if (find_cipher_suite(name)->tls13 != tls13) continue;
    list.append(list.empty() ? "" : ":").append(name);
  }
  return list;
}

// OpenSSL skips the names that it does not know without a word.
bool has_all(SSL_CTX* context, std::span<const std::string> names) {
  const STACK_OF(SSL_CIPHER)* ciphers = SSL_CTX_get_ciphers(context);
  for (const std::string& name : names) {
    bool found = false;
    for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); ++i) {
      if (name == SSL_CIPHER_get_name(sk_SSL_CIPHER_value(ciphers, i))) found = true;
    }
    if (!found) return false;
  }
  return true;
}

}  // namespace

Profile::Profile(ssl_ctx_st* context, RandomSource& random) : context_(context), random_(random) {}

Profile::~Profile() { SSL_CTX_free(context_); }

Result<std::shared_ptr<const Profile>> Profile::create(std::span<const std::string> cipher_suites,
                                                       RandomSource& random) {
  TRY(validate_cipher_suites(cipher_suites));
  const std::string tls12 = join(cipher_suites, false);
  const std::string tls13 = join(cipher_suites, true);

  SSL_CTX* context = SSL_CTX_new(TLS_method());
  if (context == nullptr) return std::unexpected(take_openssl_error("set-up", false));
  std::shared_ptr<const Profile> profile(new Profile(context, random));

  // Everything is set here, so that the machine's openssl.cnf changes nothing.
  SSL_CTX_set_security_level(context, 2);
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_clear_options(context, SSL_OP_ALLOW_NO_DHE_KEX | SSL_OP_LEGACY_SERVER_CONNECT |
                                     SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION |
                                     SSL_OP_NO_EXTENDED_MASTER_SECRET | SSL_OP_PRIORITIZE_CHACHA |
                                     SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_max_early_data(context, 0);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_max_cert_list(context, kMaxHandshakeOctets);

  const bool configured = SSL_CTX_set_min_proto_version(
                              context, tls12.empty() ? TLS1_3_VERSION : TLS1_2_VERSION) == 1 &&
                          SSL_CTX_set_max_proto_version(
                              context, tls13.empty() ? TLS1_2_VERSION : TLS1_3_VERSION) == 1 &&
                          SSL_CTX_set_ciphersuites(context, tls13.c_str()) == 1 &&
                          (tls12.empty() || SSL_CTX_set_cipher_list(context, tls12.c_str()) == 1);
  if (!configured) return std::unexpected(take_openssl_error("set-up", false));
  if (!has_all(context, cipher_suites)) {
    return fail(Category::internal,
                "this machine's OpenSSL lacks a configured cipher suite: it offers no more than " +
                    (tls13.empty() ? tls12 : tls13 + ":" + tls12));
  }

  install_callbacks(context);
  return profile;
}

}  // namespace keystub::tlspsk
