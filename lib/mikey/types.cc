#include "mikey/types.h"

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

}  // namespace keystub::mikey
