// What a KMS needs to answer a scenario of the vectors byte for byte: its users and ticket
// protection key in the store, and the script of its clock and randomness.
#pragma once

#include <gtest/gtest.h>

#include "kms-server/identity_store.h"
#include "kms-server/kek.h"
#include "kms-server/pk_material.h"
#include "mikey/request_exchange.h"
#include "mikey/resolve_exchange.h"
#include "tests/support/scripted_random.h"
#include "tests/support/temp_dir.h"
#include "tests/support/vectors.h"

namespace keystub::kms {

class VectorKms {
 public:
  explicit VectorKms(const char* name) : scenario(KEYSTUB_SOURCE_DIR, name) {}

  bool has_request() const { return scenario.has_message("REQUEST_INIT"); }
  ByteVector message(const char* name) const { return scenario.message(name); }
  ByteVector request_init() const { return message("REQUEST_INIT"); }
  ByteVector resolve_init() const { return message("RESOLVE_INIT"); }
  mikey::Identity identity() const { return {mikey::IdType::nai, id("kms")}; }

  PkSettings pk(const testing::TempDir&) const { return {}; }

  // Alice, bob and the TPK, under the names that the messages give their keys.
  void fill(IdentityStore& store, const Kek& kek) {
    if (has_request()) {
      add(store, kek, "alice", "psk_i", request_init());
    } else {
      ASSERT_TRUE(store.create(id("alice"), IdentityKind::user, std::nullopt, soon()));
    }
    add(store, kek, "bob", "psk_r", resolve_init());

    const ByteVector tpk_id = to_vector(ticket_data().idr_psk->data);
    const bool own = scenario.json().at("inputs").at("mode") == 1;
    const std::string owner = own ? "" : id("alice");
    const KeyBinding binding{own ? KeyKind::own_tpk : KeyKind::shared_tpk, owner, tpk_id};
    const WrappedKey tpk{tpk_id, kek.wrap(scenario.octets("tpk"), binding, random).value()};
    if (own) {
      ASSERT_TRUE(store.add_tpk(tpk, TpkState::active, soon()));
    } else {
      ASSERT_TRUE(store.share_tpk(owner, tpk, soon()));
    }
  }
  // Implementation-specific octets in THDR of the scenario's tickets.
  std::string thdr() const { return to_string(ticket_data().thdr); }

  // What the KMS draws and reads from its clock while it answers.
  void script_request(testing::VectorClock& clock, testing::ScriptedRandom& drawn) const {
    drawn.push(scenario.octets("mpk_spi"));
    drawn.push(scenario.octets("mpk"));
    const ByteVector octets = request_init();
    const auto request = mikey::ReceivedRequest::parse(octets).value();
    for (const mikey::KeyWish& wished : request.wish().keys) {
      const auto key = scenario.key_with_spi(wished.spi);
      drawn.push(key.key);
      if (!key.salt.empty()) drawn.push(key.salt);
    }
    drawn.push(scenario.octets("ticket_rand"));
    clock.push(scenario.input("ticket_t"));
    clock.push(scenario.input("request_resp_t"));
  }
  void script_resolve(testing::VectorClock& clock, testing::ScriptedRandom& drawn) const {
    if (scenario.has_input("randrkms")) drawn.push(scenario.octets("randrkms"));
    clock.push(scenario.input("resolve_resp_t"));
  }

  testing::Scenario scenario;

 private:
  static Deadline soon() { return Deadline::in(std::chrono::seconds(20)); }
  std::string id(const char* name) const { return scenario.json().at("inputs").at("ids").at(name); }
  mikey::TicketDataView ticket_data() const {
    const auto message = mikey::Message::parse(resolve_octets_).value();
    return mikey::parse_ticket_data(*message.ticket, "RESOLVE_INIT").value();
  }
  void add(IdentityStore& store, const Kek& kek, const char* name, const char* psk_input,
           const ByteVector& octets) {
    const std::string uri = id(name);
    const ByteVector psk_id = to_vector(mikey::Message::parse(octets)->idr_psk->data);
    const WrappedPsk psk{
        psk_id,
        kek.wrap(scenario.octets(psk_input), {KeyKind::psk, uri, psk_id}, random).value(),
        {}};
    ASSERT_TRUE(store.create(uri, IdentityKind::user, psk, soon()));
  }

  const ByteVector resolve_octets_ = resolve_init();  // what ticket_data() views
  OpenSslRandom random;
};

}  // namespace keystub::kms
