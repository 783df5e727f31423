// VectorKms for the public-key scenarios of lib/mikey/vectors/keystub-mikey-1.json.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "kms-server/identity_store.h"
#include "kms-server/kek.h"
#include "kms-server/pk_material.h"
#include "tests/support/scripted_random.h"
#include "tests/support/temp_dir.h"
#include "tests/support/vectors.h"

namespace keystub::kms {

class PkVectorKms {
 public:
  explicit PkVectorKms(const std::string& name) {
    std::ifstream file(KEYSTUB_SOURCE_DIR "/lib/mikey/vectors/keystub-mikey-1.json");
    const auto document = nlohmann::json::parse(file);
    keys_ = document.at("test_keys");
    exchange_ = document.at("exchanges").at(name);
  }

  bool has_request() const { return exchange_.at("messages").contains("REQUEST_INIT"); }
  ByteVector message(const char* name) const { return octets(exchange_.at("messages").at(name)); }
  mikey::Identity identity() const { return mikey::Identity::uri(id("kms")); }
  std::string thdr() const { return to_string(Bytes(octets(in().at("tpk").at("thdr")))); }

  // The KMS's own pair and the root of its users' certificates.
  PkSettings pk(const testing::TempDir& folder) const {
    PkSettings settings;
    settings.enabled = true;
    settings.certificate = folder.write("pk.pem", pem("kms", "certificate"));
    settings.private_key = folder.write("pk.key", pem("kms", "private_key"));
    settings.trust_anchors = folder.write("anchors.pem", pem("root", "certificate"));
    ::chmod(settings.private_key.c_str(), 0600);
    return settings;
  }

  void fill(IdentityStore& store, const Kek& kek) {
    add(store, kek, "initiator", "psk_i");
    add(store, kek, "responder", "psk_r");
    const std::string tpk_id = in().at("tpk").at("id");
    const bool own = in().at("mode") == 1;
    const std::string owner = own ? "" : id("initiator");
    const KeyBinding binding{own ? KeyKind::own_tpk : KeyKind::shared_tpk, owner, as_bytes(tpk_id)};
    const ByteVector key = octets(in().at("tpk").at("key"));
    const WrappedKey tpk{to_vector(as_bytes(tpk_id)), kek.wrap(key, binding, random_).value()};
    if (own) {
      ASSERT_TRUE(store.add_tpk(tpk, TpkState::active, soon()));
    } else {
      ASSERT_TRUE(store.share_tpk(owner, tpk, soon()));
    }
  }

  void script_request(testing::VectorClock& clock, testing::ScriptedRandom& drawn) const {
    const auto& ticket = in().at("ticket");
    drawn.push(octets(ticket.at("mpk_spi")));
    drawn.push(octets(ticket.at("mpk")));
    for (const auto& key : ticket.at("session_keys")) {
      drawn.push(octets(key.at("key")));
      if (key.contains("salt")) drawn.push(octets(key.at("salt")));
    }
    drawn.push(octets(ticket.at("rand")));
    clock.push(ticket.at("t").get<std::string>());
    clock.push(in().at("request").at("t_resp").get<std::string>());
  }
  void script_resolve(testing::VectorClock& clock, testing::ScriptedRandom& drawn) const {
    const auto& resolve = in().at("resolve");
    if (resolve.contains("randr_kms")) drawn.push(octets(resolve.at("randr_kms")));
    clock.push(resolve.at("t_resp").get<std::string>());
  }

 private:
  static Deadline soon() { return Deadline::in(std::chrono::seconds(20)); }
  static ByteVector octets(const nlohmann::json& hex) {
    return testing::hex(hex.get<std::string>());
  }
  const nlohmann::json& in() const { return exchange_.at("inputs"); }
  std::string id(const char* role) const { return in().at("identities").at(role); }
  std::string pem(const char* owner, const char* what) const { return keys_.at(owner).at(what); }

  // With its pre-shared key, or without one: then it has a certificate.
  void add(IdentityStore& store, const Kek& kek, const char* role, const char* psk_input) {
    const std::string uri = id(role);
    std::optional<WrappedPsk> psk;
    if (in().contains(psk_input)) {
      const ByteVector psk_id = to_vector(as_bytes(in().at(psk_input).at("id").get<std::string>()));
      const ByteVector key = octets(in().at(psk_input).at("key"));
      psk = WrappedPsk{psk_id, kek.wrap(key, {KeyKind::psk, uri, psk_id}, random_).value(), {}};
    }
    ASSERT_TRUE(store.create(uri, IdentityKind::user, psk, soon()));
  }

  nlohmann::json keys_;
  nlohmann::json exchange_;
  OpenSslRandom random_;
};

}  // namespace keystub::kms
