#include "mikey/bundle_state.h"

#include <algorithm>
#include <set>

namespace keystub::mikey {
namespace {

constexpr std::size_t kSaltOctets = 14;  // the salting key of SRTP has 112 bits (RFC 3711 8.2)

// The map, in errors.
Place at_map(std::string_view message, std::string_view clause) noexcept {
  constexpr std::size_t kMapOffset = 10;
  return {message, "HDR", clause, kMapOffset};
}

std::string named(const CryptoSession& session) {
  return "crypto session " + std::to_string(session.cs_id);
}

const SecurityPolicy* find_policy(const std::vector<SecurityPolicy>& policies,
                                  std::uint8_t number) {
  const auto found = std::ranges::find(policies, number, &SecurityPolicy::policy_no);
  return found == policies.end() ? nullptr : &*found;
}

const SessionKey* find_key(const std::vector<SessionKey>& keys, Bytes spi) noexcept {
  const auto found =
      std::ranges::find_if(keys, [spi](const SessionKey& key) { return equal(key.spi, spi); });
  return found == keys.end() ? nullptr : &*found;
}

}  // namespace

// --- The state
// ------------------------------------------------------------------------------------

Result<MessageKeys> BundleState::message_keys(const Suite& suite, Protects protects) const {
  // "Both messages SHALL be protected with the same keys (derived from MPKi or MPKr') that
  // protected the last message (TRANSFER_INIT or TRANSFER_RESP) in the initial exchange".
  // [6043-5.2-07] [6043-5.2-12]
  return derive_message_keys(
      suite, mpk.reveal(),
      {csb_id, after_response, randr_i, after_response ? Bytes(randr_r) : Bytes()}, protects);
}

BundleContents BundleContents::clone() const { return {mikey::clone(keys), sessions, policies}; }

Result<std::vector<EstablishedSession>> BundleState::derive(const BundleContents& from,
                                                            const std::vector<CryptoSession>& which,
                                                            std::string_view message) const {
  const Suite& suite = suite_of(prf);
  // [6043-5.1.3-06] [6043-5.1.3-07] [6043-6.10-11]
  const Bytes with_i = flags.has(TicketFlag::h_randr_i) ? Bytes(randr_i) : Bytes();
  const Bytes with_r = flags.has(TicketFlag::g_randr_r) ? Bytes(randr_r) : Bytes();
  std::vector<EstablishedSession> established;
  established.reserve(which.size());
  for (const CryptoSession& session : which) {
    const SessionKey* key = find_key(from.keys, session.spi);
    if (key == nullptr) {
      return fail(Category::malformed,
                  named(session) + " points to SPI " + to_hex(session.spi) +
                      ", which names none of the bundle's keys",
                  at_map(message, "RFC 6043 6.1.1"));  // [6043-6.1.1-17] [6043-5.2-10]
    }
    EstablishedSession out;
    out.cs_id = session.cs_id;
    out.prot_type = session.prot_type;
    out.spi = session.spi;
    out.tek = TRY(derive_tek(prf, *key, session.cs_id, with_i, with_r, suite.key_octets));
    // "a security protocol in need of a salting key SHALL use this salting key and a new salting
    // key SHALL NOT be derived". [6043-5.1.3-04] [6043-5.1.3-05]
    out.salt = key->salt.clone();
    if (out.salt.empty() && session.prot_type == ProtType::srtp && !is_tek(key->type)) {
      out.salt = TRY(derive_session_salt(prf, *key, session.cs_id, with_i, with_r, kSaltOctets));
    }
    if (session.policies.size() == 1) {
      if (const SecurityPolicy* policy = find_policy(from.policies, session.policies.front())) {
        out.policy = *policy;
      }
    }
    established.push_back(std::move(out));
  }
  return established;
}

Result<EstablishedTransfer> establish(BundleState state, std::string_view message, Bytes mac) {
  auto sessions = TRY(state.derive(state.contents, state.contents.sessions, message));
  const std::uint32_t csb_id = state.csb_id;
  Identity peer = state.peer();
  return EstablishedTransfer{csb_id, std::move(peer), std::move(sessions), to_vector(mac),
                             CryptoSessionBundle(std::make_shared<BundleState>(std::move(state)))};
}

// --- Crypto sessions and their policies
// -----------------------------------------------------------

Result<std::vector<CryptoSession>> read_crypto_sessions(const Message& message) {
  if (message.header.map_type != CsIdMapType::generic_id) {  // [6043-6.1-05] [6043-6.1-06]
    return fail(Category::malformed,
                "the crypto sessions are not in a GENERIC-ID map; no other map type is accepted in "
                "the Ticket Transfer",
                Place{message.name(), "HDR", "RFC 6043 6.1", 9});
  }
  auto sessions = TRY(message.header.crypto_sessions(message.name()));
  TRY(check_crypto_sessions(sessions, message.name()));
  return sessions;
}

Result<void> check_crypto_sessions(const std::vector<CryptoSession>& sessions,
                                   std::string_view message) {
  const Place place = at_map(message, "RFC 6043 6.1.1");
  std::set<std::uint8_t> seen;
  for (const CryptoSession& session : sessions) {
    if (!seen.insert(session.cs_id).second) {
      return fail(Category::malformed,
                  "two crypto sessions with CS ID " + std::to_string(session.cs_id), place);
    }
    if (session.prot_type == ProtType::srtp && !session.session_data.empty()) {
      ByteReader reader(message, session.session_data, place.offset);
      reader.enter("HDR", "RFC 6043 6.1.1");
      TRY(decode_srtp_session_data(reader, session.s_flag));
    }
  }
  return {};
}

Result<std::vector<SecurityPolicy>> read_policies(const Message& message) {
  std::vector<SecurityPolicy> policies;
  PayloadWalker walker = message.payloads();
  while (const Payload* payload = TRY(walker.next())) {
    const auto* sp = std::get_if<SecurityPolicyView>(&payload->value);
    if (sp == nullptr) continue;
    if (find_policy(policies, sp->policy_no) != nullptr) {
      return refuse(Category::malformed, ErrorNo::invalid_sp,
                    "two SP payloads with policy number " + std::to_string(sp->policy_no),
                    Place{message.name(), "SP", "RFC 3830 6.10", payload->offset});
    }
    policies.push_back({sp->policy_no, sp->prot_type, to_vector(sp->parameters)});
  }
  return policies;
}

std::vector<SecurityPolicy> overlay(std::vector<SecurityPolicy> earlier,
                                    const std::vector<SecurityPolicy>& later) {
  std::erase_if(earlier, [&](const SecurityPolicy& policy) {
    return find_policy(later, policy.policy_no) != nullptr;
  });
  earlier.insert(earlier.end(), later.begin(), later.end());
  return earlier;
}

Result<void> check_policies(const std::vector<CryptoSession>& sessions,
                            const std::vector<SecurityPolicy>& known, std::string_view message) {
  for (const CryptoSession& session : sessions) {
    for (const std::uint8_t number : session.policies) {
      const SecurityPolicy* policy = find_policy(known, number);
      if (policy == nullptr || policy->prot_type != session.prot_type) {  // [6043-6.1.1-09]
        return refuse(Category::malformed, ErrorNo::invalid_sp,
                      named(session) + " names policy " + std::to_string(number) +
                          (policy == nullptr ? ", which no SP payload has"
                                             : ", which is for another security protocol"),
                      at_map(message, "RFC 6043 6.1.1"));
      }
    }
  }
  return {};
}

Result<void> check_settled(const std::vector<CryptoSession>& sessions, std::string_view message) {
  const Place place = at_map(message, "RFC 6043 6.1.1");
  for (const CryptoSession& session : sessions) {
    const std::size_t policies = session.policies.size();
    // [6043-6.1.1-05] [6043-6.1.1-06] [6043-4.2.2.3-03]
    if (policies != 1 && !(policies == 0 && is_tls(session.prot_type))) {
      return refuse(Category::malformed, ErrorNo::invalid_sp,
                    named(session) + " names " + std::to_string(policies) +
                        " security policies; here it has to be exactly one",
                    place);
    }
    if (session.spi.empty()) {  // [6043-6.1.1-16] [6043-4.2.2.3-04]
      return fail(Category::malformed,
                  named(session) + " has no SPI, so it is open which key it starts with", place);
    }
    if (session.prot_type == ProtType::srtp && session.session_data.empty()) {  // [6043-6.1.1-11]
      return fail(Category::malformed, named(session) + " is SRTP and has no Session Data (SSRC)",
                  place);
    }
  }
  return {};
}

Result<void> check_answer(const std::vector<CryptoSession>& answered,
                          const std::vector<CryptoSession>& offered,
                          const std::vector<SecurityPolicy>& made,
                          const AcceptedAdditions& accepted, std::string_view message) {
  const auto find = [](const std::vector<CryptoSession>& sessions, const CryptoSession& wanted) {
    return std::ranges::find_if(sessions, [&](const CryptoSession& session) {
      return session.cs_id == wanted.cs_id && session.prot_type == wanted.prot_type;
    });
  };
  for (const CryptoSession& session : offered) {
    if (find(answered, session) == answered.end()) {
      return fail(Category::malformed, named(session) + " is not in the answer",
                  at_map(message, "RFC 6043 4.2.2.3"));
    }
  }
  for (const CryptoSession& session : answered) {
    const auto offer = find(offered, session);
    if (offer == offered.end() && !accepted.crypto_sessions) {
      return refuse(Category::denied, ErrorNo::invalid_sp,
                    named(session) + " was not offered, and the answer may not add any",
                    at_map(message, "RFC 6043 4.2.2.4"));
    }
    if (is_tls(session.prot_type) || accepted.policies) continue;
    // "one of the suggested policies SHOULD be chosen"; "the Initiator MUST check that any
    // Responder-generated security policies are acceptable". [6043-4.2.2.4-01] [6043-6.1.1-07]
    const std::uint8_t chosen = session.policies.front();
    const bool suggested = offer == offered.end() || offer->policies.empty() ||
                           std::ranges::find(offer->policies, chosen) != offer->policies.end();
    if (!suggested || find_policy(made, chosen) != nullptr) {
      return refuse(Category::denied, ErrorNo::invalid_sppar,
                    named(session) + " has a security policy that was not offered",
                    at_map(message, "RFC 6043 4.2.2.4"));
    }
  }
  return {};
}

std::vector<CryptoSession> settle(const std::vector<CryptoSession>& chosen,
                                  const std::vector<CryptoSession>& offered,
                                  const SessionKey* first_key) {
  std::vector<CryptoSession> sessions = chosen.empty() ? offered : chosen;
  for (CryptoSession& session : sessions) {
    if (chosen.empty() && session.policies.size() > 1) session.policies.resize(1);
    // "The Responder MUST provide … SPI for each crypto session for which the Initiator has not".
    // [6043-4.2.2.3-04]
    if (session.spi.empty() && first_key != nullptr) session.spi = first_key->spi;
  }
  return sessions;
}

// --- Session keys
// ---------------------------------------------------------------------------------

Result<void> check_may_supply(TicketFlags flags, CsbRole supplier, Place place) {
  const bool initiator = supplier == CsbRole::initiator;
  const TicketFlag flag = initiator ? TicketFlag::l_initiator_keys : TicketFlag::m_responder_keys;
  if (flags.has(flag)) return {};
  return refuse(Category::denied, ErrorNo::invalid_tppar,
                initiator
                    ? "the Ticket Policy does not let the initiator supply session keys (L = 0)"
                    : "the Ticket Policy does not let the responder supply session keys (M = 0)",
                place);
}

Result<void> check_supplied_keys(const Suite& suite, const std::vector<SessionKey>& keys) {
  for (const SessionKey& key : keys) {
    if (key.spi.empty() || key.spi.size() > 255) {  // [6043-6.2.1-02]
      return fail(Category::malformed,
                  "every session key needs an SPI of 1 to 255 octets (RFC 6043 6.2.1)");
    }
    if (key.type > KeyType::gtgk_salt) {
      return fail(Category::malformed, "only TEK, TGK and GTGK can be supplied (RFC 6043 5.2)");
    }
    if (key.key.size() < kSuite128.key_octets) {  // [6043-12.1-04]
      return fail(Category::malformed, "the session key has " + std::to_string(key.key.bits()) +
                                           " bits; 128 or more are needed (RFC 6043 12.1)");
    }
    if (has_salt(key.type) == key.salt.empty()) {
      return fail(Category::malformed,
                  "the type of the session key and its salt do not go together (RFC 3830 6.13)");
    }
  }
  return check_key_lengths(suite, keys, {});
}

Result<std::vector<SessionKey>> open_supplied_keys(const Suite& suite, const MessageKeys& keys,
                                                   TicketFlags flags, CsbRole sender,
                                                   const AcceptedAdditions& accepted,
                                                   const Message& message) {
  const KemacView& kemac = *message.kemac;
  const Place place = message.place("KEMAC", "RFC 6043 5.2", kemac.encr_data.data());
  TRY(check_may_supply(flags, sender, place));
  if (!accepted.keys) {
    return fail(Category::denied,
                "the other side supplies session keys of its own, which are not accepted here",
                place);
  }
  KemacKeys opened = TRY(open_kemac(suite, keys, message.header.csb_id, *message.t, kemac, place));
  if (!opened.mpks.empty() || opened.session_keys.empty()) {
    return fail(Category::malformed,
                "a KEMAC of the Ticket Transfer holds session keys, one or more, and no MPK",
                place);
  }
  TRY(check_key_lengths(suite, opened.session_keys, place));
  return std::move(opened.session_keys);
}

Result<void> add_keys(std::vector<SessionKey>& keys, std::vector<SessionKey> more, Place place) {
  for (SessionKey& key : more) {
    if (const SessionKey* known = find_key(keys, key.spi)) {
      if (known->type == key.type && known->key == key.key && known->salt == key.salt) continue;
      return fail(Category::malformed,
                  "a new session key has SPI " + to_hex(key.spi) + ", which is taken", place);
    }
    keys.push_back(std::move(key));
  }
  return {};
}

std::vector<SessionKey> clone(const std::vector<SessionKey>& keys) {
  std::vector<SessionKey> out;
  out.reserve(keys.size());
  for (const SessionKey& key : keys) out.push_back(key.clone());
  return out;
}

}  // namespace keystub::mikey
