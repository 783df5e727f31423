// Where the KEK comes from: files, a systemd credential, a passphrase, a PKCS #11 token (SoftHSM).
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>

#include "kms-server/kek_source.h"
#include "tests/support/temp_dir.h"

namespace keystub::kms {
namespace {

using Path = std::filesystem::path;

class KekSourceTest : public ::testing::Test {
 protected:
  Path file(const char* name) const { return folder_.path() / name; }
  Path written(const char* name, std::string_view text, ::mode_t mode = 0600) const {
    std::ofstream(file(name)) << text;
    ::chmod(file(name).c_str(), mode);
    return file(name);
  }
  // What was wrapped under one opens under the other.
  static void expect_same(const Kek& one, const Kek& other) {
    OpenSslRandom random;
    const ByteVector check = one.make_check_value(random).value();
    EXPECT_TRUE(other.verify_check_value(check).has_value());
  }
  static bool same(const Kek& one, const Kek& other) {
    OpenSslRandom random;
    return other.verify_check_value(one.make_check_value(random).value()).has_value();
  }
  static KekSource read(std::string_view text) {
    auto config = service::Config::parse(text, "test.toml").value();
    KekSource source = KekSource::read(config, "kek");
    EXPECT_TRUE(config.finish().has_value());
    return source;
  }

  testing::TempDir folder_;
  OpenSslRandom random_;
};

TEST_F(KekSourceTest, AFileIsTheDefaultAndIsNotOverwritten) {
  const KekSource source = read("[kek]\nfile = \"" + file("kek").string() + "\"\n");
  const Kek made = create_kek(source, random_).value();
  expect_same(made, open_kek(source).value());
  EXPECT_EQ(create_kek(source, random_).error().category(), Category::conflict);
  ::chmod(source.file.c_str(), 0640);
  EXPECT_EQ(open_kek(source).error().category(), Category::denied);
}

TEST_F(KekSourceTest, ASystemdCredentialAndAnEnvironmentVariableNameAFile) {
  const KekSource plain{.file = file("kek")};
  const Kek made = create_kek(plain, random_).value();
  const KekSource credential = read("[kek]\nsource = \"credential\"\ncredential = \"kek\"\n");
  ::unsetenv("CREDENTIALS_DIRECTORY");
  EXPECT_EQ(open_kek(credential).error().category(), Category::not_found);
  ::setenv("CREDENTIALS_DIRECTORY", folder_.path().c_str(), 1);
  expect_same(made, open_kek(credential).value());
  expect_same(made, create_kek(credential, random_).value());
  // As systemd gives it to a service with User=, by an access control list.
  std::filesystem::permissions(folder_ / "kek", std::filesystem::perms(0440));
  expect_same(made, open_kek(credential).value());
  std::filesystem::permissions(folder_ / "kek", std::filesystem::perms(0444));
  EXPECT_EQ(open_kek(credential).error().category(), Category::denied);
  std::filesystem::permissions(folder_ / "kek", std::filesystem::perms(0600));
  ::unsetenv("CREDENTIALS_DIRECTORY");

  const KekSource environment =
      read("[kek]\nsource = \"environment\"\nenvironment = \"KEK_SOURCE_TEST\"\n");
  ::unsetenv("KEK_SOURCE_TEST");
  EXPECT_EQ(open_kek(environment).error().category(), Category::not_found);
  ::setenv("KEK_SOURCE_TEST", plain.file.c_str(), 1);
  expect_same(made, open_kek(environment).value());
  ::unsetenv("KEK_SOURCE_TEST");
}

TEST_F(KekSourceTest, APassphraseGivesTheSameKekEachTime) {
  KekSource source{.kind = KekSource::Kind::passphrase,
                   .file = file("kek.scrypt"),
                   .passphrase_file = written("words", "correct horse battery\n")};
  const Kek made = create_kek(source, random_).value();
  expect_same(made, open_kek(source).value());

  source.passphrase_file = written("other", "correct horse batterx\n");
  const Kek wrong = open_kek(source).value();
  const ByteVector check = made.make_check_value(random_).value();
  EXPECT_EQ(wrong.verify_check_value(check).error().category(), Category::denied);
  source.passphrase_file = written("short", "too short\n");
  EXPECT_EQ(open_kek(source).error().category(), Category::malformed);
}

TEST_F(KekSourceTest, FaultsOfTheScryptFileNameTheirPlace) {
  KekSource source{.kind = KekSource::Kind::passphrase,
                   .file = written("kek.scrypt", "[scrypt]\nlog_n = 40\nsalt = \"00\"\n"),
                   .passphrase_file = written("words", "correct horse battery\n")};
  const auto refused = open_kek(source);
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().text().find("kek.scrypt:2:"), std::string::npos);
  EXPECT_NE(refused.error().text().find("kek.scrypt:3:"), std::string::npos);
}

// RFC 7914.
TEST_F(KekSourceTest, ThePassphraseIsDerivedWithScrypt) {
  const KekSource source{
      .kind = KekSource::Kind::passphrase,
      .file = written("kek.scrypt",
                      "[scrypt]\nlog_n = 14\nsalt = \"000102030405060708090a0b0c0d0e0f\"\n"),
      .passphrase_file = written("words", "correct horse battery\n")};
  // Computed with Python: hashlib.scrypt(b"correct horse battery", salt=bytes(range(16)),
  // n=16384, r=8, p=1, dklen=32).
  const Kek expected =
      Kek::from_octets(
          from_hex("e96ec6ba8c63a23698220f37c7fc042925d430c7feadec9ceb04af03cabb9f2f").value())
          .value();
  expect_same(expected, open_kek(source).value());
}

// A SoftHSM token of its own in the test's folder.
class KekInAToken : public KekSourceTest {
 protected:
  KekInAToken() {
    std::filesystem::create_directory(file("tokens"));
    std::ofstream(file("softhsm2.conf"))
        << "directories.tokendir = " << file("tokens").string() << "\nlog.level = ERROR\n";
    ::setenv("SOFTHSM2_CONF", file("softhsm2.conf").c_str(), 1);
    EXPECT_EQ(std::system("softhsm2-util --init-token --free --label keystub --so-pin 12345678 "
                          "--pin 4321 > /dev/null 2>&1"),
              0)
        << "softhsm2-util is missing: package softhsm2";
    source_ = read(
        "[kek]\nsource = \"pkcs11\"\nmodule = \"/usr/lib/softhsm/libsofthsm2.so\"\n"
        "token = \"keystub\"\nkey = \"kms kek\"\nfile = \"" +
        file("kek.p11").string() + "\"\npin_file = \"" + written("pin", "4321\n").string() +
        "\"\n");
  }
  ~KekInAToken() override { ::unsetenv("SOFTHSM2_CONF"); }

  KekSource source_;
};

TEST_F(KekInAToken, TheTokenDecryptsTheKek) {
  const Kek made = create_kek(source_, random_).value();
  expect_same(made, open_kek(source_).value());
  EXPECT_EQ(create_kek(source_, random_).error().category(), Category::conflict);

  // The key stays in the token: a second KEK is another one under the same key.
  KekSource second = source_;
  second.file = file("kek2.p11");
  EXPECT_FALSE(same(made, create_kek(second, random_).value()));
  expect_same(made, open_kek(source_).value());
}

TEST_F(KekInAToken, WhatDoesNotFitIsRefused) {
  (void)create_kek(source_, random_).value();
  KekSource other = source_;
  other.token = "elsewhere";
  EXPECT_EQ(open_kek(other).error().category(), Category::not_found);
  other = source_;
  other.key = "another key";
  EXPECT_EQ(open_kek(other).error().category(), Category::not_found);
  other = source_;
  other.module = file("no-module.so");
  EXPECT_EQ(open_kek(other).error().category(), Category::not_found);
  other = source_;
  other.pin_file = written("wrong-pin", "9999\n");
  const auto refused = open_kek(other);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().category(), Category::denied);
  EXPECT_EQ(refused.error().text().find("9999"), std::string::npos);

  // The file was changed.
  std::fstream changed(source_.file, std::ios::in | std::ios::out | std::ios::binary);
  changed.seekp(20);
  changed.put('x');
  changed.close();
  EXPECT_EQ(open_kek(source_).error().category(), Category::denied);
}

}  // namespace
}  // namespace keystub::kms
