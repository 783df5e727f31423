#include "tlspsk/openssl_error.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/sslerr.h>

#include <string>

namespace keystub::tlspsk {

namespace {

// OpenSSL turns a received alert N into the reason SSL_AD_REASON_OFFSET + N.
Error from_alert(int alert) {
  const std::string name = SSL_alert_desc_string_long(alert);
  switch (alert) {
    case SSL_AD_BAD_RECORD_MAC:
    case SSL_AD_DECRYPT_ERROR:
    case SSL_AD_ILLEGAL_PARAMETER:
    case SSL_AD_UNKNOWN_PSK_IDENTITY:
      return {Category::unauthenticated,
              "the peer refused our pre-shared key (alert \"" + name +
                  "\"): it holds another key or another identity for this stream"};
    case SSL_AD_HANDSHAKE_FAILURE:
    case SSL_AD_PROTOCOL_VERSION:
    case SSL_AD_INSUFFICIENT_SECURITY:
      return {Category::denied, "the peer refused the handshake (alert \"" + name +
                                    "\"): no version and PSK cipher suite in common"};
    default: return {Category::unavailable, "the peer ended TLS with the alert \"" + name + "\""};
  }
}

}  // namespace

Error take_openssl_error(std::string_view doing, bool unknown_identity) {
  // The first entry of libssl itself: a cipher that fails below leaves an entry of its own before.
  unsigned long code = ERR_get_error();
  for (unsigned long next = code; next != 0; next = ERR_get_error()) {
    if (ERR_GET_LIB(next) != ERR_LIB_SSL) continue;
    code = next;
    break;
  }
  ERR_clear_error();
  const char* text = ERR_reason_error_string(code);
  const std::string detail = text != nullptr ? text : "no reason given";
  const int reason = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;

  if (reason > SSL_AD_REASON_OFFSET) return from_alert(reason - SSL_AD_REASON_OFFSET);
  if (unknown_identity) {
    return {Category::unauthenticated,
            "the peer named a PSK identity that is not one of this stream's"};
  }
  const bool in_handshake = doing == "handshake";
  switch (reason) {
    case SSL_R_BINDER_DOES_NOT_VERIFY:
    case SSL_R_DIGEST_CHECK_FAILED:
      return {Category::unauthenticated, "the peer does not hold this stream's pre-shared key"};
    case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
      if (in_handshake) {
        return {Category::unauthenticated, "the peer does not hold this stream's pre-shared key"};
      }
      return {Category::malformed, "a TLS record was changed on the way: its MAC is wrong"};
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_WRONG_CIPHER_RETURNED:
    case SSL_R_UNKNOWN_CIPHER_RETURNED:
      return {Category::denied,
              "the peer offers no PSK with a cipher suite that this stream allows (" + detail +
                  "): compare the lists of cipher suites"};
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
      return {Category::unauthenticated, "the peer wants certificates instead of a pre-shared key"};
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_UNKNOWN_PROTOCOL:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
      return {Category::malformed,
              "what arrived is not TLS 1.2 or 1.3 as this stream allows it (" + detail + ")"};
    default: return {Category::malformed, "TLS " + std::string(doing) + " failed: " + detail};
  }
}

}  // namespace keystub::tlspsk
