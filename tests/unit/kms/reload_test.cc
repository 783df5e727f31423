// What a new configuration changes at once, and limits that change while they limit.
#include "kms-server/reload.h"

#include <gmock/gmock.h>

#include "base/random.h"
#include "kms-server/rate_limiter.h"
#include "service/config.h"

namespace keystub::kms {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Reload, TellsWhatChangesNowAndWhatWaits) {
  const std::map<std::string, std::string> before = {{"limits.per_peer", "10"},
                                                     {"log.level", "\"info\""},
                                                     {"pk.crl", "\"\""},
                                                     {"pk.threads", "2"},
                                                     {"policy.max_keys", "4"},
                                                     {"roles.admin", "[]"},
                                                     {"tickets.listen", "\"127.0.0.1:1\""}};
  EXPECT_THAT(compare(before, before).now, IsEmpty());
  auto after = before;
  after["limits.per_peer"] = "20";
  after["pk.crl"] = "\"crl.pem\"";
  after["pk.threads"] = "4";
  after["policy.max_keys"] = "2";
  after["roles.admin"] = "[\"boss\"]";
  after["tickets.listen"] = "\"127.0.0.1:2\"";
  const ConfigChanges changes = compare(before, after);
  EXPECT_THAT(changes.now,
              ElementsAre("limits.per_peer", "pk.crl", "policy.max_keys", "roles.admin"));
  EXPECT_THAT(changes.at_next_start, ElementsAre("pk.threads", "tickets.listen"));
}

TEST(Reload, ReadsTheValuesThatAreInForce) {
  auto config = service::Config::parse("[log]\nlevel = \"debug\"\n", "test.toml").value();
  config.string("log.level", "info");
  config.integer("limits.per_peer", 5000, 0, 10000);
  EXPECT_EQ(config.values().at("log.level"), "\"debug\"");
  EXPECT_EQ(config.values().at("limits.per_peer"), "5000");
}

TEST(Reload, NewLimitsHoldForThoseWhoAreCountedAlready) {
  OpenSslRandom random;
  LimitSettings settings;
  settings.per_peer = {1, 1};
  const auto limiter = RateLimiter::make(settings, random).value();
  const SteadyTime now{};
  EXPECT_FALSE(limiter->message("ipv4:192.0.2.1:1", now).has_value());
  EXPECT_TRUE(limiter->message("ipv4:192.0.2.1:2", now).has_value());
  EXPECT_EQ(limiter->used_slots(), 1U);
  settings.per_peer = {0, 0};
  limiter->configure(settings);
  EXPECT_FALSE(limiter->message("ipv4:192.0.2.1:3", now).has_value()) << "0: no limit";
  settings.overall = {1, 1};
  limiter->configure(settings);
  EXPECT_FALSE(limiter->message("ipv4:192.0.2.1:4", now + std::chrono::seconds(1)).has_value());
  EXPECT_TRUE(limiter->message("ipv4:192.0.2.1:5", now + std::chrono::seconds(1)).has_value());
}

}  // namespace
}  // namespace keystub::kms
