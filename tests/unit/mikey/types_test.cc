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

}  // namespace
}  // namespace keystub::mikey
