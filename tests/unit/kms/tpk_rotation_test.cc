// TPKs by schedule: when the active one is replaced, and when old ones go.
#include "kms-server/tpk_rotation.h"

#include "tests/unit/kms/kms_fixture.h"

namespace keystub::kms {
namespace {

using namespace std::chrono_literals;

class TpkRotationTest : public KmsFixture {
 protected:
  void look(const TpkSchedule& schedule) {
    const auto done = TpkRotation::run_once(schedule, {*admin, *store, clock, log}, kTimeout);
    ASSERT_TRUE(done.has_value()) << done.error().text();
  }
  std::vector<TpkState> states() {
    std::vector<TpkState> all;
    const std::vector<Tpk> tpks = admin->list_tpks().value();
    for (const Tpk& tpk : tpks) all.push_back(tpk.state);
    return all;
  }
};

TEST_F(TpkRotationTest, KMS_3_TheActiveTpkIsReplacedAtItsAge) {
  const TpkSchedule schedule{24h, 48h};
  clock.advance(23h);
  look(schedule);
  EXPECT_THAT(states(), ::testing::ElementsAre(TpkState::active));
  clock.advance(1h);
  look(schedule);
  look(schedule);
  EXPECT_THAT(states(), ::testing::ElementsAre(TpkState::retired, TpkState::active));
  EXPECT_EQ(audit_lines().back()["caller"], "schedule");
}

TEST_F(TpkRotationTest, KMS_3_ARetiredTpkStaysAsLongAsItIsToldAndThenGoes) {
  const TpkSchedule schedule{0ms, 48h};
  ASSERT_TRUE(admin->rotate_tpk(operator_caller).has_value());
  clock.advance(48h);
  look(schedule);
  EXPECT_EQ(states().size(), 2U);
  clock.advance(1s);
  look(schedule);
  EXPECT_THAT(states(), ::testing::ElementsAre(TpkState::active)) << "0: none is made by schedule";
}

}  // namespace
}  // namespace keystub::kms
