// The TLS-PSK cipher suites that Keystub speaks, in order of preference: the one place that names
// them (RFC 4279, 5487, 5489, 7905, 8446). OpenSSL's names.
//
// All encrypt and none compresses (TS 33.310 Annex E). For TLS 1.3 only suites with SHA-256 are
// there: our external PSKs carry no hash of their own, which makes it SHA-256 (RFC 8446 4.2.11),
// and a server that prefers a SHA-384 suite would refuse them.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace keystub::tlspsk {

inline constexpr std::string_view kTlsAes128GcmSha256 = "TLS_AES_128_GCM_SHA256";
inline constexpr std::string_view kTlsChacha20Poly1305Sha256 = "TLS_CHACHA20_POLY1305_SHA256";
inline constexpr std::string_view kEcdhePskChacha20Poly1305 = "ECDHE-PSK-CHACHA20-POLY1305";
inline constexpr std::string_view kPskAes128GcmSha256 = "PSK-AES128-GCM-SHA256";
inline constexpr std::string_view kPskAes256GcmSha384 = "PSK-AES256-GCM-SHA384";
inline constexpr std::string_view kEcdhePskAes128CbcSha256 = "ECDHE-PSK-AES128-CBC-SHA256";
inline constexpr std::string_view kPskAes128CbcSha256 = "PSK-AES128-CBC-SHA256";
inline constexpr std::string_view kPskAes128CbcSha = "PSK-AES128-CBC-SHA";

struct CipherSuite {
  std::string_view name;
  bool tls13;       // a TLS 1.3 suite; the others are for TLS 1.2 alone
  bool on_default;  // in the list that an empty configuration means
};

inline constexpr CipherSuite kCipherSuites[] = {
    {kTlsAes128GcmSha256, true, true},
    {kTlsChacha20Poly1305Sha256, true, true},
    {kEcdhePskChacha20Poly1305, false, true},
    {kPskAes128GcmSha256, false, true},
    {kPskAes256GcmSha384, false, true},
    {kEcdhePskAes128CbcSha256, false, true},
    {kPskAes128CbcSha256, false, true},
    // RFC 4279's own mandatory suite. SHA-1 and CBC: only for a peer that has nothing better.
    {kPskAes128CbcSha, false, false},
};

// Null where the name is none of ours.
const CipherSuite* find_cipher_suite(std::string_view name) noexcept;

std::vector<std::string> default_cipher_suites();

// Refuses (malformed) an empty list, a name outside the table and a name given twice.
Result<void> validate_cipher_suites(std::span<const std::string> names);

}  // namespace keystub::tlspsk
