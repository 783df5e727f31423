// What makes the KMS unfit to serve, that it says why, and that it recovers by itself.
#include "kms-server/health_monitor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <csignal>
#include <fstream>

#include "tests/support/certificates.h"
#include "tests/unit/kms/kms_fixture.h"

namespace keystub::kms {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class HealthMonitorTest : public KmsFixture {
 protected:
  std::unique_ptr<HealthMonitor> monitor() {
    return std::make_unique<HealthMonitor>(
        HealthSettings{std::chrono::hours(1)},
        HealthMonitor::Parts{*store, kek, *window, *audit, clock, log, &metrics},
        [this](const HealthReport& report) { told.push_back(report); });
  }
  HealthReport look(HealthMonitor& health) {
    health.look();
    return health.report();
  }

  service::Metrics metrics;
  std::vector<HealthReport> told;
};

TEST_F(HealthMonitorTest, ServesWhenEverythingIsUsable) {
  const auto health = monitor();
  EXPECT_THAT(health->report().not_serving, HasSubstr("starting"));
  EXPECT_THAT(look(*health).not_serving, IsEmpty());
  ASSERT_EQ(told.size(), 1U);
  EXPECT_THAT(metrics.render(), HasSubstr("keystub_ready 1"));
  health->stop_serving();
  EXPECT_THAT(health->report().not_serving, HasSubstr("stopping"));
  EXPECT_THAT(look(*health).not_serving, HasSubstr("stopping"));
}

TEST_F(HealthMonitorTest, AStoreThatDoesNotAnswerIsNamedUntilItDoes) {
  const auto health = monitor();
  store->trouble = [] { return Error(Category::unavailable, "the disk is gone"); };
  const HealthReport report = look(*health);
  EXPECT_THAT(report.not_serving, HasSubstr("store: the disk is gone"));
  EXPECT_THAT(report.faults[static_cast<std::size_t>(Component::kek)], IsEmpty());
  ASSERT_EQ(log_lines.size(), 1U);
  EXPECT_THAT(log_lines[0], HasSubstr("the disk is gone"));
  EXPECT_THAT(metrics.render(), HasSubstr("component_healthy{component=\"store\"} 0"));
  look(*health);
  EXPECT_EQ(log_lines.size(), 1U) << "told once, not once a second";
  store->trouble = nullptr;
  EXPECT_THAT(look(*health).not_serving, IsEmpty());
}

TEST_F(HealthMonitorTest, AKekThatDoesNotOpenTheActiveTpkIsNamed) {
  const Kek other = Kek::from_octets(ByteVector(Kek::kSize, 0x22)).value();
  HealthMonitor health({}, {*store, other, *window, *audit, clock, log}, [](const auto&) {});
  EXPECT_THAT(look(health).not_serving, HasSubstr("kek: "));
}

TEST_F(HealthMonitorTest, CertificatesThatCannotBeUsedAreAnAlarmAndNoMore) {
  const testing::TestCa ca("KMS");
  const auto key = testing::make_elliptic();
  const auto put = [&](const std::string& name, const std::string& content) {
    std::ofstream(folder / name) << content;
  };
  testing::CertificateText text{.name = "kms", .alternative_names = "DNS:kms"};
  put("kms.pem", testing::to_pem(ca.issue(text, *key)));
  put("kms.key", testing::to_pem(*key));
  const auto files = pki::TlsFiles::open({folder / "kms.pem", folder / "kms.key", {}, {}},
                                         std::chrono::hours(1), clock)
                         .value();
  const auto pk_keeper = PkKeeper::open({}, std::chrono::seconds(1), {clock, log}).value();
  CertificateWatch watch(*pk_keeper, log, &metrics);
  watch.add({"tickets", files});
  HealthMonitor health({}, {*store, kek, *window, *audit, clock, log, &metrics, &watch},
                       [](const auto&) {});
  constexpr auto kCertificates = static_cast<std::size_t>(Component::certificates);
  EXPECT_THAT(look(health).faults[kCertificates], IsEmpty());
  EXPECT_THAT(metrics.render(),
              HasSubstr(fmt::format("certificate_not_after_seconds{{port=\"tickets\"}} {}",
                                    text.not_after.time_since_epoch() / std::chrono::seconds(1))));

  put("kms.key", "junk");
  files->lists();
  const HealthReport report = look(health);
  EXPECT_THAT(report.faults[kCertificates], HasSubstr("tickets: private key file"));
  EXPECT_THAT(report.not_serving, IsEmpty());
  EXPECT_THAT(metrics.render(), HasSubstr("component_healthy{component=\"certificates\"} 0"));
  ASSERT_EQ(log_lines.size(), 1U);
  EXPECT_THAT(log_lines[0], HasSubstr("what was read before stays"));

  put("kms.key", testing::to_pem(*key));
  files->lists();
  EXPECT_THAT(look(health).faults[kCertificates], IsEmpty());
  clock.set_now(text.not_after);
  EXPECT_THAT(look(health).faults[kCertificates],
              HasSubstr("tickets: the certificate in force has expired"));
}

// KMS-6: with the window lost, whoever has the right time is refused until start + skew is over.
TEST_F(HealthMonitorTest, KMS_6_AClockThatIsBehindTheFloorIsNamedUntilItHasPassedIt) {
  stop();
  std::filesystem::remove(folder / "replay");
  start();
  const auto health = monitor();
  EXPECT_THAT(look(*health).not_serving, HasSubstr("clock: messages are refused until"));
  EXPECT_FALSE(request(kAlice, wish({kBob})).has_value());
  EXPECT_EQ(last_category(), Category::expired);
  const auto wait = last_answer.error().retry_after;
  ASSERT_TRUE(wait.has_value()) << "whoever is refused learns when it is over";
  EXPECT_GT(*wait, std::chrono::seconds(50));
  EXPECT_LE(*wait, std::chrono::seconds(61));
  clock.advance(std::chrono::seconds(61));
  EXPECT_THAT(look(*health).not_serving, IsEmpty());
}

// A full disk, as far as one process can have it: files may not grow past a size.
class FullDisk {
 public:
  explicit FullDisk(rlim_t size) {
    std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit full{size, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &full);
  }
  ~FullDisk() { ::setrlimit(RLIMIT_FSIZE, &before_); }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

 private:
  rlimit before_{};
};

TEST_F(HealthMonitorTest, AnAuditThatCannotBeWrittenIsNamedAndARecoveryLeavesALine) {
  const auto health = monitor();
  const auto lines_before = audit_lines();
  const auto size = std::filesystem::file_size(folder / "audit");
  {
    const FullDisk full(size + 10);
    EXPECT_FALSE(request(kAlice, wish({kBob})).has_value());
    EXPECT_EQ(last_category(), Category::unavailable);
    EXPECT_THAT(look(*health).not_serving, HasSubstr("audit: "));
    EXPECT_THAT(look(*health).not_serving, HasSubstr("audit: ")) << "the probe cannot be written";
    EXPECT_EQ(std::filesystem::file_size(folder / "audit"), size) << "no half line stays";
  }
  EXPECT_THAT(look(*health).not_serving, IsEmpty());
  const auto lines = audit_lines();
  ASSERT_EQ(lines.size(), lines_before.size() + 1);
  EXPECT_EQ(lines.back()["operation"], "audit.recovered");
  EXPECT_TRUE(request(kAlice, wish({kBob})).has_value());
}

TEST_F(HealthMonitorTest, WhereTicketsGoOnWithoutAuditItsFailureIsAnAlarmAndNoMore) {
  stop();
  audit_options.needed = false;
  start();
  const auto health = monitor();
  const FullDisk full(std::filesystem::file_size(folder / "audit") + 10);
  EXPECT_TRUE(request(kAlice, wish({kBob})).has_value());
  const HealthReport report = look(*health);
  EXPECT_THAT(report.not_serving, IsEmpty());
  EXPECT_THAT(report.faults[static_cast<std::size_t>(Component::audit)], HasSubstr("write"));
  EXPECT_THAT(metrics.render(), HasSubstr("component_healthy{component=\"audit\"} 0"));
}

}  // namespace
}  // namespace keystub::kms
