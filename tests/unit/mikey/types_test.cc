// The names of MIKEY's numbers, which messages for people are made of.
#include "mikey/types.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace keystub::mikey {
namespace {

// How many of the 256 values have a name; no two have the same.
template <class Number>
std::size_t named() {
  std::set<std::string_view> names;
  std::size_t count = 0;
  for (unsigned value = 0; value < 256; ++value) {
    const std::string_view name = name_of(static_cast<Number>(value));
    EXPECT_FALSE(name.empty()) << value;
    if (name == "unassigned") continue;
    ++count;
    EXPECT_TRUE(names.insert(name).second) << name;
  }
  return count;
}

TEST(TypeNames, EveryAssignedValueHasOneOfItsOwn) {
  EXPECT_EQ(named<DataType>(), 19U);
  EXPECT_EQ(named<PrfFunc>(), 2U);
  EXPECT_EQ(named<CsIdMapType>(), 3U);
  EXPECT_EQ(named<TsType>(), 4U);
  EXPECT_EQ(named<IdType>(), 3U);
  EXPECT_EQ(named<DhGroup>(), 3U);
  EXPECT_EQ(named<SignatureType>(), 2U);
  EXPECT_EQ(named<KeyType>(), 7U);
  EXPECT_EQ(named<KeyValidity>(), 3U);
  EXPECT_EQ(named<KeyIdType>(), 3U);
  EXPECT_EQ(named<SrtpParameter>(), 13U);
  for (const std::size_t count :
       {named<PayloadType>(), named<EncrAlg>(), named<MacAlg>(), named<TsRole>(), named<IdRole>(),
        named<RandRole>(), named<CertType>(), named<EnvelopeCache>(), named<HashFunc>(),
        named<ExtType>(), named<ErrorNo>()}) {
    EXPECT_GE(count, 2U);
  }
}

TEST(TypeNames, ChoicesOfSrtpParametersHaveNames) {
  using enum SrtpParameter;
  EXPECT_EQ(name_of_choice(encr_alg, 1), "AES-CM");
  EXPECT_EQ(name_of_choice(auth_alg, 1), "HMAC-SHA-1");
  EXPECT_EQ(name_of_choice(prf, 0), "AES-CM");
  EXPECT_EQ(name_of_choice(fec_order, 0), "FEC-SRTP");
  EXPECT_EQ(name_of_choice(fec_order, 1), "unassigned");
  EXPECT_EQ(name_of_choice(srtp_encryption, 0), "off");
  EXPECT_EQ(name_of_choice(session_encr_key_length, 16), "") << "a number, not a choice";
}

}  // namespace
}  // namespace keystub::mikey
