#include "mikey/payload/timestamp.h"

namespace keystub::mikey {
namespace {

constexpr bool has_32_bits(TsType type) noexcept {
  return type == TsType::counter || type == TsType::ntp_utc_32;
}

}  // namespace

std::uint64_t Timestamp::as_64_bits() const noexcept {  // [6043-6.3-02] [3830-6.6-01]
  return type == TsType::ntp_utc_32 ? value << 32 : value;
}

// [6043-6.3-01]
WallTime Timestamp::to_wall_time() const noexcept { return from_ntp(as_64_bits()); }

Timestamp Timestamp::from(WallTime time, TsType type) noexcept {
  const std::uint64_t ntp = to_ntp(time);
  return {type, type == TsType::ntp_utc_32 ? ntp >> 32 : ntp};
}

std::partial_ordering compare(const Timestamp& a, const Timestamp& b) noexcept {
  if (a.is_time() != b.is_time()) return std::partial_ordering::unordered;
  if (!a.is_time()) return a.value <=> b.value;
  // Bit 0 set means 1968 to 2036, clear 2036 to 2104: turned over, the numbers grow with the time.
  constexpr std::uint64_t kEraBit = std::uint64_t{1} << 63;
  return (a.as_64_bits() ^ kEraBit) <=> (b.as_64_bits() ^ kEraBit);
}

Timestamp decode_t(ByteReader& reader) {
  Timestamp timestamp;
  timestamp.type = static_cast<TsType>(reader.u8("TS type"));
  switch (timestamp.type) {
    case TsType::ntp_utc:
    case TsType::ntp: timestamp.value = reader.u64("TS value"); return timestamp;
    case TsType::counter:
    case TsType::ntp_utc_32: timestamp.value = reader.u32("TS value"); return timestamp;
  }
  reader.unassigned("TS type", static_cast<std::uint8_t>(timestamp.type));
  return timestamp;
}

void encode_t(ByteWriter& writer, const Timestamp& timestamp) {
  writer.u8(static_cast<std::uint8_t>(timestamp.type));
  if (has_32_bits(timestamp.type)) {
    writer.u32(static_cast<std::uint32_t>(timestamp.value));
  } else {
    writer.u64(timestamp.value);
  }
}

RoleTimestamp decode_tr(ByteReader& reader) {
  const auto role = static_cast<TsRole>(reader.u8("TS role"));
  return {role, decode_t(reader)};
}

void encode_tr(ByteWriter& writer, const RoleTimestamp& timestamp) {
  writer.u8(static_cast<std::uint8_t>(timestamp.role));
  encode_t(writer, timestamp.timestamp);
}

}  // namespace keystub::mikey
