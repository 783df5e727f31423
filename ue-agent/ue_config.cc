// Reading and checking the configuration.
#include "ue-agent/ue_config.h"

#include "tlspsk/cipher_suites.h"

namespace keystub::ue {

namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

service::SecretEncoding read_encoding(service::Config& config, std::string_view key) {
  return config.choice(key, "hex", {"hex", "raw"}) == "hex" ? service::SecretEncoding::hex
                                                            : service::SecretEncoding::raw;
}

}  // namespace

Result<UeConfig> UeConfig::read(service::Config& config) {
  UeConfig ue;
  ue.uri = config.required_string("identity.uri");
  ue.psk_file = config.required_path("identity.psk_file");
  ue.psk_encoding = read_encoding(config, "identity.psk_encoding");
  ue.psk_id = config.string("identity.psk_id", ue.uri);

  ue.kms_target = config.required_string("kms.target");
  ue.kms_ca = config.required_path("kms.ca");
  ue.kms_server_name = config.string("kms.server_name", "");
  ue.kms_identity = config.required_string("kms.identity");
  ue.kms_timeout = config.duration("kms.timeout", seconds(5), milliseconds(10), minutes(5));

  ue.ticket_validity = config.duration("ticket.validity", hours(1), minutes(1), hours(24 * 31));
  ue.ticket_reusable = config.boolean("ticket.reusable", false);
  ue.any_resolver = config.boolean("ticket.any_resolver", false);
  ue.tpk_file = config.path("ticket.tpk_file", "");
  ue.tpk_encoding = read_encoding(config, "ticket.tpk_encoding");
  ue.tpk_id = config.string("ticket.tpk_id", "");
  if (ue.tpk_file.empty() != ue.tpk_id.empty()) {
    config.fault("ticket.tpk_file", "needs ticket.tpk_id as well, and the other way round");
  }

  ue.replay_file = config.required_path("replay.file");
  ue.replay_skew = config.duration("replay.skew", seconds(60), seconds(1), hours(1));

  ue.media_listen = config.address("media.listen", "127.0.0.1:0");
  ue.cipher_suites = config.strings("media.cipher_suites", tlspsk::default_cipher_suites());
  if (const auto valid = tlspsk::validate_cipher_suites(ue.cipher_suites); !valid) {
    config.fault("media.cipher_suites", valid.error().text());
  }
  ue.accept_types = config.strings("media.accept_types", {"text/plain", "message/cpim"});
  ue.prot_type = static_cast<std::uint8_t>(config.integer("media.prot_type", 2, 1, 255));
  if (!mikey::is_tls(mikey::ProtType{ue.prot_type})) {
    config.fault("media.prot_type", "must be 2 or 241: the numbers that stand for TLS");
  }
  TRY(config.finish());
  return ue;
}

mikey::Identity UeConfig::kms() const {
  // A URI has a scheme; kms@example.com is a network access identifier.
  const auto type =
      kms_identity.find(':') == std::string::npos ? mikey::IdType::nai : mikey::IdType::uri;
  return {type, kms_identity};
}

Result<mikey::KmsCredentials> UeConfig::credentials() const {
  auto psk = TRY(service::read_secret<PskTag>(psk_file, psk_encoding, 16, 64));
  return mikey::KmsCredentials{identity(), kms(), psk_id, std::move(psk)};
}

}  // namespace keystub::ue
