#include "rpc/tls_version.h"

#include <openssl/bio.h>
#include <openssl/conf.h>
#include <openssl/crypto.h>

#include <memory>
#include <string_view>

namespace keystub::rpc {
namespace {

// "Protocol" switches versions off by an option of the context. gRPC sets the lowest and highest
// version itself, which would override "MinProtocol", and leaves the options alone.
constexpr std::string_view kConfiguration =
    "openssl_conf = keystub\n"
    "[keystub]\nssl_conf = contexts\n"
    "[contexts]\nsystem_default = every_context\n"
    "[every_context]\nProtocol = ALL, -TLSv1, -TLSv1.1, -TLSv1.2\n";

}  // namespace

Result<void> require_tls_1_3() {
  // The machine's own configuration first: loaded later, it would replace this.
  OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, nullptr);
  const std::unique_ptr<BIO, decltype(&BIO_free)> text(
      BIO_new_mem_buf(kConfiguration.data(), static_cast<int>(kConfiguration.size())), &BIO_free);
  const std::unique_ptr<CONF, decltype(&NCONF_free)> conf(NCONF_new(nullptr), &NCONF_free);
  long line = 0;
  if (text == nullptr || conf == nullptr || NCONF_load_bio(conf.get(), text.get(), &line) <= 0 ||
      CONF_modules_load(conf.get(), nullptr, 0) <= 0) {
    return fail(Category::internal, "OpenSSL does not take TLS 1.3 as the lowest version");
  }
  return {};
}

}  // namespace keystub::rpc
