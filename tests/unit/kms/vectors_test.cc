// KMS-1, KMS-2, KMS-3, KMS-4, KMS-8: the whole way through the handler, byte for byte as in the
// vectors.
#include <gtest/gtest.h>

#include "tests/support/scripted_random.h"
#include "tests/support/vectors.h"
#include "tests/unit/kms/kms_fixture.h"

namespace keystub::kms {
namespace {

class KmsVectors : public ::testing::TestWithParam<const char*> {
 protected:
  static constexpr std::chrono::seconds kTimeout{20};

  KmsVectors() {
    const testing::TempDir& in = folder;
    EXPECT_TRUE(SqliteStore::create(in / "kms.db", kek, system_random));
    SqliteStoreOptions options;
    options.path = in / "kms.db";
    store = SqliteStore::open(options, kek, clock).value();
    add("alice", "psk_i", request_psk_id());
    add("bob", "psk_r", resolve_psk_id());
    add_tpk();
  }

  std::string id(const char* name) const { return scenario.json().at("inputs").at("ids").at(name); }
  ByteVector resolve_init() const { return scenario.message("RESOLVE_INIT"); }

  ByteVector request_psk_id() const {
    if (!scenario.has_message("REQUEST_INIT")) return {};
    const ByteVector octets = scenario.message("REQUEST_INIT");
    return to_vector(mikey::Message::parse(octets)->idr_psk->data);
  }
  ByteVector resolve_psk_id() const {
    const ByteVector octets = resolve_init();
    return to_vector(mikey::Message::parse(octets)->idr_psk->data);
  }

  void add(const char* name, const char* psk_input, const ByteVector& psk_id) {
    const std::string uri = id(name);
    const ByteVector psk = scenario.octets(psk_input);
    std::optional<WrappedKey> key;
    if (!psk_id.empty()) {
      key = WrappedKey{psk_id, kek.wrap(psk, {KeyKind::psk, uri, psk_id}, system_random).value()};
    }
    ASSERT_TRUE(store->create(uri, IdentityKind::user, key, Deadline::in(kTimeout)));
  }

  // The TPK of the scenario, under the name that its ticket gives it: the KMS's own, or alice's.
  void add_tpk() {
    const ByteVector octets = resolve_init();
    const auto message = mikey::Message::parse(octets).value();
    const auto data = mikey::parse_ticket_data(*message.ticket, "RESOLVE_INIT").value();
    settings.thdr = to_string(data.thdr);
    const ByteVector tpk_id = to_vector(data.idr_psk->data);
    const bool own = scenario.json().at("inputs").at("mode") == 1;
    const std::string owner = own ? "" : id("alice");
    WrappedKey tpk{tpk_id, kek.wrap(scenario.octets("tpk"),
                                    {own ? KeyKind::own_tpk : KeyKind::shared_tpk, owner, tpk_id},
                                    system_random)
                               .value()};
    if (own) {
      ASSERT_TRUE(store->activate_tpk(tpk, Deadline::in(kTimeout)));
    } else {
      ASSERT_TRUE(store->share_tpk(owner, tpk, Deadline::in(kTimeout)));
    }
  }

  Answer ask(const ByteVector& message) {
    settings.kms = {mikey::IdType::nai, id("kms")};
    PolicySettings lenient;
    lenient.require_forking = false;
    const auto window = replay::ReplayWindow::in_memory(clock).value();
    KeyDirectory keys(*store, kek, 100);
    const Policy policy(lenient, settings.kms);
    AuditOptions audit_options;
    audit_options.path = folder / "audit";
    service::Log log("test", service::LogLevel::off, [](std::string_view) {});
    // The executor and the audit still work for the handler when the answer is there: they go
    // first.
    std::unique_ptr<TicketHandler> handler;
    const auto audit = Audit::open(audit_options).value();
    StoreExecutor executor(1, 10);
    handler = std::make_unique<TicketHandler>(
        settings, HandlerParts{keys, policy, *window, executor, *audit, log, clock, random});
    const auto answer = std::make_shared<std::promise<Answer>>();
    handler->handle(message, Accepted::both, {},
                    [answer](Answer given) { answer->set_value(std::move(given)); });
    return answer->get_future().get();
  }

  testing::Scenario scenario{KEYSTUB_SOURCE_DIR, GetParam()};
  testing::TempDir folder;
  testing::VectorClock clock;
  testing::ScriptedRandom random;
  OpenSslRandom system_random;
  Kek kek = Kek::from_octets(ByteVector(Kek::kSize, 0x11)).value();
  HandlerSettings settings;
  std::unique_ptr<SqliteStore> store;
};

TEST_P(KmsVectors, KMS_1_AnswersRequestInitByteForByte) {
  if (!scenario.has_message("REQUEST_INIT")) return;  // mode 3: there is none
  const ByteVector request_init = scenario.message("REQUEST_INIT");
  random.push(scenario.octets("mpk_spi"));
  random.push(scenario.octets("mpk"));
  const auto parsed = mikey::ReceivedRequest::parse(request_init).value();
  for (const mikey::KeyWish& wished : parsed.wish().keys) {
    const auto key = scenario.key_with_spi(wished.spi);
    random.push(key.key);
    if (!key.salt.empty()) random.push(key.salt);
  }
  random.push(scenario.octets("ticket_rand"));
  clock.push(scenario.input("ticket_t"));
  clock.push(scenario.input("request_resp_t"));
  const auto answer = ask(request_init);
  ASSERT_TRUE(answer.has_value()) << answer.error().reason
                                  << testing::TempDir::read(folder / "audit");
  EXPECT_EQ(to_hex(*answer), to_hex(scenario.message("REQUEST_RESP")));
  EXPECT_EQ(random.queued(), 0U);
}

TEST_P(KmsVectors, KMS_2_AnswersResolveInitByteForByte) {
  if (scenario.has_input("randrkms")) random.push(scenario.octets("randrkms"));
  clock.push(scenario.input("resolve_resp_t"));
  const auto answer = ask(resolve_init());
  ASSERT_TRUE(answer.has_value()) << answer.error().reason
                                  << testing::TempDir::read(folder / "audit");
  EXPECT_EQ(to_hex(*answer), to_hex(scenario.message("RESOLVE_RESP")));
  EXPECT_EQ(random.queued(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Scenarios, KmsVectors,
                         ::testing::Values("a", "b", "c", "d", "e", "f", "m", "n"),
                         [](const auto& tested) { return std::string(tested.param); });

}  // namespace
}  // namespace keystub::kms
