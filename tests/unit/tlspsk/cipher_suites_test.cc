// The list of cipher suites (MRFP-6, MRFP-9).
#include "tlspsk/cipher_suites.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include "base/random.h"
#include "tlspsk/profile.h"

namespace keystub::tlspsk {
namespace {

using ::testing::HasSubstr;

TEST(CipherSuites, MRFP_6_StandInTheOrderOfTheProfileWithCbcShaOffByDefault) {
  // MRFP-6
  EXPECT_THAT(default_cipher_suites(),
              ::testing::ElementsAre("TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256",
                                     "ECDHE-PSK-CHACHA20-POLY1305", "PSK-AES128-GCM-SHA256",
                                     "PSK-AES256-GCM-SHA384", "ECDHE-PSK-AES128-CBC-SHA256",
                                     "PSK-AES128-CBC-SHA256"));
}

TEST(CipherSuites, MRFP_9_AllEncryptAndAllUsePreSharedKeys) {
  // MRFP-9: no NULL encryption in the table, whatever is configured.
  SSL_CTX* context = SSL_CTX_new(TLS_method());
  SSL_CTX_set_security_level(context, 0);
  for (const CipherSuite& suite : kCipherSuites) {
    const std::string name(suite.name);
    ASSERT_EQ(suite.tls13 ? SSL_CTX_set_ciphersuites(context, name.c_str())
                          : SSL_CTX_set_cipher_list(context, name.c_str()),
              1)
        << name;
    const STACK_OF(SSL_CIPHER)* ciphers = SSL_CTX_get_ciphers(context);
    bool seen = false;
    for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); ++i) {
      const SSL_CIPHER* cipher = sk_SSL_CIPHER_value(ciphers, i);
      if (name != SSL_CIPHER_get_name(cipher)) continue;
      seen = true;
      EXPECT_GE(SSL_CIPHER_get_bits(cipher, nullptr), 128) << name;
      if (!suite.tls13) {
        EXPECT_EQ(SSL_CIPHER_get_auth_nid(cipher), NID_auth_psk) << name;
      }
    }
    EXPECT_TRUE(seen) << name;
  }
  SSL_CTX_free(context);
}

TEST(CipherSuites, NamesOutsideTheTableAreRefusedAndTheTableIsShown) {
  const std::vector<std::string> names = {"PSK-AES128-GCM-SHA256", "PSK-NULL-SHA256"};
  const auto result = validate_cipher_suites(names);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().category(), Category::malformed);
  EXPECT_THAT(result.error().text(), HasSubstr("PSK-NULL-SHA256"));
  EXPECT_THAT(result.error().text(), HasSubstr("ECDHE-PSK-CHACHA20-POLY1305"));
}

TEST(CipherSuites, AnEmptyListAndRepetitionsAreRefused) {
  EXPECT_FALSE(validate_cipher_suites({}).has_value());
  const std::vector<std::string> twice = {"PSK-AES128-GCM-SHA256", "PSK-AES128-GCM-SHA256"};
  EXPECT_FALSE(validate_cipher_suites(twice).has_value());
}

TEST(CipherSuites, CertificateSuitesCannotBeConfigured) {
  OpenSslRandom random;
  for (const char* name : {"ECDHE-RSA-AES128-GCM-SHA256", "RSA-PSK-AES128-GCM-SHA256",
                           "TLS_AES_256_GCM_SHA384", "ALL", "eNULL", ""}) {
    const std::vector<std::string> names = {name};
    EXPECT_FALSE(Profile::create(names, random).has_value()) << name;
  }
}

}  // namespace
}  // namespace keystub::tlspsk
