#include "tests/support/openssl_recorder.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <map>

namespace {

using keystub::testing::OpenSslRecorder;

thread_local bool recording = false;
thread_local OpenSslRecorder::Calls calls;
thread_local std::map<const EVP_MD_CTX*, std::size_t> digested;

}  // namespace

// The linker's names for a wrapped function and for the one behind it.
extern "C" {
int __real_EVP_MD_CTX_copy_ex(EVP_MD_CTX* out, const EVP_MD_CTX* in);
int __real_EVP_DigestInit_ex2(EVP_MD_CTX* context, const EVP_MD* type, const OSSL_PARAM* params);
int __real_EVP_DigestUpdate(EVP_MD_CTX* context, const void* data, std::size_t size);
int __real_EVP_DigestFinal_ex(EVP_MD_CTX* context, unsigned char* out, unsigned int* size);
int __real_EVP_EncryptUpdate(EVP_CIPHER_CTX* context, unsigned char* out, int* written,
                             const unsigned char* in, int size);
int __real_RAND_priv_bytes(unsigned char* out, int size);

int __wrap_EVP_MD_CTX_copy_ex(EVP_MD_CTX* out, const EVP_MD_CTX* in) {
  if (recording) digested[out] = 0;
  return __real_EVP_MD_CTX_copy_ex(out, in);
}
int __wrap_EVP_DigestInit_ex2(EVP_MD_CTX* context, const EVP_MD* type, const OSSL_PARAM* params) {
  if (recording) digested[context] = 0;
  return __real_EVP_DigestInit_ex2(context, type, params);
}
int __wrap_EVP_DigestUpdate(EVP_MD_CTX* context, const void* data, std::size_t size) {
  if (recording) digested[context] += size;
  return __real_EVP_DigestUpdate(context, data, size);
}
int __wrap_EVP_DigestFinal_ex(EVP_MD_CTX* context, unsigned char* out, unsigned int* size) {
  if (recording) calls.digests.push_back(digested[context]);
  return __real_EVP_DigestFinal_ex(context, out, size);
}
int __wrap_EVP_EncryptUpdate(EVP_CIPHER_CTX* context, unsigned char* out, int* written,
                             const unsigned char* in, int size) {
  if (recording) calls.ciphers.push_back(static_cast<std::size_t>(size));
  return __real_EVP_EncryptUpdate(context, out, written, in, size);
}
int __wrap_RAND_priv_bytes(unsigned char* out, int size) {
  if (recording) calls.random.push_back(static_cast<std::size_t>(size));
  return __real_RAND_priv_bytes(out, size);
}
}

namespace keystub::testing {

OpenSslRecorder::OpenSslRecorder() {
  calls = {};
  digested.clear();
  recording = true;
}

OpenSslRecorder::Calls OpenSslRecorder::stop() {
  recording = false;
  return std::move(calls);
}

}  // namespace keystub::testing
