// Payloads T and TR: timestamps (RFC 3830 6.6, RFC 6043 6.3 and 6.4).
#pragma once

#include <compare>
#include <cstdint>

#include "base/byte_reader.h"
#include "base/byte_writer.h"
#include "base/clock.h"
#include "mikey/types.h"

namespace keystub::mikey {

struct Timestamp {
  TsType type = TsType::ntp_utc;
  std::uint64_t value = 0;  // as on the wire: 64 bits for NTP and NTP-UTC, 32 bits for the others

  // The 64 bits that go into an IV: NTP-UTC-32 with a zero fraction, COUNTER with leading zeros.
  std::uint64_t as_64_bits() const noexcept;
  bool is_time() const noexcept { return type != TsType::counter; }
  // The point in time, read as 1968 to 2104 (RFC 4330 section 3). Must be a time.
  WallTime to_wall_time() const noexcept;
  // `time` must lie between 1968 and 2104; the type must not be COUNTER.
  static Timestamp from(WallTime time, TsType type = TsType::ntp_utc) noexcept;

  friend bool operator==(const Timestamp&, const Timestamp&) = default;
};

// How two timestamps stand to each other: times as points in time from 1968 to 2104, so that the
// roll-over of 2036 turns nothing round (RFC 4330 section 3), counters as numbers. A time and a
// counter are unordered.
std::partial_ordering compare(const Timestamp& a, const Timestamp& b) noexcept;

struct RoleTimestamp {
  TsRole role = TsRole::issue;
  Timestamp timestamp;
};

// After the Next Payload octet. An unassigned TS type is refused: the length would be unknown.
Timestamp decode_t(ByteReader& reader);
void encode_t(ByteWriter& writer, const Timestamp& timestamp);
RoleTimestamp decode_tr(ByteReader& reader);
void encode_tr(ByteWriter& writer, const RoleTimestamp& timestamp);

}  // namespace keystub::mikey
