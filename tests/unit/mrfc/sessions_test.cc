// Sessions and their events: what the MRFP reports, what a watcher sees, what is refused.
#include <atomic>
#include <thread>

#include "mrfc-agent/work_pool.h"
#include "tests/unit/mrfc/mrfc_fixture.h"

namespace keystub::mrfc::testing {
namespace {

using ::testing::ElementsAre;
using enum MediaState;

class SessionTest : public MrfcTest {
 protected:
  // A session whose keys are at the MRFP.
  std::string connected() {
    const CreatedOffer created = create_offer();
    EXPECT_TRUE(controller->accept_answer(
        created.session_id, answer_with(user_answers(created.sdp_offer, kAlice).sdp())));
    return created.session_id;
  }
  MediaState state() { return controller->list().at(0).media.at(0).state; }
  StreamKey stream() { return media.streams.begin()->first; }
};

TEST_F(SessionTest, MRFC_I6_EstablishedAndReleasedBecomeSessionEvents) {
  const std::string session = connected();
  controller->on_media_event({MediaEvent::Kind::established, stream(), "TLSv1.3 X"});
  EXPECT_EQ(state(), established);
  controller->on_media_event({MediaEvent::Kind::released, stream(), "the peer closed"});
  EXPECT_EQ(state(), released);
  EXPECT_THAT(states(events), ElementsAre(offered, connecting, established, released));
  const SessionEvent event = **events.at(3);
  EXPECT_EQ(event.session_id, session);
  EXPECT_EQ(event.dialog_id, "d1");
  EXPECT_EQ(event.detail, "TLSv1.3 X");
  EXPECT_EQ(event.time, keystub::testing::kTestTime);
}

TEST_F(SessionTest, MRFC_B5_TcpAndTlsFailuresFailTheMedia) {
  for (const auto kind : {MediaEvent::Kind::tcp_failure, MediaEvent::Kind::tls_failure}) {
    connected();
    controller->on_media_event({kind, stream(), "refused"});
    EXPECT_EQ(state(), failed);
    controller->on_media_event({MediaEvent::Kind::released, stream(), "after the failure"});
    EXPECT_EQ(state(), failed) << "it stays failed";
    controller->release_all();
  }
}

TEST_F(SessionTest, MRFC_B5_AnEventThatOvertakesTheStepThatCausedItIsKept) {
  const CreatedOffer created = create_offer();
  controller->on_media_event({MediaEvent::Kind::established, stream(), "early"});
  ASSERT_TRUE(controller->accept_answer(
      created.session_id, answer_with(user_answers(created.sdp_offer, kAlice).sdp())));
  EXPECT_EQ(state(), established);
}

TEST_F(SessionTest, MRFC_I6_AnUnknownStreamIsNobodysEvent) {
  connected();
  controller->on_media_event({MediaEvent::Kind::tcp_failure, {"other", "stream"}, "x"});
  EXPECT_EQ(state(), connecting);
}

TEST_F(SessionTest, MRFC_I6_StreamsThatTheMrfpLostFail) {
  connected();
  EXPECT_THAT(controller->expected_streams(), ElementsAre(stream()));
  controller->on_streams_lost({stream()});
  EXPECT_EQ(state(), failed);
}

TEST_F(SessionTest, MRFC_I6_ReleasingGivesTheStreamBackOnce) {
  const std::string session = connected();
  ASSERT_TRUE(controller->release(session, ""));
  EXPECT_TRUE(media.streams.empty());
  EXPECT_TRUE(controller->expected_streams().empty());
  EXPECT_EQ(states(events).back(), released);
  EXPECT_EQ(controller->release(session, "").error().category(), Category::not_found);
}

TEST_F(SessionTest, MRFC_I6_OneLegsEndLeavesTheOtherInTheConference) {
  const CreatedOffer first = create_offer();
  OfferRequest request = offer_to(kBob);
  request.conference_id = first.conference_id;
  const auto second = controller->create_offer(request).value();
  ASSERT_TRUE(controller->release(first.session_id, ""));
  EXPECT_EQ(media.streams.size(), 1U);
  EXPECT_EQ(controller->list().at(0).session_id, second.session_id);
}

TEST_F(SessionTest, MRFC_I1_ATraceIdIsTheCallersOrTheSessionsOwn) {
  const CreatedOffer first = create_offer();
  OfferRequest request = offer_to(kAlice);
  request.trace_id = "call-7";
  ASSERT_TRUE(controller->create_offer(request));
  EXPECT_EQ(controller->list().at(0).trace_id, first.session_id);
  EXPECT_EQ(controller->list().at(1).trace_id, "call-7");
  EXPECT_EQ((*events.at(2))->trace_id, "call-7");
}

TEST_F(SessionTest, MRFC_R3_ADialInHasNoAnswerToAccept) {
  const auto accepted = controller->accept_offer(incoming(user_offers().sdp())).value();
  EXPECT_EQ(
      controller->accept_answer(accepted.status.session_id, answer_with("x")).error().category(),
      Category::conflict);
  EXPECT_EQ(controller->accept_answer("none", answer_with("x")).error().category(),
            Category::not_found);
}

TEST_F(SessionTest, MRFC_I1_AtTheLimitSessionsAreRefusedAsBusy) {
  SessionStore few(events, 1);
  SessionController small(Collaborators{env, policy, keys, media, *replay, few, releases, nullptr});
  ASSERT_TRUE(small.create_offer(offer_to(kAlice)));
  EXPECT_EQ(small.create_offer(offer_to(kAlice)).error().category(), Category::busy);
  ASSERT_EQ(media.streams.size(), 1U);
  // One whose media have ended, and which nobody released, makes room.
  small.on_media_event({MediaEvent::Kind::released, stream(), "set-up timeout"});
  EXPECT_TRUE(small.create_offer(offer_to(kAlice)));
  EXPECT_EQ(small.list().size(), 1U);
}

TEST(EventHistory, KeepsTheNewestAndSaysWhatIsGone) {
  const FakeClock clock;
  EventHistory history("run", clock, 3);
  int notified = 0;
  auto subscription = history.subscribe([&] { ++notified; });
  for (int i = 0; i < 5; ++i) {
    SessionEvent event;
    event.session_id = std::to_string(i);
    history.record(event);
    history.notify();
  }
  EXPECT_EQ(notified, 5);
  EXPECT_EQ(history.next_sequence(), 6U);
  EXPECT_EQ(history.at(2).error().category(), Category::expired);
  EXPECT_EQ((*history.at(3))->session_id, "2");
  EXPECT_EQ((*history.at(5))->sequence, 5U);
  EXPECT_FALSE(history.at(6)->has_value());
  subscription.reset();
  history.notify();
  EXPECT_EQ(notified, 5);
}

TEST(WorkPool, RefusesWhatDoesNotFitAndFinishesWhatItTook) {
  WorkPool pool(1, 1);
  std::atomic<int> done = 0;
  std::mutex gate;
  std::atomic<bool> running = false;
  gate.lock();
  ASSERT_TRUE(pool.submit([&] {
    running = true;
    const std::scoped_lock wait(gate);
    ++done;
  }));
  while (!running) std::this_thread::yield();
  EXPECT_TRUE(pool.submit([&] { ++done; }));
  EXPECT_FALSE(pool.submit([&] { ++done; })) << "the queue is full";
  gate.unlock();
  pool.stop();
  EXPECT_EQ(done, 2);
  EXPECT_FALSE(pool.submit([] {}));
}

// Several threads at one controller: what tsan looks at.
TEST_F(SessionTest, MRFC_I6_SessionsOfSeveralThreadsDoNotMeet) {
  SessionStore store(events, 1000);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const std::string id = std::to_string(t) + "." + std::to_string(i);
        const StreamKey key{"c" + std::to_string(t), id};
        ASSERT_TRUE(store.open(id, ""));
        store.add_media(id, {.index = 0, .kind = MediaKind::msrp, .state = offered, .roles = {}});
        store.bind(id, 0, key);
        EXPECT_TRUE(store.move(key, established, "x"));
        static_cast<void>(store.list());
        EXPECT_TRUE(store.remove(id));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(store.list().empty());
  EXPECT_EQ(events.next_sequence(), 401U);
}

}  // namespace
}  // namespace keystub::mrfc::testing
