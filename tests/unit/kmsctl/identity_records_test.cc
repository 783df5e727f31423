// Files of identities: what is read, what is refused with its place, and that nothing writes a key.
#include "kms-client/kmsctl/identity_records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <sstream>

#include "base/base64.h"

namespace keystub::kmsctl {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const std::string kKey = base64_encode(ByteVector(32, 0x5a));
const std::string kShort = base64_encode(ByteVector(16, 0xa5));

// Hands `text` out in pieces: in small ones no record comes at once.
RecordSource source_of(std::string text, std::size_t piece) {
  return [text = std::move(text), piece, at = std::size_t{0}](MutableBytes memory) mutable {
    const std::size_t size = std::min({piece, text.size() - at, memory.size()});
    std::memcpy(memory.data(), text.data() + at, size);
    at += size;
    return Result<std::size_t>(size);
  };
}

std::vector<IdentityRecord> read(RecordFormat format, const std::string& text) {
  IdentityRecordReader reader("users", format, source_of(text, 7));
  std::vector<IdentityRecord> records;
  for (;;) {
    auto record = reader.next();
    EXPECT_TRUE(record.has_value()) << record.error().text();
    if (!record || !*record) return records;
    records.push_back(std::move(**record));
  }
}

std::string error_of(RecordFormat format, const std::string& text) {
  IdentityRecordReader reader("users", format, source_of(text, text.size() > 5000 ? 5000 : 7));
  for (;;) {
    const auto record = reader.next();
    if (!record) {
      EXPECT_EQ(record.error().category(), Category::malformed);
      return record.error().text();
    }
    if (!*record) return "no error";
  }
}
std::string csv_error(const std::string& text) { return error_of(RecordFormat::csv, text); }
std::string json_error(const std::string& text) { return error_of(RecordFormat::json, text); }

TEST(IdentityRecords, ReadsCsvWithQuotesListsAndEitherLineEnd) {
  const auto records = read(
      RecordFormat::csv, "\xEF\xBB\xBFpsks,uri,kind,aliases,groups,psk_ids,psk_expiries,state\r\n" +
                             kKey + ",sip:a@x,,,,,,\r\n" +
                             "\n"
                             "\"" +
                             kKey + " " + kShort +
                             "\",\"sip:b,\"\"c\"\"@x\",mrfc,tel:+1  tel:+2,sip:g@x,one hex:00,"
                             "- 2027-01-31T12:00:00Z,suspended");
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(records[0].line, 2U);
  EXPECT_EQ(records[0].uri, "sip:a@x");
  EXPECT_EQ(records[0].kind, "user");
  EXPECT_EQ(records[0].state, "active");
  ASSERT_EQ(records[0].psks.size(), 1U);
  EXPECT_EQ(base64_encode(records[0].psks[0].reveal()), kKey);
  EXPECT_EQ(records[1].line, 4U);
  EXPECT_EQ(records[1].uri, "sip:b,\"c\"@x");
  EXPECT_EQ(records[1].kind, "mrfc");
  EXPECT_EQ(records[1].state, "suspended");
  EXPECT_THAT(records[1].aliases, ElementsAre("tel:+1", "tel:+2"));
  EXPECT_THAT(records[1].groups, ElementsAre("sip:g@x"));
  EXPECT_THAT(records[1].psk_ids, ElementsAre("one", "hex:00"));
  EXPECT_THAT(records[1].psk_expiries, ElementsAre("-", "2027-01-31T12:00:00Z"));
  ASSERT_EQ(records[1].psks.size(), 2U);
  EXPECT_EQ(base64_encode(records[1].psks[1].reveal()), kShort);
}

TEST(IdentityRecords, ReadsJsonAsAListAndLineByLine) {
  const std::string first = R"({"uri": "sip:a@x", "psks": [")" + kKey + R"("]})";
  const std::string second =
      R"({"uri": "sip:\u0062\/\ud83d\ude00@x", "owned_patterns": ["sip:c-*@x"], "groups": null,)"
      "\n"
      R"( "change_sequence": 7, "create_time": "2026-01-02T03:04:05Z", "shared_tpk_ids": [], "certificates": ["0a CN=b"]})";
  for (const std::string& text :
       {"[\n" + first + ",\n" + second + "]\n", "\n" + first + "\n" + second}) {
    const auto records = read(RecordFormat::json, text);
    ASSERT_EQ(records.size(), 2U) << text;
    EXPECT_EQ(records[0].line, 2U);
    EXPECT_EQ(base64_encode(records[0].psks.at(0).reveal()), kKey);
    EXPECT_EQ(records[1].line, 3U);
    EXPECT_EQ(records[1].uri, "sip:b/\xF0\x9F\x98\x80@x");
    EXPECT_THAT(records[1].owned_patterns, ElementsAre("sip:c-*@x"));
    EXPECT_THAT(records[1].groups, IsEmpty());
  }
  EXPECT_THAT(read(RecordFormat::json, " [ ] "), IsEmpty());
  EXPECT_THAT(read(RecordFormat::json, ""), IsEmpty());
}

TEST(IdentityRecords, SaysFileLineFieldAndWhatToDo) {
  EXPECT_THAT(csv_error("uri,kind\nsip:a@x,user\nsip:b@x\n"),
              AllOf(HasSubstr("users line 3: "), HasSubstr("1 fields"), HasSubstr("2 columns")));
  EXPECT_THAT(csv_error("uri\n\"sip:a\n@x\"\nsip:a\"@x\n"),
              AllOf(HasSubstr("line 4"), HasSubstr("double the quotes")));
  EXPECT_THAT(csv_error("uri\n\"sip:a@x\n"), AllOf(HasSubstr("line 2"), HasSubstr("not closed")));
  EXPECT_THAT(csv_error("uri\n\"a\"b\n"), HasSubstr("closing quote"));
  EXPECT_THAT(csv_error(""), HasSubstr("no header line"));
  EXPECT_THAT(csv_error("kind\nuser\n"), HasSubstr("line 2: uri: it is missing"));
  EXPECT_THAT(csv_error("uri,uri\na,b\n"),
              AllOf(HasSubstr("line 1:"), HasSubstr("fields 1 and 2 have the same name")));
  EXPECT_THAT(csv_error("\nuri,psk\n\na,b\n"),
              AllOf(HasSubstr("line 2:"), HasSubstr("field 2 has an unknown name")));
  EXPECT_THAT(json_error("{\"uri\": \"sip:a@x\"}\n{\"uri\": \"sip:b@x\", \"psk\": \"\"}"),
              AllOf(HasSubstr("line 2:"), HasSubstr("field 2 has an unknown name")));
  EXPECT_THAT(csv_error("uri,kind\nsip:a@x,user mrfc\n"),
              HasSubstr("kind: there is more than one"));
  EXPECT_THAT(csv_error("uri,psks\nsip:a@x,AAA\n"), HasSubstr("line 2: psks: base64"));
  EXPECT_THAT(csv_error("uri,psks\nsip:a@x,AAAA\n"), HasSubstr("16 to 64 octets, this one has 3"));
  EXPECT_THAT(csv_error("uri,psks\nsip:a@x," + kKey + " " + kKey + "\n"),
              HasSubstr("psk_ids: there are 2 psks and 0 ids"));
  EXPECT_THAT(csv_error("uri,psks,psk_expiries\nsip:a@x," + kKey + ",- -\n"),
              HasSubstr("psk_expiries: there are 1 psks and 2 ends"));
  EXPECT_THAT(csv_error("uri\nsip:\xff@x\n"), AllOf(HasSubstr("line 2"), HasSubstr("UTF-8")));
  EXPECT_THAT(csv_error("uri\n" + std::string(RecordBuffer::kMaxRecord, 'a')),
              HasSubstr("does not end"));

  EXPECT_THAT(json_error("{\"uri\": \"sip:a@x\"}\nsip:b@x"),
              AllOf(HasSubstr("users line 2"), HasSubstr("an object is expected")));
  EXPECT_THAT(json_error("[{\"uri\": \"a\"} {\"uri\": \"b\"}]"), HasSubstr("a comma or the end"));
  EXPECT_THAT(json_error("[{\"uri\": \"a\"},]"), HasSubstr("an object is expected"));
  EXPECT_THAT(json_error("[{\"uri\": \"a\"}"), HasSubstr("cut off"));
  EXPECT_THAT(json_error("[]{}"), HasSubstr("behind the end of the list"));
  EXPECT_THAT(json_error("{\"uri\": \"a\""), HasSubstr("cut off"));
  EXPECT_THAT(json_error("{\"uri\": {}}"), HasSubstr("a text or a list of texts"));
  EXPECT_THAT(json_error("{\"uri\": [[]]}"), HasSubstr("a text or a list of texts"));
  EXPECT_THAT(json_error(R"({"uri": "\ud83d"})"), HasSubstr("surrogate"));
  EXPECT_THAT(json_error(R"({"uri": "\x"})"), HasSubstr("escape"));
  EXPECT_THAT(json_error("{\"uri\": \"a\nb\"}"), HasSubstr("control character"));
}

TEST(IdentityRecords, AnErrorNeverRepeatsAKey) {
  EXPECT_THAT(
      csv_error("sip:a@x," + kKey + "\nsip:b@x," + kKey + "\n"),
      AllOf(HasSubstr("has an unknown name"), HasSubstr("owned_patterns"), Not(HasSubstr(kKey))));
  EXPECT_THAT(json_error("{\"" + kKey + "\": 1}"), Not(HasSubstr(kKey)));
  EXPECT_THAT(csv_error("uri,psks\nsip:a@x," + kKey + "!\n"), Not(HasSubstr(kKey)));
}

TEST(IdentityRecords, WritesWhatItReadsButForTheKeys) {
  auto records = read(RecordFormat::csv,
                      "uri,kind,aliases,psk_ids,psks\n\"sip:a,b@x\",as,"
                      "tel:+1 tel:+2,one," +
                          kKey + "\n");
  ASSERT_EQ(records.size(), 1U);
  for (const RecordFormat format : {RecordFormat::csv, RecordFormat::json}) {
    std::ostringstream out;
    write_header(out, format);
    write_record(out, format, records[0]);
    EXPECT_THAT(out.str(), Not(HasSubstr(kKey)));
    const auto again = read(format, out.str());
    ASSERT_EQ(again.size(), 1U);
    EXPECT_EQ(again[0].uri, "sip:a,b@x");
    EXPECT_EQ(again[0].kind, "as");
    EXPECT_EQ(again[0].aliases, records[0].aliases);
    EXPECT_THAT(again[0].psk_ids, ElementsAre("one"));
    EXPECT_THAT(again[0].psks, IsEmpty());
  }
}

}  // namespace
}  // namespace keystub::kmsctl
