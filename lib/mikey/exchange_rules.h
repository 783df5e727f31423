// Rules that more than one exchange obeys: what a message must hold, suites that must not be
// mixed, lengths of keys and RANDs (RFC 6043 4.2, 12.1). Internal to the library.
#pragma once

#include "mikey/error_message.h"
#include "mikey/message_builder.h"
#include "mikey/protection.h"

namespace keystub::mikey {

// A refusal with a MIKEY Error number.
std::unexpected<Error> refuse(Category category, ErrorNo number, std::string text,
                              Place place = {});

// The message's type must be `expected`.
Result<void> require_type(const Message& message, DataType expected);

// REQUEST_INIT_PK and RESOLVE_INIT_PK: they end with SIGN where the others have V.
inline bool is_pk_variant(const Message& message) noexcept {
  return message.header.data_type == DataType::request_init_pk ||
         message.header.data_type == DataType::resolve_init_pk;
}

// Header fields of a response are those of its initial message (RFC 6043 4.2.1.5, 4.2.3.5).
Result<void> require_same_header(const Message& response, PrfFunc prf, std::uint32_t csb_id);

// Ticket Request and Ticket Resolve handle no crypto sessions: Empty map, #CS = 0.
Result<void> require_empty_map(const Message& message);

// "In this case, there MUST NOT be any Security Policy payload present in the message" (RFC 4563
// 5): where the map is empty, policies are settled outside of MIKEY (reading A16).
Result<void> require_no_policy_with_empty_map(const Message& message);

// PRF known, V there with the MAC algorithm of the PRF's suite (NULL is refused: anyone could
// strip the MAC; a public-key variant has SIGN instead), ticket or wished policy with the same PRF,
// KEMAC with an encryption algorithm that goes with it. The suite is the one that opens the KEMAC.
Result<const Suite*> require_one_suite(const Message& message);

// `what` must be there.
template <class T>
Result<T> require(const std::optional<T>& field, const Message& message, std::string_view what,
                  std::string_view clause) {
  if (!field) {
    return fail(Category::malformed,
                std::string(message.name()) + " lacks its " + std::string(what),
                Place{message.name(), what, clause, message.bytes.size()});
  }
  return *field;
}

// Session keys longer than 128 bits forbid the 128-bit algorithms (12.1).
Result<void> check_key_lengths(const Suite& suite, const std::vector<SessionKey>& keys,
                               Place place);

// A RAND, or two together, must be as long as the longest key that it freshens (12.1).
Result<void> check_rand_length(std::size_t rand_octets, std::size_t longest_key, Place place);

std::size_t longest_tgk(const std::vector<SessionKey>& keys) noexcept;

// A fresh T.
Result<Timestamp> fresh_t(const Environment& env);
// The suite of what we build: AES-KW where it is wished for.
const Suite& sending_suite(const Environment& env, PrfFunc prf) noexcept;
Result<std::uint32_t> fresh_csb_id(const Environment& env);

// Ends a message: computes the MAC over the message so far and the parts that follow it.
Result<ByteVector> finish_with_mac(MessageBuilder&& builder, const Suite& suite, const AuthKey& key,
                                   std::initializer_list<Bytes> following);

// An authenticated Error message with this T: `key` is the auth_key of the message in error
// (RFC 6043 5.4).
Result<ByteVector> build_error(const Timestamp& t, const Header& about, const Refusal& refusal,
                               const AuthKey& key);

// Reads an Error message about a message with this PRF and CSB ID. A V payload must verify with
// `key`, the auth_key of the message in error.
Result<ReceivedError> read_error(const Message& error, PrfFunc prf, std::uint32_t csb_id,
                                 const AuthKey& key);

// The failure of an exchange that ended with this Error message (denied), or the refusal of the
// Error message itself.
std::unexpected<Error> ended_by(Result<ReceivedError> error, ErrorsTaken taken);

}  // namespace keystub::mikey
