// KMS-1, KMS-2, KMS-3, KMS-4, KMS-8: the whole way through the handler, byte for byte as in the
// vectors.
#include "tests/unit/kms/kms_fixture.h"
#include "tests/unit/kms/pk_vector_kms.h"
#include "tests/unit/kms/vector_kms.h"

namespace keystub::kms {
namespace {

// A KMS that answers one message with what a script says.
class ScriptedKms {
 public:
  ScriptedKms() {
    EXPECT_TRUE(SqliteStore::create(folder / "kms.db", kek, system_random));
    SqliteStoreOptions options;
    options.path = folder / "kms.db";
    store = SqliteStore::open(options, kek, store_clock).value();
  }

  Answer ask(const ByteVector& message, const HandlerSettings& settings,
             const PkSettings& pk_settings = {}) {
    PolicySettings lenient;
    lenient.require_forking = false;
    const auto window = replay::ReplayWindow::in_memory(clock).value();
    KeyDirectory keys(*store, kek, CacheLimits{});
    const Policy policy(lenient, settings.kms);
    const auto revocations =
        RevocationBook::open(*store, clock, Deadline::in(std::chrono::seconds(20))).value();
    AuditOptions audit_options;
    audit_options.path = folder / "audit";
    service::Log log("test", service::LogLevel::off, [](std::string_view) {});
    const auto pk = PkKeeper::open(pk_settings, std::chrono::seconds(10), {clock, log}).value();
    // Executors and audit may still work for the handler when the answer is there: they go first.
    std::unique_ptr<TicketHandler> handler;
    const auto audit = Audit::open(audit_options).value();
    StoreExecutor executor(1, 10);
    StoreExecutor pk_executor(1, 10);
    OpenSslRandom unscripted;
    const auto limiter = RateLimiter::make({}, unscripted).value();
    handler = std::make_unique<TicketHandler>(
        settings, HandlerParts{keys, policy, *revocations, *window, *limiter, executor, *audit, log,
                               clock, random, nullptr, PkParts{*pk, pk_executor}});
    const auto answer = std::make_shared<std::promise<Answer>>();
    handler->handle(message, Accepted::both, {},
                    [answer](Answer given) { answer->set_value(std::move(given)); });
    return answer->get_future().get();
  }
  std::string why() const { return testing::TempDir::read(folder / "audit"); }

  testing::TempDir folder;
  testing::VectorClock clock;
  testing::FakeClock store_clock;  // earlier: a ticket is younger than its initiator
  testing::ScriptedRandom random;
  OpenSslRandom system_random;
  Kek kek = Kek::from_octets(ByteVector(Kek::kSize, 0x11)).value();
  std::unique_ptr<SqliteStore> store;
};

class KmsVectors : public ::testing::TestWithParam<const char*>, protected ScriptedKms {
 protected:
  KmsVectors() { vector.fill(*store, kek); }

  Answer ask(const ByteVector& message) {
    return ScriptedKms::ask(message, {.kms = vector.identity(), .thdr = vector.thdr()});
  }

  VectorKms vector{GetParam()};
};

TEST_P(KmsVectors, KMS_1_AnswersRequestInitByteForByte) {
  if (!vector.has_request()) return;  // mode 3: there is none
  vector.script_request(clock, random);
  const auto answer = ask(vector.request_init());
  ASSERT_TRUE(answer.has_value()) << why();
  EXPECT_EQ(to_hex(*answer), to_hex(vector.scenario.message("REQUEST_RESP")));
  EXPECT_EQ(random.queued(), 0U);
}

TEST_P(KmsVectors, KMS_2_AnswersResolveInitByteForByte) {
  vector.script_resolve(clock, random);
  const auto answer = ask(vector.resolve_init());
  ASSERT_TRUE(answer.has_value()) << why();
  EXPECT_EQ(to_hex(*answer), to_hex(vector.scenario.message("RESOLVE_RESP")));
  EXPECT_EQ(random.queued(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Scenarios, KmsVectors,
                         ::testing::Values("a", "b", "c", "d", "e", "f", "m", "n"),
                         [](const auto& tested) { return std::string(tested.param); });

// The same with certificates.
class KmsPkVectors : public ::testing::TestWithParam<const char*>, protected ScriptedKms {
 protected:
  KmsPkVectors() { vector.fill(*store, kek); }

  Answer ask(const ByteVector& message) {
    return ScriptedKms::ask(message, {.kms = vector.identity(), .thdr = vector.thdr()},
                            vector.pk(folder));
  }

  PkVectorKms vector{GetParam()};
};

TEST_P(KmsPkVectors, KMS_1_AnswersRequestInitByteForByte) {
  if (!vector.has_request()) return;  // mode 3: there is none
  vector.script_request(clock, random);
  const auto answer = ask(vector.message("REQUEST_INIT"));
  ASSERT_TRUE(answer.has_value()) << why();
  EXPECT_EQ(to_hex(*answer), to_hex(vector.message("REQUEST_RESP")));
  EXPECT_EQ(random.queued(), 0U);
}

TEST_P(KmsPkVectors, KMS_2_AnswersResolveInitByteForByte) {
  vector.script_resolve(clock, random);
  const auto answer = ask(vector.message("RESOLVE_INIT"));
  ASSERT_TRUE(answer.has_value()) << why();
  EXPECT_EQ(to_hex(*answer), to_hex(vector.message("RESOLVE_RESP")));
  EXPECT_EQ(random.queued(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Scenarios, KmsPkVectors,
                         ::testing::Values("pk-mode1-128", "pk-mode1-256", "pk-mode1-128-pss",
                                           "pk-mode1-256-pss", "pk-mode1-256-mixed",
                                           "pk-mode3-256"),
                         [](const auto& tested) {
                           std::string name = tested.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace keystub::kms
