#include "mikey/exchange.h"

#include <algorithm>

#include "mikey/exchange_rules.h"

namespace keystub::mikey {

std::unexpected<Error> refuse(Category category, ErrorNo number, std::string text, Place place) {
  return std::unexpected(Error(category, std::move(text), place)
                             .set_mikey_error_no(static_cast<std::uint8_t>(number)));
}

Result<void> require_type(const Message& message, DataType expected) {
  if (message.header.data_type == expected) return {};
  return refuse(
      Category::malformed, ErrorNo::invalid_dt,
      "expected a " + std::string(name_of(expected)) + ", got a " + std::string(message.name()),
      Place{message.name(), "HDR", "RFC 6043 6.1", 1});
}

Result<void> require_same_header(const Message& response, PrfFunc prf, std::uint32_t csb_id) {
  const Header& header = response.header;
  // [6043-4.2.1.5-01] [6043-4.2.2.3-01] [6043-4.2.3.5-01]
  if (header.prf != prf || header.csb_id != csb_id) {
    return fail(Category::malformed,
                "PRF func and CSB ID of the response differ from those of its initial message: it "
                "answers another one",
                Place{response.name(), "HDR", "RFC 6043 4.2", 3});
  }
  return {};
}

Result<void> require_empty_map(const Message& message) {  // [6043-4.2.1.1-07] [6043-4.2.3.1-07]
  if (message.header.map_type != CsIdMapType::empty || message.header.cs_count != 0) {
    return fail(Category::malformed,
                std::string(message.name()) + " must use the Empty map with #CS = 0",
                Place{message.name(), "HDR", "RFC 6043 4.2.1.1", 9});
  }
  return require_no_policy_with_empty_map(message);
}

Result<void> require_no_policy_with_empty_map(const Message& message) {  // [4563-5-01]
  if (message.header.map_type != CsIdMapType::empty) return {};
  PayloadWalker walker = message.payloads();
  while (const Payload* payload = TRY(walker.next())) {
    if (payload->type == PayloadType::sp) {
      return refuse(Category::malformed, ErrorNo::invalid_sp,
                    "no SP goes with the Empty map: there policies are conveyed outside MIKEY",
                    Place{message.name(), "SP", "RFC 4563 5", payload->offset});
    }
  }
  return {};
}

Result<const Suite*> require_one_suite(const Message& message) {
  const Place at_header{message.name(), "HDR", "RFC 6043 12.1", 3};
  const PrfFunc prf = message.header.prf;
  if (prf != PrfFunc::mikey_1 && prf != PrfFunc::hmac_sha_256) {
    return refuse(Category::malformed, ErrorNo::invalid_prf,
                  "PRF func " + std::to_string(static_cast<int>(prf)) +
                      " is not supported; MIKEY-1 (0) and PRF-HMAC-SHA-256 (1) are",
                  at_header);
  }
  const Suite& suite = suite_of(prf);
  if (!is_pk_variant(message)) {
    const VerificationView v = TRY(require(message.v, message, "V", "RFC 6043 4.2"));
    if (v.alg != suite.mac) {
      return refuse(Category::malformed, ErrorNo::invalid_mac,
                    "MAC algorithm " + std::string(name_of(v.alg)) + " does not go with PRF " +
                        std::string(name_of(prf)) + ": suites must not be mixed",
                    message.place("V", "RFC 6043 12.1", v.mac.data()));
    }
  }
  const auto same_prf = [&](const TicketPolicyView& policy) { return policy.prf == prf; };
  if ((message.tp && !same_prf(*message.tp)) ||
      (message.ticket && !same_prf(message.ticket->policy))) {
    return refuse(Category::malformed, ErrorNo::invalid_prf,
                  "the Ticket Policy names another PRF than HDR: suites must not be mixed",
                  at_header);
  }
  if (!message.kemac) return &suite;
  return suite_of_kemac(prf, *message.kemac,
                        message.place("KEMAC", "RFC 6043 12.1", message.kemac->encr_data.data()));
}

Result<void> check_key_lengths(const Suite& suite, const std::vector<SessionKey>& keys,
                               Place place) {
  const bool too_long = std::ranges::any_of(
      keys, [](const SessionKey& key) { return key.key.size() > kSuite128.key_octets; });
  if (suite == kSuite128 && too_long) {  // [6043-12.1-12]
    place.clause = "RFC 6043 12.1";
    return fail(Category::malformed,
                "a session key longer than 128 bits together with 128-bit algorithms", place);
  }
  return {};
}

Result<void> check_rand_length(std::size_t rand_octets, std::size_t longest_key, Place place) {
  if (rand_octets < longest_key) {  // [6043-12.1-05] [6043-12.1-06]
    place.clause = "RFC 6043 12.1";
    return fail(Category::malformed,
                "RANDs of " + std::to_string(rand_octets * 8) +
                    " bits are too short for a key of " + std::to_string(longest_key * 8) + " bits",
                place);
  }
  return {};
}

std::size_t longest_tgk(const std::vector<SessionKey>& keys) noexcept {
  std::size_t longest = 0;
  for (const SessionKey& key : keys) {
    if (!is_tek(key.type)) longest = std::max(longest, key.key.size());
  }
  return longest;
}

Result<Timestamp> fresh_t(const Environment& env) {
  if (env.timestamps != nullptr) return env.timestamps->next();
  return ClockTimestamps(env.clock, TsType::ntp_utc).next();
}

const Suite& sending_suite(const Environment& env, PrfFunc prf) noexcept {
  const Suite& suite = suite_of(prf);
  return env.wrap_keys && suite == kSuite128 ? kSuite128KeyWrap : suite;
}

Result<std::uint32_t> fresh_csb_id(const Environment& env) {  // [3830-6.1-03]
  std::array<std::uint8_t, 4> octets;
  TRY(env.random.fill(octets));
  ByteReader reader("CSB ID", octets);
  return reader.u32("CSB ID");
}

Result<ByteVector> finish_with_mac(MessageBuilder&& builder, const Suite& suite, const AuthKey& key,
                                   std::initializer_list<Bytes> following) {
  std::array<Bytes, 3> parts{builder.begin_v(suite.mac)};
  std::ranges::copy(following, parts.begin() + 1);
  const Mac mac = TRY(compute_mac(suite, key, {parts[0], parts[1], parts[2]}));
  return std::move(builder).end_v(mac.bytes());
}

}  // namespace keystub::mikey
