// Every T that was used under the keys of a crypto session bundle. Internal to the library.
//
// All messages of an update are encrypted under one key with an IV made of T (RFC 6043 5.2, RFC
// 3830 4.2.3), in both directions: a T that repeats would repeat the key stream. COUNTER may repeat
// by the letter of the RFC; here it may not.
#pragma once

#include <set>

#include "mikey/exchange.h"

namespace keystub::mikey {

class TimestampMemory {
 public:
  // How many messages one bundle may see. It bounds the memory, and what an attacker could gather
  // under one pair of RANDs (12.1); after that a new Ticket Transfer is due.
  static constexpr std::size_t kMaxMessages = 4096;

  // A T of the initial exchange.
  void start_with_ours(const Timestamp& t);
  void start_with_theirs(const Timestamp& t);

  // A T of our own: the source's or, where that is not later than our last one (a clock that stood
  // still or stepped back, NTP-UTC-32 within one second), the next later one. Remembers it.
  Result<Timestamp> next_ours(const Environment& env);

  // Whether T of a genuine message of the other side is later than its last one and was used by
  // neither side; expired otherwise.
  Result<void> check_theirs(const Timestamp& t, const Place& place) const;
  // The same, and remembers it.
  Result<void> admit_theirs(const Timestamp& t, const Place& place);

 private:
  bool is_used(const Timestamp& t) const { return used_.contains(t.as_64_bits()); }
  Result<void> check_room() const;

  std::optional<Timestamp> last_ours_;
  std::optional<Timestamp> last_theirs_;
  std::set<std::uint64_t> used_;  // as they go into the IV
};

}  // namespace keystub::mikey
