// The policy of the KMS: what it grants, and who may resolve (RFC 6043 4.2.1.4, 4.2.3.4, 12.1).
//
// Active identities may request and resolve, within the values that the rules of the policy come to
// for them (policy_rule.h); the settings are what applies where no rule says anything. Whoever
// sends a message is judged by its own rules; the issuer of a mode 3 ticket by its own as well.
#pragma once

#include <atomic>
#include <chrono>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kms-server/key_directory.h"
#include "kms-server/policy_book.h"
#include "mikey/payload/ticket_policy.h"

namespace keystub::kms {

struct PolicySettings {
  bool require_forking = true;      // flag I: keys of their own for each responder
  bool allow_128_bit_suite = true;  // MIKEY-1, AES-CM-128, HMAC-SHA-1-160 on request
  bool allow_reuse = true;          // flag J as wished; false: taken away
  std::size_t max_keys = 4;         // session keys in one ticket
  // Where the wish names no end. At most max_validity.
  std::chrono::milliseconds default_validity = std::chrono::hours{24};
  // From now (mode 3: from the ticket's T) to the end.
  std::chrono::milliseconds max_validity = std::chrono::hours{24};
  // How far before now validity may start, so that clocks that are behind accept the ticket.
  std::chrono::milliseconds start_margin = std::chrono::minutes{5};
  // By how much the clocks of others may differ from ours.
  std::chrono::milliseconds clock_skew = std::chrono::seconds{60};
};

// A refusal by policy.
struct Denial {
  std::string_view rule;  // one short word for the audit; a string literal
  std::string reason;     // for the authenticated sender, who may know it
  mikey::ErrorNo error_no = mikey::ErrorNo::unspecified;
  std::string policy = {};  // the rule of the policy that says so; empty: it is no matter of policy
};

struct Granted {
  mikey::TicketPolicy policy;        // without keys
  std::vector<mikey::KeyWish> keys;  // those to make
  std::string rule;                  // the rule of the policy that decided: the most specific
};

struct Resolvable {
  mikey::Identity responder;  // whom the keys are for
  std::string rule;           // the rule of the policy that decided
};

class Policy {
 public:
  Policy(const PolicySettings& settings, mikey::Identity kms);

  // Other settings, for what is judged from now on. Any thread, beside the others.
  void configure(const PolicySettings& settings);

  // KMS-1. `sender` is authenticated, as `sender_id`. K is set when the grant differs from the
  // wish; TRs, TRe, IDRi and IDRkms are always there.
  std::expected<Granted, Denial> grant(const PolicyBook& book, const mikey::TicketPolicy& wish,
                                       const OpenIdentity& sender, const mikey::Identity& sender_id,
                                       WallTime now) const;

  // KMS-2, KMS-5, KMS-8. `ticket` was opened with `tpk`; `issued_at` is its T. `owner` is the
  // identity that holds `tpk` too, null for the KMS's own. Returns the identity that the keys are
  // for: the URI of `sender` as the ticket names it literally, else `sender_id`; a group or a
  // wildcard of the ticket is never returned.
  std::expected<Resolvable, Denial> resolve(const PolicyBook& book,
                                            const mikey::TicketPolicy& ticket,
                                            const mikey::Timestamp& issued_at,
                                            const OpenIdentity* owner, const OpenIdentity& sender,
                                            const mikey::Identity& sender_id, WallTime now) const;

  // What the rules and the settings come to for `who`. `book` must outlive it.
  EffectivePolicy effective(const PolicyBook& book, const OpenIdentity& who) const {
    return effective(book, who, in_force_.load());
  }

 private:
  struct InForce {
    PolicySettings settings;
    PolicyBook::NamedRule fallback;  // the settings as a rule; every value is there
  };
  using SharedInForce = std::shared_ptr<const InForce>;

  static SharedInForce make(const PolicySettings& settings);
  static EffectivePolicy effective(const PolicyBook& book, const OpenIdentity& who,
                                   const SharedInForce& in_force) {
    return {book.rules_for(who), {in_force, &in_force->fallback}};
  }

  const mikey::Identity kms_;
  std::atomic<SharedInForce> in_force_;
};

}  // namespace keystub::kms
