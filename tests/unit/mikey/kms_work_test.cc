// How much the KMS does for an exchange: the calls of the floor that tests/bench measures it
// against are those of the vectors, and those that the library makes.
#include <gtest/gtest.h>

#include <algorithm>

#include "mikey/derivation.h"
#include "mikey/protection.h"
#include "tests/support/allocation_counter.h"
#include "tests/support/kms_calls.h"
#include "tests/support/kms_exchanges.h"
#include "tests/support/openssl_recorder.h"

namespace keystub::mikey {
namespace {

using testing::AllocationCounter;
using testing::KmsCalls;
using testing::KmsExchange;
using testing::KmsExchanges;
using testing::OpenSslRecorder;
using testing::Scenario;

constexpr std::size_t kHash = 32;
constexpr std::size_t kBlock = 64;

Scenario forking_scenario() { return {KEYSTUB_SOURCE_DIR, "m"}; }

std::vector<std::size_t> sorted(std::vector<std::size_t> sizes) {
  std::ranges::sort(sizes);
  return sizes;
}

std::vector<std::size_t> hmac_sizes(const KmsCalls& calls) {
  std::vector<std::size_t> sizes;
  for (const KmsCalls::Hmac& hmac : calls.hmacs) sizes.push_back(hmac.octets);
  return sorted(sizes);
}

// An HMAC is a digest of its input and one of that digest. Where the key was not ready, a block
// with the key comes first in both.
std::vector<std::size_t> hmac_sizes(const OpenSslRecorder::Calls& calls) {
  std::vector<std::size_t> sizes;
  EXPECT_EQ(calls.digests.size() % 2, 0U);
  for (std::size_t i = 0; i + 1 < calls.digests.size(); i += 2) {
    const std::size_t outer = calls.digests[i + 1];
    EXPECT_TRUE(outer == kHash || outer == kHash + kBlock) << outer;
    sizes.push_back(calls.digests[i] - (outer - kHash));
  }
  return sorted(sizes);
}

void expect_same(const KmsCalls& floor, const OpenSslRecorder::Calls& made) {
  EXPECT_EQ(hmac_sizes(floor), hmac_sizes(made));
  EXPECT_EQ(sorted(floor.ciphers), sorted(made.ciphers));
  EXPECT_EQ(std::vector{floor.random}, made.random);
}

TEST(KmsFloor, OfARequestHasTheStepsOfTheVectors) {
  const KmsCalls calls = kms_calls(forking_scenario(), KmsExchange::request);
  EXPECT_EQ(calls.hmacs.size(), 9 * 2 + 3);  // derivations of 256 bits or less, MACs
  EXPECT_EQ(calls.ciphers.size(), 2U);
  EXPECT_EQ(calls.random, 4 + 32 + 32 + 32);  // MPK SPI, MPK, TGK, RAND of the ticket
}

TEST(KmsFloor, OfAResolveHasTheStepsOfTheVectors) {
  const KmsCalls calls = kms_calls(forking_scenario(), KmsExchange::resolve);
  EXPECT_EQ(calls.hmacs.size(), 12 * 2 + 4);
  EXPECT_EQ(calls.ciphers.size(), 2U);
  EXPECT_EQ(calls.random, 32U);  // RANDRkms
}

// Between the first message of the KMS's exchange and the last, no step of the vectors is left out.
TEST(KmsFloor, LeavesOutOnlyStepsOfTheOtherParties) {
  const Scenario scenario = forking_scenario();
  std::vector<std::string> others;
  for (const auto& step : scenario.steps()) {
    const std::string name = step.value("name", step.value("what", ""));
    const auto takes = [&](KmsExchange exchange) {
      const auto names = testing::kms_steps(exchange);
      return std::ranges::find(names, name) != names.end();
    };
    if (!takes(KmsExchange::request) && !takes(KmsExchange::resolve)) others.push_back(name);
  }
  EXPECT_EQ(others, (std::vector<std::string>{"TRANSFER_INIT auth_key", "TRANSFER_INIT V",
                                              "TRANSFER_RESP auth_key", "TRANSFER_RESP V",
                                              "CS 1 TEK", "CS 1 auth", "CS 1 encr"}));
}

TEST(KmsFloor, OfARequestIsWhatTheLibraryDoes) {
  const Scenario scenario = forking_scenario();
  KmsExchanges kms(scenario);
  OpenSslRecorder recorder;
  kms.request();
  expect_same(kms_calls(scenario, KmsExchange::request), recorder.stop());
}

TEST(KmsFloor, OfAResolveIsWhatTheLibraryDoes) {
  const Scenario scenario = forking_scenario();
  KmsExchanges kms(scenario);
  OpenSslRecorder recorder;
  kms.resolve();
  expect_same(kms_calls(scenario, KmsExchange::resolve), recorder.stop());
}

template <class Derivation>
void expect_no_allocation(const char* what, Derivation derivation) {
  AllocationCounter counter;
  const bool derived = derivation().has_value();
  const std::size_t allocations = counter.stop();
  EXPECT_TRUE(derived) << what;
  EXPECT_EQ(allocations, 0U) << what;
}

// Of the keys that are good for many messages, the 256-bit suite's PRF is kept from the second use
// on.
TEST(Prepared, KeepsThePrfOfAKeyThatIsUsedAgain) {
  const Prepared<Tpk> tpk{Tpk(ByteVector(32, 7))};
  const SharedPrf first = tpk.prf(PrfFunc::hmac_sha_256).value();
  const SharedPrf second = tpk.prf(PrfFunc::hmac_sha_256).value();
  EXPECT_NE(first, second);
  EXPECT_EQ(tpk.prf(PrfFunc::hmac_sha_256).value(), second);
  EXPECT_NE(tpk.prf(PrfFunc::mikey_1).value(), tpk.prf(PrfFunc::mikey_1).value());
  std::array<ByteVector, 2> derived{ByteVector(32), ByteVector(32)};
  ASSERT_TRUE(first->derive(as_bytes("label"), derived[0]).has_value());
  ASSERT_TRUE(second->derive(as_bytes("label"), derived[1]).has_value());
  EXPECT_EQ(derived[0], derived[1]);
}

TEST(Derivation, AllocatesNothing) {
  const ByteVector rand(32, 7);
  const Prepared<Tpk> tpk{Tpk(rand)};
  ASSERT_TRUE(tpk.prf(PrfFunc::hmac_sha_256).has_value());  // used before
  ASSERT_TRUE(tpk.prf(PrfFunc::hmac_sha_256).has_value());
  const Identity bob = Identity::uri("sip:bob@example.com");
  expect_no_allocation("keys of a ticket",
                       [&] { return derive_ticket_keys(kSuite256, tpk, rand); });
  for (const Suite& suite : {kSuite128, kSuite256}) {
    const Prf exchange_key = Prf::keyed(suite.prf, rand).value();
    const Mpk mpk{Bytes(rand).first(suite.key_octets)};
    SessionKey tgk{KeyType::tgk, CarriedKey(Bytes(rand).first(suite.key_octets)), {}, {1}};
    const MessageContext context{5, true, rand, rand};
    expect_no_allocation("keys of a message", [&] {
      return derive_message_keys(suite, exchange_key, context, Protects::integrity_and_keys);
    });
    expect_no_allocation("MPKi and MPKr", [&] { return derive_mpk_pair(suite.prf, mpk, rand); });
    expect_no_allocation("Vr's key", [&] { return derive_initiator_data_key(suite, mpk); });
    expect_no_allocation("MPKr'", [&] { return fork_mpkr(suite.prf, mpk, bob.bytes(), rand); });
    expect_no_allocation("TGK'",
                         [&] { return fork_session_key(suite.prf, tgk, bob.bytes(), rand); });
  }
}

}  // namespace
}  // namespace keystub::mikey
