// The numbers of MIKEY: RFC 3830 section 6, RFC 4563, RFC 6043 section 6, and their names.
// An unassigned value that does not decide a length or a structure is kept as it is.
#pragma once

#include <cstdint>
#include <string_view>

namespace keystub::mikey {

inline constexpr std::uint8_t kVersion = 1;

// RFC 3830 table 6.1.a, RFC 6043 table 6.1
enum class DataType : std::uint8_t {
  psk_init = 0,
  psk_verification = 1,
  pk_init = 2,
  pk_verification = 3,
  dh_init = 4,
  dh_resp = 5,
  error = 6,
  dhhmac_init = 7,
  dhhmac_resp = 8,
  rsa_r_init = 9,
  rsa_r_resp = 10,
  request_init_psk = 11,
  request_init_pk = 12,
  request_resp = 13,
  transfer_init = 14,
  transfer_resp = 15,
  resolve_init_psk = 16,
  resolve_init_pk = 17,
  resolve_resp = 18,
};

// RFC 3830 table 6.1.b, RFC 6043 table 6.2. THDR has no number: it is always the first of the
// Ticket Data (RFC 6043 A.1).
enum class PayloadType : std::uint8_t {
  last = 0,
  kemac = 1,
  pke = 2,
  dh = 3,
  sign = 4,
  t = 5,
  id = 6,
  cert = 7,
  chash = 8,
  v = 9,
  sp = 10,
  rand = 11,
  err = 12,
  tr = 13,
  idr = 14,
  randr = 15,
  tp = 16,
  ticket = 17,
  key_data = 20,
  ext = 21,
};

enum class PrfFunc : std::uint8_t { mikey_1 = 0, hmac_sha_256 = 1 };               // table 6.3
enum class CsIdMapType : std::uint8_t { srtp_id = 0, empty = 1, generic_id = 2 };  // table 6.4
enum class EncrAlg : std::uint8_t { null = 0, aes_cm_128 = 1, aes_kw_128 = 2, aes_cm_256 = 3 };
enum class MacAlg : std::uint8_t { null = 0, hmac_sha_1_160 = 1, hmac_sha_256_256 = 2 };
enum class TsType : std::uint8_t { ntp_utc = 0, ntp = 1, counter = 2, ntp_utc_32 = 3 };
enum class TsRole : std::uint8_t { issue = 1, start = 2, end = 3, rekeying = 4 };
enum class IdType : std::uint8_t { nai = 0, uri = 1, byte_string = 2 };
enum class IdRole : std::uint8_t {
  initiator = 1,
  responder = 2,
  kms = 3,
  psk = 4,
  application = 5,
};
enum class RandRole : std::uint8_t { initiator = 1, responder = 2, kms = 3 };
enum class CertType : std::uint8_t { x509v3 = 0, url = 1, sign = 2, encr = 3 };
enum class DhGroup : std::uint8_t { oakley_5 = 0, oakley_1 = 1, oakley_2 = 2 };
enum class EnvelopeCache : std::uint8_t { no_cache = 0, cache = 1, cache_for_csb = 2 };
enum class SignatureType : std::uint8_t { rsa_pkcs1 = 0, rsa_pss = 1 };
enum class HashFunc : std::uint8_t { sha_1 = 0, md5 = 1, sha_256 = 2 };
enum class KeyType : std::uint8_t {
  tgk = 0,
  tgk_salt = 1,
  tek = 2,
  tek_salt = 3,
  gtgk = 4,
  gtgk_salt = 5,
  mpk = 6,
};
enum class KeyValidity : std::uint8_t { null = 0, spi = 1, interval = 2 };
enum class ExtType : std::uint8_t { vendor_id = 0, sdp_ids = 1, tesla_i_key = 2, key_id = 3 };

enum class KeyIdType : std::uint8_t {  // RFC 4563 table 2
  mbms_key_domain = 0,
  mbms_service_key = 1,
  mbms_traffic_key = 2,
};

// The parameters of an SRTP policy, RFC 3830 table 6.10.1.a
enum class SrtpParameter : std::uint8_t {
  encr_alg = 0,
  session_encr_key_length = 1,
  auth_alg = 2,
  session_auth_key_length = 3,
  session_salt_key_length = 4,
  prf = 5,
  key_derivation_rate = 6,
  srtp_encryption = 7,
  srtcp_encryption = 8,
  fec_order = 9,
  srtp_authentication = 10,
  auth_tag_length = 11,
  srtp_prefix_length = 12,
};

enum class ProtType : std::uint8_t {
  srtp = 0,
  // TLS has no number at IANA; 2 is the first unassigned one (TR 33.829 planned a registration).
  // 241 (private use) is accepted as well.
  tls = 2,
  tls_private = 241,
};

// RFC 3830 table 6.12, RFC 6043 table 6.14
enum class ErrorNo : std::uint8_t {
  auth_failure = 0,
  invalid_ts = 1,
  invalid_prf = 2,
  invalid_mac = 3,
  invalid_ea = 4,
  invalid_ha = 5,
  invalid_dh = 6,
  invalid_id = 7,
  invalid_cert = 8,
  invalid_sp = 9,
  invalid_sppar = 10,
  invalid_dt = 11,
  unspecified = 12,
  unsupported_message_type = 13,
  invalid_ticket = 14,
  invalid_tppar = 15,
};

// The names the RFCs use; "unassigned" for other values. String literals.
std::string_view name_of(DataType value) noexcept;
std::string_view name_of(PayloadType value) noexcept;
std::string_view name_of(PrfFunc value) noexcept;
std::string_view name_of(CsIdMapType value) noexcept;
std::string_view name_of(EncrAlg value) noexcept;
std::string_view name_of(MacAlg value) noexcept;
std::string_view name_of(TsType value) noexcept;
std::string_view name_of(TsRole value) noexcept;
std::string_view name_of(IdType value) noexcept;
std::string_view name_of(IdRole value) noexcept;
std::string_view name_of(RandRole value) noexcept;
std::string_view name_of(CertType value) noexcept;
std::string_view name_of(DhGroup value) noexcept;
std::string_view name_of(EnvelopeCache value) noexcept;
std::string_view name_of(SignatureType value) noexcept;
std::string_view name_of(HashFunc value) noexcept;
std::string_view name_of(KeyType value) noexcept;
std::string_view name_of(KeyValidity value) noexcept;
std::string_view name_of(ExtType value) noexcept;
std::string_view name_of(KeyIdType value) noexcept;
std::string_view name_of(SrtpParameter value) noexcept;
std::string_view name_of(ProtType value) noexcept;
std::string_view name_of(ErrorNo value) noexcept;
// The value of an SRTP parameter that is a choice: "AES-CM". Empty for numbers.
std::string_view name_of_choice(SrtpParameter parameter, std::uint8_t value) noexcept;

constexpr bool has_salt(KeyType type) noexcept {
  return type == KeyType::tgk_salt || type == KeyType::tek_salt || type == KeyType::gtgk_salt;
}
constexpr bool is_tgk(KeyType type) noexcept {
  return type == KeyType::tgk || type == KeyType::tgk_salt;
}
constexpr bool is_tek(KeyType type) noexcept {
  return type == KeyType::tek || type == KeyType::tek_salt;
}
constexpr bool is_tls(ProtType type) noexcept {
  return type == ProtType::tls || type == ProtType::tls_private;
}

}  // namespace keystub::mikey
