// Signals, hardening, readiness, key files, verbs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "service/command_line.h"
#include "service/lifecycle.h"
#include "service/secret_file.h"
#include "tests/support/temp_dir.h"

namespace keystub::service {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TempDir;

// Runs `child` in a process of its own and returns its wait status.
template <class Child>
int in_child(Child child) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    child();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return status;
}

TEST(Hardening, SwitchesOffCoreDumpsAndTracing) {
  const int status = in_child([] {
    if (!harden_process()) ::_exit(1);
    rlimit limit{};
    ::getrlimit(RLIMIT_CORE, &limit);
    if (limit.rlim_max != 0 || ::prctl(PR_GET_DUMPABLE) != 0) ::_exit(2);
    if (::umask(0) != 077) ::_exit(3);
  });
  EXPECT_EQ(status, 0);
}

TEST(Hardening, LocksAllOfItsMemoryOrSaysWhatToDo) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer's runtime takes mlockall for itself and locks nothing";
#endif
  const auto locked_kilobytes = [] {
    std::ifstream status("/proc/self/status");
    long kilobytes = -1;
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("VmLck:")) kilobytes = std::stol(line.substr(6));
    }
    return kilobytes;
  };
  const int status = in_child([&] {
    const auto locked = lock_memory();
    if (locked) ::_exit(locked_kilobytes() > 0 ? 0 : 1);
    const bool says = locked.error().text().find("LimitMEMLOCK") != std::string::npos;
    ::_exit(says && locked_kilobytes() == 0 ? 0 : 2);
  });
  EXPECT_EQ(status, 0);
}

TEST(Signals, ReloadsOnHangupAndStopsOnTerm) {
  const int status = in_child([] {
    const auto signals = Signals::create();
    int reloads = 0;
    ::raise(SIGHUP);
    std::thread([] { ::kill(::getpid(), SIGTERM); }).join();
    (*signals)->wait_for_stop([&] { ++reloads; });
    ::_exit(reloads == 1 ? 0 : 1);
  });
  EXPECT_EQ(status, 0);
}

TEST(Signals, ASecondSignalEndsTheProcessAtOnce) {
  const int status = in_child([] {
    const auto signals = Signals::create();
    ::raise(SIGINT);
    (*signals)->wait_for_stop();
    ::raise(SIGTERM);
    ::_exit(1);
  });
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGTERM);
}

TEST(Signals, StopsOnRequestFromAnotherThread) {
  const auto signals = Signals::create();
  ASSERT_TRUE(signals.has_value());
  std::thread other([&] { (*signals)->request_stop(); });
  (*signals)->wait_for_stop();
  other.join();
}

TEST(Readiness, WritesTheFileInOneStepAndRemovesIt) {
  const TempDir folder;
  const auto file = folder / "ready";
  ASSERT_TRUE(announce_ready(file, {{"tickets", "127.0.0.1:7443"}, {"admin", "/run/k.sock"}}));
  EXPECT_EQ(TempDir::read(file), "tickets=127.0.0.1:7443\nadmin=/run/k.sock\n");
  EXPECT_FALSE(std::filesystem::exists(file.string() + ".new"));
  const auto endpoints = read_ready_file(file).value();
  ASSERT_EQ(endpoints.size(), 2U);
  EXPECT_EQ(endpoints[1].name, "admin");
  EXPECT_EQ(endpoints[1].address, "/run/k.sock");
  announce_stopping(file);
  EXPECT_EQ(read_ready_file(file).error().category(), Category::not_found);
  EXPECT_FALSE(announce_ready(folder / "none/ready", {}).has_value());
}

TEST(Readiness, TellsTheServiceManager) {
  const TempDir folder;
  const std::string path = (folder / "notify").string();
  const int socket = ::socket(AF_UNIX, SOCK_DGRAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  EXPECT_TRUE(announce_ready({}, {}).has_value());
  announce_stopping({});
  ::unsetenv("NOTIFY_SOCKET");
  char buffer[64];
  EXPECT_EQ(std::string(buffer, static_cast<std::size_t>(::recv(socket, buffer, 64, 0))),
            "READY=1");
  EXPECT_EQ(std::string(buffer, static_cast<std::size_t>(::recv(socket, buffer, 64, 0))),
            "STOPPING=1");
  ::close(socket);
}

TEST(SecretFile, ReadsHexAndRawAsToldAndNeverGuesses) {
  const TempDir folder;
  const auto file = folder.write("key", "00112233445566778899AABBCCDDEEFF\n");
  ::chmod(file.c_str(), 0600);
  const auto hex = read_secret<PskTag>(file, SecretEncoding::hex, 16, 64);
  ASSERT_TRUE(hex.has_value()) << hex.error().text();
  EXPECT_EQ(to_hex(hex->reveal()), "00112233445566778899aabbccddeeff");
  const auto raw = read_secret<PskTag>(file, SecretEncoding::raw, 16, 64);
  ASSERT_TRUE(raw.has_value());
  EXPECT_EQ(raw->size(), 33U);
}

TEST(SecretFile, RefusesAFileThatOthersMayRead) {
  const TempDir folder;
  const auto file = folder.write("key", "00112233445566778899aabbccddeeff");
  for (const mode_t mode : {0640U, 0604U, 0620U}) {
    ::chmod(file.c_str(), mode);
    const auto key = read_secret<PskTag>(file, SecretEncoding::hex, 16, 64);
    ASSERT_FALSE(key.has_value());
    EXPECT_EQ(key.error().category(), Category::denied);
    EXPECT_THAT(key.error().text(), HasSubstr("chmod 600"));
  }
}

TEST(SecretFile, NeverShowsTheKeyInAnError) {
  const TempDir folder;
  const auto file = folder.write("key", "secret that is not hex");
  ::chmod(file.c_str(), 0600);
  const auto key = read_secret<PskTag>(file, SecretEncoding::hex, 16, 64);
  ASSERT_FALSE(key.has_value());
  EXPECT_EQ(key.error().category(), Category::malformed);
  EXPECT_EQ(key.error().describe().find("secret"), std::string::npos);
}

TEST(SecretFile, ChecksTheLength) {
  const TempDir folder;
  for (const auto& [text, good] : {std::pair{std::string(30, 'a'), false},
                                   {std::string(32, 'a'), true},
                                   {std::string(34, 'a'), false},
                                   {std::string(9000, 'a'), false},
                                   {std::string(33, 'a'), false},
                                   {std::string(), false}}) {
    const auto file = folder.write("key", text);
    ::chmod(file.c_str(), 0600);
    EXPECT_EQ(read_secret<PskTag>(file, SecretEncoding::hex, 16, 16).has_value(), good)
        << text.size();
  }
  EXPECT_EQ(read_secret<PskTag>(folder / "none", SecretEncoding::hex, 1, 9).error().category(),
            Category::not_found);
}

TEST(SecretFile, WritesForTheOwnerAloneAndNeverOverwrites) {
  const TempDir folder;
  const Psk key(Bytes(from_hex("00ff10a5").value()));
  ASSERT_TRUE(write_secret(folder / "key", SecretEncoding::hex, key.reveal()).has_value());
  EXPECT_EQ(TempDir::read(folder / "key"), "00ff10a5\n");
  struct stat info{};
  ::stat((folder / "key").c_str(), &info);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  EXPECT_EQ(write_secret(folder / "key", SecretEncoding::hex, key.reveal()).error().category(),
            Category::conflict);
  EXPECT_EQ(read_secret<PskTag>(folder / "key", SecretEncoding::hex, 4, 4).value(), key);
}

struct CommandLineTest : ::testing::Test {
  CommandLine line{"tool", "Does things.", exit_code_table()};
  std::string config = "default.toml";
  std::string uri;
  std::string output = "table";
  bool check = false;
  std::string ran;

  CommandLineTest() {
    line.top().option("--config", config, "File.");
    Verb& identity = line.top().verb("identity", "Identities.");
    identity.verb("show", "Shows one.")
        .argument("uri", uri, "Which.")
        .choice("--output", output, {"table", "json"}, "Form.")
        .action([this] {
          ran = "show";
          return 6;
        });
    line.top().verb("run", "Runs.").flag("--check-config", check, "Only check.").action([this] {
      ran = "run";
      return 0;
    });
  }
  int run(std::vector<std::string> words) {
    words.insert(words.begin(), "tool");
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    return line.run(static_cast<int>(argv.size()), argv.data());
  }
};

TEST_F(CommandLineTest, RunsTheDeepestVerbAndReturnsItsExitCode) {
  EXPECT_EQ(run({"identity", "show", "sip:a@b", "--output", "json", "--config", "x"}), 6);
  EXPECT_EQ(ran, "show");
  EXPECT_EQ(uri, "sip:a@b");
  EXPECT_EQ(output, "json");
  EXPECT_EQ(config, "x");
}

TEST_F(CommandLineTest, TakesOptionsBeforeTheVerbToo) {
  EXPECT_EQ(run({"--config", "y", "run", "--check-config"}), 0);
  EXPECT_EQ(config, "y");
  EXPECT_TRUE(check);
}

TEST_F(CommandLineTest, RefusesAWrongCommandLineAsUsage) {
  EXPECT_EQ(run({}), kExitUsage);
  EXPECT_EQ(run({"identity"}), kExitUsage);
  EXPECT_EQ(run({"fly"}), kExitUsage);
  EXPECT_EQ(run({"identity", "show"}), kExitUsage);
  EXPECT_EQ(run({"identity", "show", "sip:a@b", "--output", "xml"}), kExitUsage);
  EXPECT_EQ(run({"run", "--no-such"}), kExitUsage);
  EXPECT_EQ(ran, "");
}

TEST_F(CommandLineTest, HelpAndVersionAreSuccess) {
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(run({"--help"}), 0);
  EXPECT_THAT(::testing::internal::GetCapturedStdout(), HasSubstr("Exit codes:"));
}

TEST(ExitCodes, AreDistinctPerCategory) {
  std::vector<int> codes;
  for (int i = 0; i <= static_cast<int>(Category::internal); ++i) {
    codes.push_back(exit_code(static_cast<Category>(i)));
  }
  EXPECT_THAT(codes, ElementsAre(3, 4, 5, 6, 7, 8, 9, 10, 1));
}

}  // namespace
}  // namespace keystub::service
