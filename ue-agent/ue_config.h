// What a user endpoint is configured with (deploy/examples/ue-agent.toml explains every key).
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "mikey/exchange.h"
#include "service/config.h"
#include "service/secret_file.h"

namespace keystub::ue {

struct UeConfig {
  std::string uri;  // who we are: IDRi of our offers, IDRr of our answers
  std::filesystem::path psk_file;
  service::SecretEncoding psk_encoding = service::SecretEncoding::hex;
  std::string psk_id;  // IDRpsk; the URI where nothing is configured

  std::string kms_target;
  std::filesystem::path kms_ca;
  std::string kms_server_name;
  std::string kms_identity;  // IDRkms
  std::chrono::milliseconds kms_timeout{};

  std::chrono::milliseconds ticket_validity{};
  bool ticket_reusable = false;
  bool any_resolver = false;       // anybody may resolve our tickets, not the To URI alone
  std::filesystem::path tpk_file;  // mode 3; empty: not shared with us
  service::SecretEncoding tpk_encoding = service::SecretEncoding::hex;
  std::string tpk_id;

  std::filesystem::path replay_file;
  std::chrono::milliseconds replay_skew{};

  service::SocketAddress media_listen;
  std::vector<std::string> cipher_suites;
  std::vector<std::string> accept_types;
  std::uint8_t prot_type = 2;

  // malformed, with every fault and its file:line:column.
  static Result<UeConfig> read(service::Config& config);

  mikey::Identity identity() const { return mikey::Identity::uri(uri); }
  mikey::Identity kms() const;
  // Reads the key file; not_found, denied (its mode), malformed.
  Result<mikey::KmsCredentials> credentials() const;
};

}  // namespace keystub::ue
