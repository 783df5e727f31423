// The ground of every room: results, readers, secrets, base64.
#include <gtest/gtest.h>

#include <array>
#include <new>
#include <set>
#include <thread>
#include <vector>

#include "base/base64.h"
#include "base/byte_reader.h"
#include "base/byte_writer.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/rfc3339.h"
#include "base/secret.h"
#include "base/sha256.h"

namespace keystub {
namespace {

// FIPS 180-4, example "abc", whole and in pieces.
TEST(Sha256, OfWhatIsThereAndOfPieces) {
  const std::string abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  EXPECT_EQ(to_hex(sha256({as_bytes("abc")}).value()), abc);
  EXPECT_EQ(to_hex(sha256({as_bytes("a"), {}, as_bytes("bc")}).value()), abc);
  Sha256 digest;
  digest.update(as_bytes("ab"));
  Sha256 moved = std::move(digest);
  moved.update(as_bytes("c"));
  EXPECT_EQ(to_hex(moved.finish().value()), abc);
  EXPECT_NE(to_hex(Sha256().finish().value()), abc);
}

TEST(Base64, EncodesTheVectorsOfRfc4648) {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, encoded] : vectors) {
    EXPECT_EQ(base64_encode(as_bytes(plain)), encoded);
    EXPECT_EQ(as_text(base64_decode(encoded).value()), plain);
  }
}

TEST(Base64, RefusesWhatIsNotCanonical) {
  for (const char* text :
       {"Zg", "Zg=", "Z===", "====", "Zh==", "Zm9=", "Zm 9", "Zm9v\n", "Zg==Zg==", "Zm-_"}) {
    EXPECT_FALSE(base64_decode(text).has_value()) << text;
  }
}

TEST(Hex, RoundTripsAndRefusesOtherCharacters) {
  EXPECT_EQ(to_hex(from_hex("00ffA5").value()), "00ffa5");
  EXPECT_FALSE(from_hex("0").has_value());
  EXPECT_FALSE(from_hex("0g").has_value());
}

TEST(ByteReader, ReadsNetworkOrderAndNamesThePlaceOfAFault) {
  const ByteVector data = {1, 2, 3, 4, 5, 6, 7};
  ByteReader reader("TRANSFER_INIT", data);
  reader.enter("T", "RFC 3830 6.6");
  EXPECT_EQ(reader.u8("a"), 1);
  EXPECT_EQ(reader.u16("b"), 0x0203);
  EXPECT_TRUE(reader.check().has_value());
  EXPECT_EQ(reader.u64("TS value"), 0U);
  const auto missing = reader.check();
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().category(), Category::malformed);
  EXPECT_EQ(missing.error().place(), (Place{"TRANSFER_INIT", "T", "RFC 3830 6.6", 3}));
  EXPECT_EQ(missing.error().describe(),
            "cut short: TS value needs 8 octets, 4 are left "
            "(TRANSFER_INIT, payload T, octet 3, RFC 3830 6.6)");
}

TEST(ByteReader, StandsAtTheEndAfterAFaultAndTellsTheFirst) {
  const ByteVector data = {0, 3, 9, 9, 9, 7};
  ByteReader reader("TRANSFER_INIT", data);
  reader.enter("SP", "RFC 3830 6.10");
  ByteReader inner = reader.sub_reader(reader.u16("Length"), "Parameters");
  EXPECT_EQ(inner.u8("Type"), 9);
  EXPECT_TRUE(inner.bytes(9, "Value").empty());
  EXPECT_EQ(inner.u8("Type"), 0);
  EXPECT_TRUE(inner.at_end());
  EXPECT_TRUE(reader.check().has_value());
  reader.fail_as(inner);
  reader.enter("V", "RFC 3830 6.9");
  reader.unassigned("Auth alg", 7);
  EXPECT_TRUE(reader.rest().empty());
  EXPECT_EQ(reader.finish().error().describe(),
            "cut short: Value needs 9 octets, 2 are left "
            "(TRANSFER_INIT, payload SP, octet 3, RFC 3830 6.10)");
}

TEST(ByteReader, NamesAValueThatHasNoMeaning) {
  const ByteVector data = {7, 1, 2};
  ByteReader reader("TRANSFER_INIT", data);
  reader.enter("V", "RFC 3830 6.9");
  reader.unassigned("Auth alg", reader.u8("Auth alg"));
  EXPECT_TRUE(reader.at_end());
  EXPECT_EQ(reader.check().error().describe(),
            "Auth alg 7 is unassigned, so the length of what follows is unknown "
            "(TRANSFER_INIT, payload V, octet 1, RFC 3830 6.9)");
}

TEST(ByteReader, RefusesLeftOvers) {
  const ByteVector data = {1, 2};
  ByteReader reader("HDR", data);
  EXPECT_EQ(reader.u8("a"), data[0]);
  EXPECT_FALSE(reader.finish().has_value());
}

TEST(ByteWriter, WritesNetworkOrderAndPatches) {
  ByteWriter writer;
  writer.u16(0);
  writer.u32(0x01020304);
  writer.patch_u16(0, 0xBEEF);
  EXPECT_EQ(to_hex(writer.view()), "beef01020304");
}

TEST(Secret, IsWipedWhenMovedFromAndComparesByContent) {
  Psk key(from_hex("00112233").value());
  Psk same = key.clone();
  EXPECT_EQ(key, same);
  const Psk moved = std::move(key);
  EXPECT_TRUE(key.empty());  // NOLINT(bugprone-use-after-move): that is what is tested
  EXPECT_EQ(moved, same);
  EXPECT_FALSE(moved == Psk(from_hex("00112234").value()));
}

TEST(Secret, OfASizeIsZero) {
  for (const std::size_t size : {1U, 64U, 65U}) {
    alignas(Psk) std::array<std::uint8_t, sizeof(Psk)> memory;
    memory.fill(0xAA);
    Psk* key = new (memory.data()) Psk(size);
    EXPECT_EQ(to_vector(key->reveal()), ByteVector(size));
    key->~Psk();
  }
}

TEST(Secret, HoldsKeysLongerThanTheInlineRoom) {
  Psk key(ByteVector(300, 7));
  Psk other(ByteVector(300, 7));
  EXPECT_EQ(key, other);
  other = std::move(key);
  EXPECT_EQ(other.size(), 300U);
  EXPECT_TRUE(key.empty());  // NOLINT(bugprone-use-after-move)
}

TEST(Secret, TakesAStringAndWipesIt) {
  std::string line = "top secret";
  const char* memory = line.data();
  const Psk key = Psk::take(line);
  EXPECT_EQ(as_text(key.reveal()), "top secret");
  EXPECT_TRUE(line.empty());
  EXPECT_EQ(memory[1], '\0');
}

Result<int> doubled(Result<int> input) {
  const int value = TRY(std::move(input));
  return value * 2;
}

TEST(Errors, SayWhereOnlyIfAMessageIsToBlame) {
  const auto described = [](const Place& place) {
    return Error(Category::malformed, "it is wrong", place).describe();
  };
  EXPECT_EQ(described({"TRANSFER_INIT", "", "RFC 6043 4.2", 9}),
            "it is wrong (TRANSFER_INIT, octet 9, RFC 6043 4.2)");
  EXPECT_EQ(described({"", "", "RFC 6043 12.1", 0}), "it is wrong (RFC 6043 12.1)");
  EXPECT_EQ(described({}), "it is wrong");
  EXPECT_EQ(Error(Category::malformed, "it is wrong").describe(), "it is wrong");
}

TEST(Try, PassesValuesOnAndReturnsErrors) {
  EXPECT_EQ(doubled(21).value(), 42);
  const auto failed = doubled(fail(Category::busy, "later"));
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().category(), Category::busy);
}

// GNU date -u says the same of these.
TEST(Rfc3339, WritesEveryDigitInUtc) {
  const auto text_of = [](std::int64_t seconds, std::int64_t nanos) {
    const WallTime time{std::chrono::seconds(seconds) + std::chrono::nanoseconds(nanos)};
    return std::string(Rfc3339(time).text());
  };
  EXPECT_EQ(text_of(0, 0), "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(text_of(1795791845, 123'456'789), "2026-11-27T15:04:05.123456Z");
  EXPECT_EQ(text_of(951'868'799, 999'999'999), "2000-02-29T23:59:59.999999Z");
  EXPECT_EQ(text_of(-1, 0), "1969-12-31T23:59:59.000000Z");
  EXPECT_EQ(text_of(7'258'118'400, 5'000), "2200-01-01T00:00:00.000005Z");
}

// [6043-6.3-01] [3830-4.2.8-01]
TEST(NtpTime, CoversBothErasAndEveryNanosecond) {
  using namespace std::chrono;
  const WallTime before_2036 = sys_days(2026y / 11 / 21) + 1h + 123456789ns;
  const WallTime after_2036 = sys_days(2040y / 1 / 1) + 999999999ns;
  for (const WallTime time : {before_2036, before_2036 + 1ns, after_2036}) {
    EXPECT_EQ(from_ntp(to_ntp(time)), time);
  }
  EXPECT_EQ(to_ntp(WallTime(sys_days(1970y / 1 / 1))), std::uint64_t{2208988800} << 32);
  // 2036-02-07 06:28:16: the seconds overflow to 0 (RFC 4330 section 3).
  EXPECT_EQ(from_ntp(0), WallTime(sys_days(2036y / 2 / 7) + 6h + 28min + 16s));
}

// [3830-5.2-02]
TEST(DistinctNtpTimes, NeverRepeatAValueWhileTheClockStandsOrStepsBackALittle) {
  using namespace std::chrono_literals;
  const WallTime start = from_ntp(0xED56F2C500000000);
  DistinctNtpTimes times;
  std::set<std::uint64_t> drawn;
  for (const WallTime now : {start, start, start, start - 900ms, start + 1ns, start + 5s}) {
    drawn.insert(times.next(now));
  }
  EXPECT_EQ(drawn.size(), 6U);
  EXPECT_EQ(times.next(start + 6s), to_ntp(start + 6s));
  EXPECT_EQ(times.next(start - 1h), to_ntp(start - 1h)) << "a clock that was set is believed";
}

// [3830-5.2-02]
TEST(SystemClock, HandsOutNoTimestampTwice) {
  constexpr std::size_t kEach = 2000;
  const SystemClock clock;
  std::array<std::vector<std::uint64_t>, 3> drawn;
  {
    std::vector<std::jthread> threads;
    for (auto& values : drawn) {
      threads.emplace_back([&] {
        for (std::size_t i = 0; i < kEach; ++i) values.push_back(clock.ntp_now());
      });
    }
  }
  std::set<std::uint64_t> all;
  for (const auto& values : drawn) all.insert(values.begin(), values.end());
  EXPECT_EQ(all.size(), drawn.size() * kEach);
  EXPECT_LT(std::chrono::abs(from_ntp(clock.ntp_now()) - clock.now()), std::chrono::seconds(1));
}

// [3830-4.2.2-01] [3830-9.1-04]
TEST(OpenSslRandom, FillsAllOfTheOutput) {
  OpenSslRandom random;
  EXPECT_NE(random.bytes(32).value(), random.bytes(32).value());
}

TEST(OpenSslRandom, FillsEachOfSeveralOutputsWholeAndDifferently) {
  OpenSslRandom random;
  for (const std::size_t size : {16U, 200U}) {  // one draw, and too much for one
    ByteVector first(size);
    ByteVector second(size);
    const std::array<MutableBytes, 3> outs{first, MutableBytes(), second};
    ASSERT_TRUE(random.fill_each(outs).has_value());
    EXPECT_NE(first, second);
    EXPECT_FALSE(equal(Bytes(first).last(8), ByteVector(8)));
    EXPECT_FALSE(equal(Bytes(second).last(8), ByteVector(8)));
  }
}

}  // namespace
}  // namespace keystub
