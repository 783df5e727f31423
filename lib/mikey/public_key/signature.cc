#include "mikey/public_key/signature.h"

#include <openssl/rsa.h>

#include <algorithm>

#include "base/openssl_ptr.h"
#include "mikey/public_key/openssl_errors.h"

namespace keystub::mikey {
namespace {

using Context = OpenSslPtr<EVP_MD_CTX>;

const EVP_MD* digest_of(HashFunc hash) {
  return hash == HashFunc::sha_1 ? EVP_sha1() : EVP_sha256();
}

bool set_padding(EVP_PKEY_CTX* context, SignatureType type, int salt_length) {
  if (type == SignatureType::rsa_pkcs1) {
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1;
  }
  return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(context, salt_length) == 1;
}

}  // namespace

Result<ByteVector> sign(const PrivateKey& key, SignatureType type, HashFunc hash,
                        std::initializer_list<Bytes> parts) {
  const OpenSslErrorsDropped quiet;
  const Context context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* how = nullptr;  // belongs to `context`
  ByteVector signature(key.octets());
  std::size_t size = signature.size();
  const bool signed_it =
      context != nullptr &&
      EVP_DigestSignInit(context.get(), &how, digest_of(hash), nullptr, key.handle()) == 1 &&
      set_padding(how, type, RSA_PSS_SALTLEN_DIGEST) &&
      std::ranges::all_of(parts,
                          [&](Bytes part) {
                            return EVP_DigestSignUpdate(context.get(), part.data(), part.size()) ==
                                   1;
                          }) &&
      EVP_DigestSignFinal(context.get(), signature.data(), &size) == 1 && size == signature.size();
  if (!signed_it) {
    return fail(Category::internal, "OpenSSL cannot sign with this key; check its configuration");
  }
  return signature;
}

Result<void> verify_signature(const Certificate& signer, SignatureType type, HashFunc hash,
                              std::initializer_list<Bytes> parts, Bytes signature,
                              const Place& place) {
  const OpenSslErrorsDropped quiet;
  const Context context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* how = nullptr;  // belongs to `context`
  const bool ready = context != nullptr &&
                     EVP_DigestVerifyInit(context.get(), &how, digest_of(hash), nullptr,
                                          signer.public_key()) == 1 &&
                     set_padding(how, type, RSA_PSS_SALTLEN_AUTO) &&
                     std::ranges::all_of(parts, [&](Bytes part) {
                       return EVP_DigestVerifyUpdate(context.get(), part.data(), part.size()) == 1;
                     });
  if (!ready) {
    return fail(Category::internal, "OpenSSL cannot verify signatures; check its configuration");
  }
  if (EVP_DigestVerifyFinal(context.get(), signature.data(), signature.size()) != 1) {
    return std::unexpected(
        Error(Category::unauthenticated,
              "the signature does not verify: the message was changed on its way, or its sender "
              "does not hold the key of the certificate",
              place)
            .set_mikey_error_no(static_cast<std::uint8_t>(ErrorNo::auth_failure)));
  }
  return {};
}

}  // namespace keystub::mikey
