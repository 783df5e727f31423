// kmsctl identity import and export against an admin port of the test's own, which keeps the
// promise of the real one: a batch once, whole, in order.
#include "kms-client/kmsctl/bulk_import.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <map>
#include <sstream>

#include <nlohmann/json.hpp>

#include "base/base64.h"
#include "keystub/v1/identity_admin.grpc.pb.h"
#include "kms-client/kmsctl/kmsctl.h"
#include "rpc/server.h"
#include "rpc/unix_listener.h"
#include "service/command_line.h"
#include "tests/support/fake_clock.h"
#include "tests/support/temp_dir.h"

namespace keystub::kmsctl {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing::TempDir;

class BulkAdmin final : public v1::IdentityAdmin::Service {
 public:
  std::map<std::string, v1::NewIdentity> identities;
  std::map<std::string, std::uint64_t> imports;
  std::vector<std::size_t> batch_sizes;  // of those that were imported
  int failing_calls = 0;                 // answer as if the KMS were starting
  int lost_answers = 0;                  // import, and answer so

  grpc::Status ImportIdentities(grpc::ServerContext*, const v1::ImportIdentitiesRequest* request,
                                v1::ImportIdentitiesResponse* response) override {
    if (failing_calls > 0) {
      --failing_calls;
      return {grpc::StatusCode::UNAVAILABLE, "starting"};
    }
    std::uint64_t& next = imports[request->import_id()];
    response->set_done_before(request->batch() < next);
    if (request->batch() > next) return {grpc::StatusCode::FAILED_PRECONDITION, "not the next"};
    if (request->batch() == next) {
      for (const auto& one : request->identities()) {
        if (identities.contains(one.uri()) && !request->skip_existing()) {
          return {grpc::StatusCode::FAILED_PRECONDITION,
                  "line " + std::to_string(one.line()) + ", " + one.uri() + ": exists"};
        }
      }
      for (const auto& one : request->identities()) {
        const bool made = identities.emplace(one.uri(), one).second;
        if (made) {
          response->set_created(response->created() + 1);
        } else {
          response->set_skipped(response->skipped() + 1);
        }
      }
      batch_sizes.push_back(static_cast<std::size_t>(request->identities_size()));
      ++next;
    }
    response->set_next_batch(next);
    if (lost_answers > 0) {
      --lost_answers;
      return {grpc::StatusCode::UNAVAILABLE, "gone"};
    }
    return grpc::Status::OK;
  }
  grpc::Status ResumeImport(grpc::ServerContext*, const v1::ResumeImportRequest* request,
                            v1::ResumeImportResponse* response) override {
    if (request->restart()) imports.erase(request->import_id());
    const auto known = imports.find(request->import_id());
    response->set_next_batch(known == imports.end() ? 0 : known->second);
    return grpc::Status::OK;
  }
  grpc::Status ListIdentities(grpc::ServerContext*, const v1::ListIdentitiesRequest* request,
                              v1::ListIdentitiesResponse* response) override {
    for (const auto& [uri, one] : identities) {
      if (request->groups_only() && one.kind() != v1::IDENTITY_KIND_GROUP) continue;
      auto& identity = *response->add_identities();
      identity.set_uri(uri);
      identity.set_kind(one.kind());
      identity.set_state(one.state());
      *identity.mutable_aliases() = one.aliases();
      *identity.mutable_groups() = one.groups();
      for (const auto& psk : one.psks()) {
        auto& info = *identity.add_psks();
        info.set_psk_id(psk.psk_id().empty() ? uri : psk.psk_id());
        if (psk.has_expire_time()) *info.mutable_expire_time() = psk.expire_time();
      }
    }
    return grpc::Status::OK;
  }
};

struct BulkTest : ::testing::Test {
  TempDir folder;
  testing::FakeClock clock;
  OpenSslRandom random;
  BulkAdmin admin;
  std::unique_ptr<rpc::UnixListener> listener;
  std::unique_ptr<rpc::Server> server;
  std::string out;
  std::string err;
  const std::string key = base64_encode(ByteVector(32, 0x5a));

  BulkTest() {
    listener = rpc::UnixListener::open(folder / "admin.sock").value();
    rpc::ServerOptions options;
    options.unix_listener = listener.get();
    options.services = {&admin};
    server = rpc::Server::start(options).value();
  }

  int run(std::vector<std::string> words) {
    words.insert(words.begin(), {"kmsctl", "--socket", (folder / "admin.sock").string(), "--output",
                                 "json", "identity"});
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    std::ostringstream stream;
    ::testing::internal::CaptureStderr();
    const int code = kmsctl::run(static_cast<int>(argv.size()), argv.data(), stream, clock, random);
    err = ::testing::internal::GetCapturedStderr();
    out = stream.str();
    EXPECT_THAT(out + err, Not(HasSubstr(key)));
    return code;
  }
  std::string file(const std::string& name, const std::string& text, unsigned mode = 0600) {
    const auto path = folder.write(name, text);
    ::chmod(path.c_str(), mode);
    return path.string();
  }
  static std::string user(int number) { return "sip:u" + std::to_string(number) + "@x"; }
  std::string users(int count) {
    std::string text = "uri,psks\n";
    for (int i = 0; i < count; ++i) text += user(i) + "," + key + "\n";
    return text;
  }
  // Straight at the procedure: what it waits for, in milliseconds.
  Result<ImportSummary> import_file(const std::string& path, std::vector<std::int64_t>& waits,
                                    std::size_t stop_at = 1000) {
    BulkImport bulk({path, RecordFormat::csv, 2, false, false},
                    [&](std::chrono::milliseconds time) {
                      waits.push_back(time.count());
                      return waits.size() > stop_at;
                    });
    ConnectionOptions options;
    options.socket = (folder / "admin.sock").string();
    const auto client = AdminClient::open(options).value();
    std::ostringstream progress;
    return bulk.run(*client, random, clock, progress, false);
  }
};

TEST_F(BulkTest, ImportsInBatchesAndSaysWhatCameOfIt) {
  ASSERT_EQ(run({"import", file("users.csv", users(5)), "--batch", "2"}), 0) << err;
  EXPECT_THAT(admin.batch_sizes, ElementsAre(2, 2, 1));
  EXPECT_EQ(base64_encode(as_bytes(admin.identities.at(user(3)).psks(0).psk())), key);
  EXPECT_EQ(admin.identities.at(user(3)).line(), 5U);
  const json summary = json::parse(out);
  EXPECT_EQ(summary["identities"], 5);
  EXPECT_EQ(summary["keys"], 5);
  EXPECT_EQ(summary["created"], 5);
  EXPECT_EQ(summary["batches"], 3);
}

TEST_F(BulkTest, ABatchEndsBeforeItIsMoreThanAKmsTakes) {
  std::string text = "uri,aliases\n";
  for (int i = 0; i < 500; ++i) text += user(i) + ",sip:" + std::string(200, 'a') + "@x\n";
  ASSERT_EQ(run({"import", file("users.csv", text)}), 0) << err;
  EXPECT_EQ(admin.identities.size(), 500U);
  EXPECT_EQ(admin.batch_sizes.size(), 2U);
}

TEST_F(BulkTest, GoesOnWhereABatchWasRefusedOnceItsReasonIsGone) {
  const std::string path = file("users.csv", users(5));
  admin.identities[user(3)];
  EXPECT_EQ(run({"import", path, "--batch", "2"}), service::kExitConflict);
  EXPECT_THAT(err,
              AllOf(HasSubstr("users.csv"), HasSubstr("line 5, sip:u3@x"), HasSubstr("batch 2"),
                    HasSubstr("the 1 before it are"), HasSubstr("--skip-existing")));
  EXPECT_THAT(admin.batch_sizes, ElementsAre(2));
  ASSERT_EQ(run({"import", path, "--batch", "2", "--skip-existing"}), 0) << err;
  const json summary = json::parse(out);
  EXPECT_EQ(summary["done_before"], 2);
  EXPECT_EQ(summary["created"], 2);
  EXPECT_EQ(summary["skipped"], 1);
}

TEST_F(BulkTest, AFileThatIsImportedIsNotImportedAgainUnlessItIsToBe) {
  const std::string path = file("users.csv", users(3));
  ASSERT_EQ(run({"import", path}), 0) << err;
  ASSERT_EQ(run({"import", path}), 0) << err;
  EXPECT_EQ(json::parse(out)["done_before"], 3);
  EXPECT_THAT(err, HasSubstr("--restart"));
  EXPECT_EQ(run({"import", path, "--restart"}), service::kExitConflict);
  ASSERT_EQ(run({"import", path, "--restart", "--skip-existing"}), 0) << err;
  EXPECT_EQ(json::parse(out)["skipped"], 3);
  ASSERT_EQ(run({"import", path, "--batch", "1"}), service::kExitConflict)
      << "with other batches it is another import";
}

TEST_F(BulkTest, ImportsNothingFromAFileWithAFault) {
  EXPECT_EQ(run({"import", file("users.csv", users(3) + "sip:d@x,AAAA\n"), "--batch", "1"}),
            service::kExitMalformed);
  EXPECT_THAT(err, AllOf(HasSubstr("users.csv line 5: psks"), Not(HasSubstr("AAAA"))));
  EXPECT_EQ(run({"import", file("kind.csv", "uri,kind\nsip:a@x,usr\n")}), service::kExitMalformed);
  EXPECT_THAT(err, AllOf(HasSubstr("line 2: kind"), HasSubstr("user, mrfc, as, group, kms")));
  EXPECT_EQ(run({"import", file("state.csv", "uri,state\nsip:a@x,gone\n")}),
            service::kExitMalformed);
  EXPECT_EQ(run({"import", file("end.csv", "uri,psks,psk_expiries\nsip:a@x," + key + ",soon\n")}),
            service::kExitMalformed);
  EXPECT_THAT(err, HasSubstr("2027-01-31T12:00:00Z"));
  EXPECT_EQ(run({"import", file("none.csv", "uri\n")}), service::kExitMalformed);
  EXPECT_EQ(run({"import", (folder / "missing.csv").string()}), service::kExitNotFound);
  EXPECT_EQ(run({"import", file("users.csv", users(1)), "--batch", "1001"}),
            service::kExitMalformed);
  EXPECT_THAT(admin.identities, IsEmpty());
}

TEST_F(BulkTest, AFileWithKeysIsForItsOwnerAlone) {
  EXPECT_EQ(run({"import", file("users.csv", users(1), 0640)}), service::kExitDenied);
  EXPECT_THAT(err, HasSubstr("chmod 600"));
  EXPECT_EQ(run({"import", file("names.csv", "uri\nsip:a@x\n", 0644)}), 0) << err;
}

TEST_F(BulkTest, ADryRunAsksNoKms) {
  ASSERT_EQ(run({"import", file("users.csv", users(5)), "--dry-run", "--batch", "2"}), 0) << err;
  EXPECT_EQ(json::parse(out)["batches"], 3);
  EXPECT_THAT(admin.identities, IsEmpty());
}

TEST_F(BulkTest, TriesABatchAgainWhileTheKmsIsAwayAndOnceOnly) {
  std::vector<std::int64_t> waits;
  admin.failing_calls = 2;
  admin.lost_answers = 1;
  const auto summary = import_file(file("users.csv", users(3)), waits);
  ASSERT_TRUE(summary.has_value()) << summary.error().text();
  EXPECT_THAT(waits, ElementsAre(0, 500, 1000, 2000, 0));
  EXPECT_THAT(admin.batch_sizes, ElementsAre(2, 1));
  EXPECT_EQ(summary->created, 1U);
  EXPECT_EQ(summary->done_before, 2U);

  waits.clear();
  admin.failing_calls = 1000;
  const auto given_up = import_file(file("more.csv", "uri\nsip:z@x\n"), waits);
  EXPECT_EQ(given_up.error().category(), Category::unavailable);
  EXPECT_THAT(given_up.error().text(), HasSubstr("run the same command again"));
  EXPECT_EQ(waits.size(), 7U);
}

TEST_F(BulkTest, StopsBetweenTwoBatchesAndSaysHowToGoOn) {
  std::vector<std::int64_t> waits;
  const std::string path = file("users.csv", users(5));
  const auto stopped = import_file(path, waits, 1);
  ASSERT_FALSE(stopped.has_value());
  EXPECT_THAT(stopped.error().text(), AllOf(HasSubstr("stopped"), HasSubstr("batch 2"),
                                            HasSubstr("run the same command again")));
  EXPECT_THAT(admin.batch_sizes, ElementsAre(2));
  ASSERT_TRUE(import_file(path, waits).has_value());
  EXPECT_EQ(admin.identities.size(), 5U);
}

TEST_F(BulkTest, ExportsWhatAnImportTakesGroupsFirstAndNoKeys) {
  admin.identities["sip:a@x"].set_kind(v1::IDENTITY_KIND_USER);
  admin.identities["sip:a@x"].set_state(v1::IDENTITY_STATE_SUSPENDED);
  admin.identities["sip:a@x"].add_groups("sip:team@x");
  auto& psk = *admin.identities["sip:a@x"].add_psks();
  psk.set_psk_id(std::string("\0", 1));
  psk.set_psk(std::string(32, 'k'));
  psk.mutable_expire_time()->set_seconds(1767323045);
  admin.identities["sip:team@x"].set_kind(v1::IDENTITY_KIND_GROUP);
  admin.identities["sip:team@x"].set_state(v1::IDENTITY_STATE_ACTIVE);
  ASSERT_EQ(run({"export"}), 0) << err;
  EXPECT_EQ(out,
            "uri,kind,state,aliases,owned_patterns,groups,psk_ids,psk_expiries\n"
            "sip:team@x,group,active,,,,,\n"
            "sip:a@x,user,suspended,,,sip:team@x,hex:00,2026-01-02T03:04:05Z\n");
  const std::string path = (folder / "all.json").string();
  ASSERT_EQ(run({"export", "--file", path}), 0) << err;
  EXPECT_EQ(json::parse(out)["identities"], 2);
  EXPECT_THAT(TempDir::read(path), AllOf(HasSubstr("sip:a@x"), Not(HasSubstr("kkkk"))));
  EXPECT_EQ(run({"export", "--file", path}), service::kExitConflict);

  admin.identities.clear();
  ASSERT_EQ(run({"import", path}), 0) << err;
  EXPECT_EQ(json::parse(out)["without_keys"], 1);
  EXPECT_THAT(err, HasSubstr("set-psk"));
  EXPECT_EQ(admin.identities.at("sip:a@x").state(), v1::IDENTITY_STATE_SUSPENDED);
  EXPECT_THAT(admin.identities.at("sip:a@x").psks(), IsEmpty());
}

TEST(ProgressTest, IsABarOnATerminalAndALineNowAndThenElsewhere) {
  const SteadyTime begin{};
  std::ostringstream terminal;
  {
    Progress bar(terminal, true, "identities", 200, begin);
    bar.update(50, 0, begin + std::chrono::milliseconds(50));
    EXPECT_EQ(terminal.str(), "") << "not more often than an eye sees";
    bar.update(100, 0, begin + std::chrono::seconds(10));
    EXPECT_THAT(terminal.str(), AllOf(HasSubstr("[###############               ] 50 % of 200"),
                                      HasSubstr("10 per second, 10 s left")));
  }
  EXPECT_TRUE(terminal.str().ends_with("\r\x1b[K"));
  std::ostringstream log;
  Progress lines(log, false, "identities", 0, begin);
  lines.update(100, 0, begin + std::chrono::seconds(9));
  lines.update(120, 20, begin + std::chrono::seconds(10));
  EXPECT_EQ(log.str(), "120 identities, 10 per second\n");
}

}  // namespace
}  // namespace keystub::kmsctl
