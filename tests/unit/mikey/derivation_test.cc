// The labels of the key derivations, octet by octet, and the sizes of what comes out
// (RFC 6043 5.1, 6.1, 6.2, A.2; RFC 3830 4.1). The vectors have the keys themselves.
#include <gtest/gtest.h>

#include "mikey/derivation.h"
#include "mikey/protection.h"
#include "tests/support/vectors.h"
#include "tests/unit/mikey/refused.h"

namespace keystub::mikey {
namespace {

using testing::hex;

const ByteVector kRandI = {0xAA, 0xAB};
const ByteVector kRandR = {0xBB};

// [6043-5.1.2-02] [6043-5.1.2-03] [6043-5.1-05]
TEST(Labels, OfMessagesHaveCsbIdPhaseAndBothRandsWithTheirLengths) {
  EXPECT_EQ(
      to_hex(Label::message(KeyConstant::message_auth, 0x01020304, false, kRandI, kRandR).bytes()),
      "2d22ac75ff01020304"
      "0102aaab01bb");
  EXPECT_EQ(
      to_hex(Label::message(KeyConstant::message_encr, 0x01020304, true, kRandI, kRandR).bytes()),
      "150533e1ff01020304"
      "0202aaab01bb");
}

// [6043-5.1.2-06] [6043-5.1.2-07] [6043-5.1.3-08]
TEST(Labels, ARandThatIsLeftOutHasLengthZero) {
  EXPECT_EQ(to_hex(Label::message(KeyConstant::message_salt, 1, false, {}, kRandR).bytes()),
            "29b88916ff00000001"
            "010001bb");
  EXPECT_EQ(to_hex(Label::message(KeyConstant::message_salt, 1, false, kRandI, {}).bytes()),
            "29b88916ff00000001"
            "0102aaab00");
  EXPECT_EQ(to_hex(Label::session(KeyConstant::tek, 7, {}, kRandR).bytes()),
            "2ad01c6407ffffffff"
            "030001bb");
  EXPECT_EQ(to_hex(Label::session(KeyConstant::tek, 7, kRandI, {}).bytes()),
            "2ad01c6407ffffffff"
            "0302aaab00");
}

// [6043-5.1-05] [6043-5.1.1-01] [6043-6.10-41] [6043-A.2-01]
TEST(Labels, OfForkingInitiatorDataAndTicketsHaveTheirOwnPhases) {
  EXPECT_EQ(to_hex(Label::forking(KeyConstant::mpkr_forked, kRandI, kRandR).bytes()),
            "2b288856ffffffffff"
            "000002aaab01bb");
  EXPECT_EQ(to_hex(Label::forking(KeyConstant::tgk_forked, {}, kRandR).bytes()),
            "1512b54affffffffff"
            "00000001bb");
  EXPECT_EQ(to_hex(Label::initiator_data(KeyConstant::message_auth).bytes()),
            "2d22ac75ffffffffff"
            "04");
  EXPECT_EQ(to_hex(Label::ticket(KeyConstant::message_encr, kRandI).bytes()),
            "150533e1ffffffffff"
            "0502aaab");
  EXPECT_EQ(to_hex(Label::mpk(KeyConstant::mpki, kRandI).bytes()),
            "220e99a2ffffffffff"
            "0602aaab");
  EXPECT_EQ(to_hex(Label::mpk(KeyConstant::mpkr, kRandI).bytes()),
            "1f4d675bffffffffff"
            "0602aaab");
}

// An identity has up to 65535 octets, and the label all of them.
TEST(Labels, HoldIdentitiesOfAnyLength) {
  const ByteVector long_id(1000, 0xCC);
  Label label = Label::forking(KeyConstant::mpkr_forked, long_id, kRandR);
  const std::string id_and_rand = "03e8" + to_hex(long_id) + "01bb";
  EXPECT_EQ(to_hex(label.bytes()), "2b288856ffffffffff00" + id_and_rand);
  EXPECT_EQ(to_hex(label.with(KeyConstant::tgk_forked).bytes()),
            "1512b54affffffffff00" + id_and_rand);
}

TEST(Derivations, NeedAKnownPrfAndAKey) {
  const ByteVector key(16, 1);
  ByteVector out(16);
  for (const bool once : {false, true}) {
    const auto derived = [&](PrfFunc func, Bytes inkey) -> Result<void> {
      if (once) return Prf::derive_once(func, inkey, kRandI, out);
      const Prf prf = TRY(Prf::keyed(func, inkey));
      return prf.derive(kRandI, out);
    };
    EXPECT_TRUE(derived(PrfFunc::mikey_1, key).has_value());
    expect_refused(derived(PrfFunc{7}, key), {Category::denied, "PRF 7 is not supported"});
    expect_refused(derived(PrfFunc::mikey_1, {}), {Category::internal, "an empty key"});
  }
}

// [6043-5.1.1-02] [6043-5.1.1-03] [6043-6.2.1-01] [6043-5.1.3-01]
TEST(Forking, ChangesTgksToOnesOfTheSameLengthAndLeavesOtherKeysAsTheyAre) {
  using enum KeyType;
  for (const std::size_t octets : {16, 24, 32, 40}) {
    for (const KeyType type : {tgk, tgk_salt, tek, tek_salt, gtgk, gtgk_salt}) {
      const SessionKey key{
          type, CarriedKey(ByteVector(octets, 5)), SaltKey(ByteVector(14, 6)), {1}};
      SessionKey forked = key.clone();
      fork_session_key(PrfFunc::hmac_sha_256, forked, as_bytes("sip:bob@example.com"), kRandR)
          .value();
      EXPECT_EQ(forked.key.size(), octets);
      EXPECT_EQ(forked.key == key.key, !is_tgk(type)) << name_of(type);
      EXPECT_EQ(forked.salt, key.salt) << name_of(type);
    }
    const Mpk mpkr(ByteVector(octets, 5));
    const Mpk forked = fork_mpkr(PrfFunc::mikey_1, mpkr, kRandI, kRandR).value();
    EXPECT_EQ(forked.size(), octets);
    EXPECT_FALSE(forked == mpkr);
  }
}

// [6043-A.2.2-02]
TEST(MpkPair, HasTheLengthOfTheMpk) {
  for (const std::size_t octets : {16, 32, 40}) {
    const MpkPair pair =
        derive_mpk_pair(PrfFunc::hmac_sha_256, Mpk(ByteVector(octets, 5)), kRandI).value();
    EXPECT_EQ(pair.mpki.size(), octets);
    EXPECT_EQ(pair.mpkr.size(), octets);
    EXPECT_FALSE(pair.mpki == pair.mpkr);
  }
}

// [6043-6.2-01] [6043-6.2-02] [3830-4.2.4-02]
TEST(MessageKeys, HaveTheSizesOfTheirSuite) {
  for (const Suite* suite : {&kSuite128, &kSuite256}) {
    const MessageKeys keys = derive_message_keys(*suite, ByteVector(32, 1), {1, false, kRandI, {}},
                                                 Protects::integrity_and_keys)
                                 .value();
    EXPECT_EQ(keys.encr.bits(), suite == &kSuite128 ? 128U : 256U);
    EXPECT_EQ(keys.auth.bits(), suite == &kSuite128 ? 160U : 256U);
    EXPECT_EQ(keys.salt.bits(), 112U);
  }
}

// [6043-6.2-01] [3830-4.2.3-02]
TEST(AesCm, Uses256BitKeysWhereTheSuiteDoes) {
  MessageKeys keys;
  keys.encr = EncrKey(hex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"));
  keys.salt = SaltKey(hex("f0f1f2f3f4f5f6f7f8f9fafbfcfd"));
  ByteVector stream(16);
  ASSERT_TRUE(
      aes_cm(kSuite256, keys, 0, {TsType::ntp_utc, 0}, ByteVector(16, 0), stream).has_value());
  // The first block: AES-256 of the salt and two octets of zero.
  EXPECT_EQ(to_hex(stream), "979e8995bd6f199ffe0771771466f958");
}

// No padding is defined for AES-KW (reading A10).
TEST(KeyWrap, TakesOnlyKeyDataOfWholeBlocks) {
  MessageKeys keys;
  keys.encr = EncrKey(ByteVector(16, 1));
  keys.salt = SaltKey(ByteVector(8, 2));
  for (std::size_t octets = 16; octets <= 32; ++octets) {
    const auto sealed = seal_kemac(kSuite128KeyWrap, keys, 0, {TsType::counter, 1},
                                   PlainKeyData(ByteVector(octets, 3)));
    EXPECT_EQ(sealed.has_value(), octets % 8 == 0) << octets;
    if (sealed) {
      EXPECT_EQ(sealed->size(), octets + 8);
    } else {
      EXPECT_EQ(sealed.error().category(), Category::malformed);
    }
  }
}

// What arrives wrapped was cut, or is not genuine (RFC 3394 2.2.2).
TEST(KeyWrap, OpensWhatItWrappedAndNothingElse) {
  MessageKeys keys;
  keys.encr = EncrKey(ByteVector(16, 1));
  keys.salt = SaltKey(ByteVector(8, 2));
  const Timestamp t{TsType::counter, 1};
  std::vector<SessionKey> session_keys;
  session_keys.push_back({KeyType::tek, CarriedKey(ByteVector(16, 3)), SaltKey(), {7, 7, 7}});
  const ByteVector sealed =
      seal_kemac(kSuite128KeyWrap, keys, 0, t, encode_kemac_keys({}, {}, session_keys)).value();
  const auto open = [&](Bytes wrapped) {
    return open_kemac(kSuite128KeyWrap, keys, 0, t,
                      {EncrAlg::aes_kw_128, wrapped, MacAlg::null, {}},
                      {"REQUEST_RESP", "KEMAC", "RFC 6043 4.2.1.5", 40});
  };
  EXPECT_EQ(open(sealed).value().session_keys[0].key, session_keys[0].key);
  for (const std::size_t octets : {0, 8, 16, 23, 31}) {
    expect_refused(
        open(Bytes(sealed).first(octets)),
        {Category::malformed, std::to_string(octets) + " octets cannot be the output of AES-KW",
         "KEMAC", "RFC 6043 4.2.1.5"});
  }
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    ByteVector changed = sealed;
    changed[i] ^= 1;
    expect_refused(open(changed), {Category::unauthenticated, "the wrapped keys are not genuine",
                                   "KEMAC", "RFC 6043 4.2.1.5"});
  }
}

// [6043-5.1.3-07] [6043-5.1.3-06] [6043-6.10-10] [6043-6.10-11] [3830-4.1.3-01]
TEST(Teks, DependOnEachRandThatIsUsedAndOnTheCryptoSession) {
  const SessionKey tgk{KeyType::tgk, CarriedKey(ByteVector(32, 5)), SaltKey(), {1}};
  const auto tek = [&](std::uint8_t cs_id, Bytes randr_i, Bytes randr_r) {
    return derive_tek(PrfFunc::hmac_sha_256, tgk, cs_id, randr_i, randr_r, 32).value();
  };
  const Tek reference = tek(1, kRandI, kRandR);
  EXPECT_EQ(tek(1, kRandI, kRandR), reference);
  EXPECT_FALSE(tek(2, kRandI, kRandR) == reference);
  EXPECT_FALSE(tek(1, {}, kRandR) == reference);
  EXPECT_FALSE(tek(1, kRandI, {}) == reference);
}

}  // namespace
}  // namespace keystub::mikey
