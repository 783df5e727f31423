#include "mikey/error_message.h"

#include "mikey/exchange_rules.h"

namespace keystub::mikey {
namespace {

Result<MessageBuilder> begin_error(const Timestamp& t, const Header& about,
                                   const Refusal& refusal) {
  if (refusal.numbers.empty()) {
    return fail(Category::internal, "an Error message needs at least one error number");
  }
  // Crypto sessions have no place here, but SP payloads must not go with the Empty map (RFC 4563
  // 5). [4563-5-01] [6043-5.4-09] [6043-5.4-10]
  MessageBuilder builder = refusal.supported.empty()
                               ? MessageBuilder(DataType::error, false, about.prf, about.csb_id)
                               : MessageBuilder(DataType::error, false, about.prf, about.csb_id,
                                                std::vector<CryptoSession>());
  builder.t(t);  // [6043-5.4-11]
  for (const ErrorNo number : refusal.numbers) builder.err(number);
  for (const SecurityPolicy& policy : refusal.supported) builder.sp(policy);  // [6043-5.4-08]
  return builder;
}

}  // namespace

Result<ByteVector> build_error(const Environment& env, const Header& about,
                               const Refusal& refusal) {
  return TRY(begin_error(TRY(fresh_t(env)), about, refusal)).end_without_v();
}

Result<ByteVector> build_error(const Timestamp& t, const Header& about, const Refusal& refusal,
                               const AuthKey& key) {
  return finish_with_mac(TRY(begin_error(t, about, refusal)), suite_of(about.prf), key, {});
}

Result<ReceivedError> read_error(const Message& error, PrfFunc prf, std::uint32_t csb_id,
                                 const AuthKey& key) {
  TRY(require_type(error, DataType::error));
  TRY(require_same_header(error, prf, csb_id));
  TRY(require_no_policy_with_empty_map(error));
  TRY(require(error.t, error, "T", "RFC 6043 5.4"));
  ReceivedError received;
  PayloadWalker walker = error.payloads();
  while (const Payload* payload = TRY(walker.next())) {
    if (const auto* err = std::get_if<ErrorView>(&payload->value)) {
      received.numbers.push_back(err->number);
    } else if (const auto* sp = std::get_if<SecurityPolicyView>(&payload->value)) {
      received.supported.push_back({sp->policy_no, sp->prot_type, to_vector(sp->parameters)});
    }
  }
  if (received.numbers.empty()) {
    return fail(Category::malformed, "the Error message names no error",
                Place{error.name(), "ERR", "RFC 6043 5.4", error.bytes.size()});
  }
  if (error.v) {
    const Suite& suite = *TRY(require_one_suite(error));
    TRY(verify_mac(suite, key, {error.without_mac()}, error.v->mac,
                   error.place("V", "RFC 6043 5.4", error.v->mac.data())));
    received.authenticated = true;
  }
  return received;
}

std::unexpected<Error> ended_by(Result<ReceivedError> error, ErrorsTaken taken) {
  if (!error) return std::unexpected(std::move(error).error());
  std::string names;
  for (const ErrorNo number : error->numbers) {
    names.append(names.empty() ? "" : ", ").append(name_of(number));
  }
  const Place place{name_of(DataType::error), "V", "RFC 3830 5.1.2", 0};
  if (error->authenticated) {
    return refuse(Category::denied, error->numbers.front(),
                  "the other side answered with an authenticated MIKEY Error: " + names, place);
  }
  if (taken == ErrorsTaken::authenticated) {
    return refuse(Category::unauthenticated, error->numbers.front(),
                  "a MIKEY Error without a MAC (" + names +
                      "): anybody can have sent it; wait on for the answer",
                  place);
  }
  return refuse(Category::denied, error->numbers.front(),
                "the other side answered with a MIKEY Error: " + names +
                    " (without a MAC, so it is only a recommendation)",
                place);
}

ErrorNo error_no_for(const Error& error) noexcept {
  if (error.mikey_error_no()) return static_cast<ErrorNo>(*error.mikey_error_no());
  switch (error.category()) {
    case Category::unauthenticated: return ErrorNo::auth_failure;
    case Category::expired: return ErrorNo::invalid_ts;
    case Category::malformed:
    case Category::denied:
    case Category::not_found:
    case Category::conflict:
    case Category::busy:
    case Category::unavailable:
    case Category::internal: break;
  }
  return ErrorNo::unspecified;
}

}  // namespace keystub::mikey
