#include "mikey/types.h"

#include <initializer_list>

namespace keystub::mikey {

std::string_view name_of(DataType value) noexcept {
  switch (value) {
    case DataType::psk_init: return "Pre-shared";
    case DataType::psk_verification: return "PSK ver msg";
    case DataType::pk_init: return "Public key";
    case DataType::pk_verification: return "PK ver msg";
    case DataType::dh_init: return "D-H init";
    case DataType::dh_resp: return "D-H resp";
    case DataType::error: return "Error message";
    case DataType::dhhmac_init: return "DHHMAC init";
    case DataType::dhhmac_resp: return "DHHMAC resp";
    case DataType::rsa_r_init: return "RSA-R I_MSG";
    case DataType::rsa_r_resp: return "RSA-R R_MSG";
    case DataType::request_init_psk: return "REQUEST_INIT_PSK";
    case DataType::request_init_pk: return "REQUEST_INIT_PK";
    case DataType::request_resp: return "REQUEST_RESP";
    case DataType::transfer_init: return "TRANSFER_INIT";
    case DataType::transfer_resp: return "TRANSFER_RESP";
    case DataType::resolve_init_psk: return "RESOLVE_INIT_PSK";
    case DataType::resolve_init_pk: return "RESOLVE_INIT_PK";
    case DataType::resolve_resp: return "RESOLVE_RESP";
  }
  return "unassigned";
}

std::string_view name_of(PayloadType value) noexcept {
  switch (value) {
    case PayloadType::last: return "Last payload";
    case PayloadType::kemac: return "KEMAC";
    case PayloadType::pke: return "PKE";
    case PayloadType::dh: return "DH";
    case PayloadType::sign: return "SIGN";
    case PayloadType::t: return "T";
    case PayloadType::id: return "ID";
    case PayloadType::cert: return "CERT";
    case PayloadType::chash: return "CHASH";
    case PayloadType::v: return "V";
    case PayloadType::sp: return "SP";
    case PayloadType::rand: return "RAND";
    case PayloadType::err: return "ERR";
    case PayloadType::tr: return "TR";
    case PayloadType::idr: return "IDR";
    case PayloadType::randr: return "RANDR";
    case PayloadType::tp: return "TP";
    case PayloadType::ticket: return "TICKET";
    case PayloadType::key_data: return "Key data";
    case PayloadType::ext: return "General Ext.";
  }
  return "unassigned";
}

std::string_view name_of(PrfFunc value) noexcept {
  switch (value) {
    case PrfFunc::mikey_1: return "MIKEY-1";
    case PrfFunc::hmac_sha_256: return "PRF-HMAC-SHA-256";
  }
  return "unassigned";
}

std::string_view name_of(CsIdMapType value) noexcept {
  switch (value) {
    case CsIdMapType::srtp_id: return "SRTP-ID";
    case CsIdMapType::empty: return "Empty map";
    case CsIdMapType::generic_id: return "GENERIC-ID";
  }
  return "unassigned";
}

std::string_view name_of(EncrAlg value) noexcept {
  switch (value) {
    case EncrAlg::null: return "NULL";
    case EncrAlg::aes_cm_128: return "AES-CM-128";
    case EncrAlg::aes_kw_128: return "AES-KW-128";
    case EncrAlg::aes_cm_256: return "AES-CM-256";
  }
  return "unassigned";
}

std::string_view name_of(MacAlg value) noexcept {
  switch (value) {
    case MacAlg::null: return "NULL";
    case MacAlg::hmac_sha_1_160: return "HMAC-SHA-1-160";
    case MacAlg::hmac_sha_256_256: return "HMAC-SHA-256-256";
  }
  return "unassigned";
}

std::string_view name_of(TsType value) noexcept {
  switch (value) {
    case TsType::ntp_utc: return "NTP-UTC";
    case TsType::ntp: return "NTP";
    case TsType::counter: return "COUNTER";
    case TsType::ntp_utc_32: return "NTP-UTC-32";
  }
  return "unassigned";
}

std::string_view name_of(TsRole value) noexcept {
  switch (value) {
    case TsRole::issue: return "TRi";
    case TsRole::start: return "TRs";
    case TsRole::end: return "TRe";
    case TsRole::rekeying: return "TRr";
  }
  return "unassigned";
}

std::string_view name_of(IdType value) noexcept {
  switch (value) {
    case IdType::nai: return "NAI";
    case IdType::uri: return "URI";
    case IdType::byte_string: return "Byte string";
  }
  return "unassigned";
}

std::string_view name_of(IdRole value) noexcept {
  switch (value) {
    case IdRole::initiator: return "IDRi";
    case IdRole::responder: return "IDRr";
    case IdRole::kms: return "IDRkms";
    case IdRole::psk: return "IDRpsk";
    case IdRole::application: return "IDRapp";
  }
  return "unassigned";
}

std::string_view name_of(RandRole value) noexcept {
  switch (value) {
    case RandRole::initiator: return "RANDRi";
    case RandRole::responder: return "RANDRr";
    case RandRole::kms: return "RANDRkms";
  }
  return "unassigned";
}

std::string_view name_of(CertType value) noexcept {
  switch (value) {
    case CertType::x509v3: return "X.509v3";
    case CertType::url: return "X.509v3 URL";
    case CertType::sign: return "X.509v3 Sign";
    case CertType::encr: return "X.509v3 Encr";
  }
  return "unassigned";
}

std::string_view name_of(DhGroup value) noexcept {
  switch (value) {
    case DhGroup::oakley_5: return "OAKLEY 5";
    case DhGroup::oakley_1: return "OAKLEY 1";
    case DhGroup::oakley_2: return "OAKLEY 2";
  }
  return "unassigned";
}

std::string_view name_of(EnvelopeCache value) noexcept {
  switch (value) {
    case EnvelopeCache::no_cache: return "No cache";
    case EnvelopeCache::cache: return "Cache";
    case EnvelopeCache::cache_for_csb: return "Cache for CSB";
  }
  return "unassigned";
}

std::string_view name_of(SignatureType value) noexcept {
  switch (value) {
    case SignatureType::rsa_pkcs1: return "RSA/PKCS#1/1.5";
    case SignatureType::rsa_pss: return "RSA/PSS";
  }
  return "unassigned";
}

std::string_view name_of(HashFunc value) noexcept {
  switch (value) {
    case HashFunc::sha_1: return "SHA-1";
    case HashFunc::md5: return "MD5";
    case HashFunc::sha_256: return "SHA-256";
  }
  return "unassigned";
}

std::string_view name_of(KeyType value) noexcept {
  switch (value) {
    case KeyType::tgk: return "TGK";
    case KeyType::tgk_salt: return "TGK+SALT";
    case KeyType::tek: return "TEK";
    case KeyType::tek_salt: return "TEK+SALT";
    case KeyType::gtgk: return "GTGK";
    case KeyType::gtgk_salt: return "GTGK+SALT";
    case KeyType::mpk: return "MPK";
  }
  return "unassigned";
}

std::string_view name_of(KeyValidity value) noexcept {
  switch (value) {
    case KeyValidity::null: return "Null";
    case KeyValidity::spi: return "SPI";
    case KeyValidity::interval: return "Interval";
  }
  return "unassigned";
}

std::string_view name_of(ExtType value) noexcept {
  switch (value) {
    case ExtType::vendor_id: return "Vendor ID";
    case ExtType::sdp_ids: return "SDP IDs";
    case ExtType::tesla_i_key: return "TESLA I-Key";
    case ExtType::key_id: return "Key ID";
  }
  return "unassigned";
}

std::string_view name_of(KeyIdType value) noexcept {
  switch (value) {
    case KeyIdType::mbms_key_domain: return "MBMS Key Domain ID";
    case KeyIdType::mbms_service_key: return "MBMS Service Key ID";
    case KeyIdType::mbms_traffic_key: return "MBMS Traffic Key ID";
  }
  return "unassigned";
}

std::string_view name_of(SrtpParameter value) noexcept {
  switch (value) {
    case SrtpParameter::encr_alg: return "Encryption algorithm";
    case SrtpParameter::session_encr_key_length: return "Session Encr. key length";
    case SrtpParameter::auth_alg: return "Authentication algorithm";
    case SrtpParameter::session_auth_key_length: return "Session Auth. key length";
    case SrtpParameter::session_salt_key_length: return "Session Salt key length";
    case SrtpParameter::prf: return "SRTP Pseudo Random Function";
    case SrtpParameter::key_derivation_rate: return "Key derivation rate";
    case SrtpParameter::srtp_encryption: return "SRTP encryption off/on";
    case SrtpParameter::srtcp_encryption: return "SRTCP encryption off/on";
    case SrtpParameter::fec_order: return "sender's FEC order";
    case SrtpParameter::srtp_authentication: return "SRTP authentication off/on";
    case SrtpParameter::auth_tag_length: return "Authentication tag length";
    case SrtpParameter::srtp_prefix_length: return "SRTP prefix length";
  }
  return "unassigned";
}

std::string_view name_of(ProtType value) noexcept {
  switch (value) {
    case ProtType::srtp: return "SRTP";
    case ProtType::tls:
    case ProtType::tls_private: return "TLS";
  }
  return "unassigned";
}

std::string_view name_of(ErrorNo value) noexcept {
  switch (value) {
    case ErrorNo::auth_failure: return "Auth failure";
    case ErrorNo::invalid_ts: return "Invalid TS";
    case ErrorNo::invalid_prf: return "Invalid PRF";
    case ErrorNo::invalid_mac: return "Invalid MAC";
    case ErrorNo::invalid_ea: return "Invalid EA";
    case ErrorNo::invalid_ha: return "Invalid HA";
    case ErrorNo::invalid_dh: return "Invalid DH";
    case ErrorNo::invalid_id: return "Invalid ID";
    case ErrorNo::invalid_cert: return "Invalid Cert";
    case ErrorNo::invalid_sp: return "Invalid SP";
    case ErrorNo::invalid_sppar: return "Invalid SPpar";
    case ErrorNo::invalid_dt: return "Invalid DT";
    case ErrorNo::unspecified: return "Unspecified error";
    case ErrorNo::unsupported_message_type: return "Unsupported message type";
    case ErrorNo::invalid_ticket: return "Invalid TICKET";
    case ErrorNo::invalid_tppar: return "Invalid TPpar";
  }
  return "unassigned";
}

std::string_view name_of_choice(SrtpParameter parameter, std::uint8_t value) noexcept {
  const auto one_of = [value](std::initializer_list<std::string_view> names) {
    return value < names.size() ? names.begin()[value] : std::string_view("unassigned");
  };
  switch (parameter) {
    case SrtpParameter::encr_alg: return one_of({"NULL", "AES-CM", "AES-F8"});
    case SrtpParameter::auth_alg: return one_of({"NULL", "HMAC-SHA-1"});
    case SrtpParameter::prf: return one_of({"AES-CM"});
    case SrtpParameter::fec_order: return one_of({"FEC-SRTP"});
    case SrtpParameter::srtp_encryption:
    case SrtpParameter::srtcp_encryption:
    case SrtpParameter::srtp_authentication: return one_of({"off", "on"});
    case SrtpParameter::session_encr_key_length:
    case SrtpParameter::session_auth_key_length:
    case SrtpParameter::session_salt_key_length:
    case SrtpParameter::key_derivation_rate:
    case SrtpParameter::auth_tag_length:
    case SrtpParameter::srtp_prefix_length: break;
  }
  return {};
}

}  // namespace keystub::mikey
