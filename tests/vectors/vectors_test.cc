// lib/mikey/vectors/keystub-mikey-1.json: the library does what the file says, and the file is what
// its generator writes.
#include <gtest/gtest.h>

#include <fstream>

#include "tests/vectors/document.h"
#include "tests/vectors/errors.h"
#include "tests/vectors/refusals.h"

namespace keystub::vectors {
namespace {

std::string file_text() {
  std::ifstream file(KEYSTUB_SOURCE_DIR "/lib/mikey/vectors/keystub-mikey-1.json");
  return {std::istreambuf_iterator<char>(file), {}};
}
const Json& file() {
  static const Json kFile = Json::parse(file_text());
  return kFile;
}

TEST(MikeyVectors, TheFileIsWhatTheGeneratorWrites) {
  const std::string written = document();
  const std::string committed = file_text();
  const auto [difference, unused] = std::ranges::mismatch(written, committed);
  EXPECT_TRUE(written == committed)
      << "from octet " << difference - written.begin() << " on; when the new one is right: "
      << "generate-mikey-vectors > lib/mikey/vectors/keystub-mikey-1.json";
}

class MikeyExchange : public ::testing::TestWithParam<std::string> {
 protected:
  const Json& entry() const { return file().at("exchanges").at(GetParam()); }
};

// The parties get nothing but the inputs of the file.
TEST_P(MikeyExchange, PlaysAsTheFileSays) {
  const Call call(entry().at("inputs"));
  Json messages;
  for (const auto& [name, octets] : call.messages()) messages[name] = to_hex(octets);
  EXPECT_EQ(messages, entry().at("messages"));
  EXPECT_EQ(call.message_keys(), entry().at("message_keys"));
  EXPECT_EQ(call.results(), entry().at("results"));
}

TEST_P(MikeyExchange, EachMessageOfTheFileIsAccepted) {
  const Call call(entry().at("inputs"));
  for (const auto& [name, message] : entry().at("messages").items()) {
    const auto accepted = call.receive(name, octets(message), nullptr);
    EXPECT_TRUE(accepted.has_value()) << name << ": " << accepted.error().describe();
  }
}

std::vector<std::string> exchange_ids() {
  std::vector<std::string> ids;
  for (const auto& [id, unused] : file().at("exchanges").items()) ids.push_back(id);
  return ids;
}
INSTANTIATE_TEST_SUITE_P(Vectors, MikeyExchange, ::testing::ValuesIn(exchange_ids()),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

std::map<std::string, Call> calls_of_the_file() {
  std::map<std::string, Call> calls;
  for (const auto& [id, entry] : file().at("exchanges").items()) {
    calls.try_emplace(id, entry.at("inputs"));
  }
  return calls;
}

TEST(MikeyVectors, EveryRefusalIsRefusedForTheReasonThatTheFileGives) {
  const std::map<std::string, Call> calls = calls_of_the_file();
  for (const Json& entry : file().at("refusals")) {
    const Call& call = calls.at(entry.at("exchange"));
    const auto result = call.receive(entry.at("message"), octets(entry.at("octets")),
                                     entry.value("instead", Json()));
    ASSERT_FALSE(result.has_value()) << entry.at("id");
    EXPECT_EQ(refused(result.error()), entry.at("refused")) << entry.at("id");
  }
}

TEST(MikeyVectors, EveryErrorMessageHasTheOutcomeThatTheFileGives) {
  const std::map<std::string, Call> calls = calls_of_the_file();
  for (const Json& entry : file().at("errors")) {
    const Call& call = calls.at(entry.at("exchange"));
    EXPECT_EQ(outcome(call.read_error(entry.at("about"), octets(entry.at("octets")))),
              entry.at("outcome"))
        << entry.at("id");
  }
}

}  // namespace
}  // namespace keystub::vectors
