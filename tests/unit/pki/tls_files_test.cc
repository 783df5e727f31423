// What a TLS port does with its files: only what fits together is taken up.
#include "pki/tls_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "tests/support/certificates.h"
#include "tests/support/fake_clock.h"
#include "tests/support/temp_dir.h"

namespace keystub::pki {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class TlsFilesTest : public ::testing::Test {
 protected:
  struct Pair {
    std::string certificate;
    std::string key;
  };

  Pair issue(const std::string& name, WallTime not_after = testing::kTestTime) const {
    const auto key = testing::make_elliptic();
    testing::CertificateText text{.name = name, .alternative_names = "DNS:" + name};
    text.not_after = not_after;
    return {testing::to_pem(ca.issue(text, *key)), testing::to_pem(*key)};
  }
  void put(const Pair& pair) const {
    folder.write("own.pem", pair.certificate);
    folder.write("own.key", pair.key);
  }
  Result<std::shared_ptr<TlsFiles>> open(bool with_lists = false) const {
    TlsFiles::Paths paths{folder / "own.pem", folder / "own.key", folder / "ca.pem", {}};
    if (with_lists) paths.crl = folder / "crl.pem";
    // What is looked at is looked at by lists(), in the test's own thread.
    return TlsFiles::open(std::move(paths), std::chrono::hours(1), clock);
  }
  static std::string in_force(const TlsFiles& files) {
    return testing::TempDir::read(files.pair_path());
  }
  std::string text_of(const Pair& pair) const { return pair.key + "\n" + pair.certificate; }

  void SetUp() override {
    put(first);
    folder.write("ca.pem", testing::to_pem(ca.certificate()));
  }

  const testing::TestCa ca{"Clients"};
  const testing::TempDir folder;
  const Pair first = issue("first");
  // The files of a test are all younger than this: they are read at each look.
  testing::FakeClock clock;
};

TEST_F(TlsFilesTest, WhatFitsTogetherIsTakenUp) {
  const auto files = open().value();
  EXPECT_EQ(in_force(*files), text_of(first));
  EXPECT_EQ(testing::TempDir::read(files->ca_path()), testing::to_pem(ca.certificate()));
  EXPECT_EQ(files->report().not_after, testing::kTestTime);
  EXPECT_EQ(files->report().taken_up, 0U);

  const WallTime later = testing::kTestTime + std::chrono::days(7);
  const Pair second = issue("second", later);
  put(second);
  EXPECT_EQ(files->lists(), nullptr);
  EXPECT_EQ(in_force(*files), text_of(second));
  EXPECT_EQ(files->report().not_after, later);
  EXPECT_EQ(files->report().taken_up, 1U);
  EXPECT_THAT(files->report().unusable, IsEmpty());
  files->lists();
  EXPECT_EQ(files->report().taken_up, 1U) << "told once";
}

TEST_F(TlsFilesTest, AKeyThatIsNotTheCertificatesLeavesInForceWhatWas) {
  const auto files = open().value();
  const Pair second = issue("second");
  folder.write("own.pem", second.certificate);
  files->lists();
  EXPECT_EQ(in_force(*files), text_of(first));
  EXPECT_THAT(files->report().unusable, AllOf(HasSubstr("own.key"), HasSubstr("does not belong")));
  EXPECT_EQ(files->report().taken_up, 0U);
  // The other half arrives.
  folder.write("own.key", second.key);
  files->lists();
  EXPECT_EQ(in_force(*files), text_of(second));
  EXPECT_THAT(files->report().unusable, IsEmpty());
  EXPECT_EQ(files->report().taken_up, 1U);
}

TEST_F(TlsFilesTest, JunkAndMissingFilesLeaveInForceWhatWas) {
  const auto files = open().value();
  const std::string locked = testing::to_pem(*testing::make_elliptic(), "pass phrase");
  const std::vector<std::pair<std::string, std::string>> junk = {
      {"own.pem", "junk"}, {"own.key", "junk"}, {"own.key", locked}, {"ca.pem", ""}};
  for (const auto& [name, content] : junk) {
    const std::string before = testing::TempDir::read(folder / name);
    folder.write(name, content);
    files->lists();
    EXPECT_THAT(files->report().unusable, HasSubstr(name));
    std::filesystem::remove(folder / name);
    files->lists();
    EXPECT_THAT(files->report().unusable, AllOf(HasSubstr(name), HasSubstr("cannot be read")));
    EXPECT_EQ(in_force(*files), text_of(first));
    EXPECT_EQ(testing::TempDir::read(files->ca_path()), testing::to_pem(ca.certificate()));
    folder.write(name, before);
    files->lists();
    EXPECT_THAT(files->report().unusable, IsEmpty()) << name;
  }
}

TEST_F(TlsFilesTest, AWrongListDoesNotKeepARenewedCertificateOut) {
  folder.write("crl.pem", ca.revocation_list());
  const auto files = open(true).value();
  const Pair second = issue("second");
  put(second);
  folder.write("crl.pem", testing::TestCa("Somebody else").revocation_list());
  const auto lists = files->lists();
  EXPECT_EQ(in_force(*files), text_of(second));
  EXPECT_THAT(files->report().unusable, HasSubstr("was signed by no certificate"));
  ASSERT_NE(lists, nullptr);
  EXPECT_TRUE(lists->check(second.certificate, clock.now()));
}

TEST_F(TlsFilesTest, AListCountsFromTheNextQuestionOn) {
  folder.write("crl.pem", ca.revocation_list());
  const auto files = open(true).value();
  const auto key = testing::make_elliptic();
  const auto certificate = ca.issue({.name = "client", .alternative_names = "DNS:client"}, *key);
  const std::string pem = testing::to_pem(certificate);
  EXPECT_TRUE(files->lists()->check(pem, clock.now()));
  folder.write("crl.pem", ca.revocation_list({certificate}));
  EXPECT_THAT(files->lists()->check(pem, clock.now()).error().text(), HasSubstr("is revoked"));
  EXPECT_THAT(files->lists()->check(pem, clock.now() + std::chrono::days(3)).error().text(),
              HasSubstr("revoked"));
  const std::string other =
      testing::to_pem(ca.issue({.name = "other", .alternative_names = "DNS:other"}, *key));
  EXPECT_TRUE(files->lists()->check(other, clock.now()));
  EXPECT_THAT(files->lists()->check(other, clock.now() + std::chrono::days(3)).error().text(),
              HasSubstr("no current revocation list"));
  EXPECT_EQ(files->lists()->check("junk", clock.now()).error().category(), Category::denied);
}

TEST_F(TlsFilesTest, OpeningSaysWhichFileIsWrong) {
  folder.write("own.key", "junk");
  EXPECT_THAT(open().error().text(), HasSubstr("own.key"));
  std::filesystem::remove(folder / "own.key");
  EXPECT_EQ(open().error().category(), Category::not_found);
  put(first);
  folder.write("ca.pem", "junk");
  EXPECT_THAT(open().error().text(), HasSubstr("ca.pem"));
  folder.write("ca.pem", testing::to_pem(ca.certificate()));
  folder.write("crl.pem", "junk");
  EXPECT_THAT(open(true).error().text(), HasSubstr("crl.pem"));
}

TEST_F(TlsFilesTest, TheFilesAreLookedAtByThemselves) {
  TlsFiles::Paths paths{folder / "own.pem", folder / "own.key", {}, {}};
  const auto files = TlsFiles::open(std::move(paths), std::chrono::milliseconds(1), clock).value();
  EXPECT_THAT(files->ca_path(), IsEmpty());
  const Pair second = issue("second");
  put(second);
  for (int i = 0; i < 10'000 && in_force(*files) != text_of(second); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(in_force(*files), text_of(second));
}

}  // namespace
}  // namespace keystub::pki
