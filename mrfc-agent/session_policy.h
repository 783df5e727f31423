// The local policy of an MRFC: who it is, where its keys come from, whom it accepts.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "mikey/exchange.h"
#include "mikey/psk_identity.h"
#include "mikey/transfer_exchange.h"
#include "mrfc-agent/roles.h"
#include "mrfc-agent/session_types.h"

namespace keystub::mrfc {

struct SessionPolicy {
  // The MRFC itself and the conference URIs that it owns, as user_identity() makes them. The MRFC
  // requests and resolves as one of these, never as the user (MRFC-I3).
  std::string identity;
  std::vector<std::string> conferences;
  // Group patterns that the KMS may know us to be a member of.
  std::vector<std::string> groups;
  mikey::Identity kms;  // IDRkms

  // MRFC-B7: off means that secured m-lines are rejected.
  bool media_security = true;
  KeySource key_source = KeySource::kms_issued;
  // The offer's ticket may be resolved by anybody, for call diversion (TR 33.829 8.3.1.2);
  // otherwise by the invited user alone.
  bool any_resolver = false;
  // Of a ticket that is asked for or issued.
  std::chrono::seconds ticket_validity = std::chrono::hours{24};
  mikey::ProtType prot_type = mikey::ProtType::tls;

  // MRFC-R5: how far T of a TRANSFER_INIT may be from our clock.
  std::chrono::milliseconds skew = std::chrono::seconds{60};
  bool accept_128_bit_suite = false;

  // MRFC-B1: the PSK cipher suites of the MRFP, OpenSSL's names, in order of preference.
  std::vector<std::string> cipher_suites;
  std::vector<std::string> accept_types;
  // Where an offer leaves it to us (actpass) who connects: we do.
  bool prefer_active = true;
  mikey::PskIdentityPattern psk_identity;
};

// The identity that serves the session: `served` must be one of ours, empty is the MRFC. Denied
// otherwise.
Result<std::string> serving_identity(const SessionPolicy& policy, const std::string& served);

// The Ticket Policy of an offer to `peer`: asked for (mode 1) or issued (mode 3), MRFC-I3, MRFC-I7.
// Draws the SPI of the session key.
Result<mikey::TicketPolicy> offered_ticket_policy(const SessionPolicy& policy,
                                                  const mikey::Environment& env,
                                                  const std::string& self, const std::string& peer);

// What we accept without asking the KMS (MRFC-R1). [6043-12.3-02]
mikey::ResponderProfile responder_profile(const SessionPolicy& policy);

// MRFC-R5, before the KMS is asked: T within the skew. expired otherwise. [3830-5.4-03]
Result<void> check_skew(const SessionPolicy& policy, const mikey::Timestamp& t, WallTime now);

// MRFC-I5: whether the authenticated responder may be the one who answers: named by the ticket,
// and the one that the network asserts or, where it asserts nothing, the one that was invited
// (with any_resolver: anyone, as calls may be diverted). denied otherwise.
Result<void> check_responder(const SessionPolicy& policy, const mikey::TicketPolicy& ticket,
                             const mikey::Identity& responder, const std::string& asserted_peer,
                             const std::string& invited_peer);

// MRFC-R2: whether the caller that the ticket proves is the one that the signalling names:
// P-Asserted-Identity where there is one, else From. denied otherwise.
Result<void> check_caller(const mikey::Identity& caller, const Parties& parties);

}  // namespace keystub::mrfc
