// The media plane on real loopback sockets: requests of the Mp, TLS-PSK both ways, relay and echo
// of MSRP, back-pressure, timeouts and ends (MRFP-1 to MRFP-8, MRFC-B2, MRFC-B5).
#include "mrfp-agent/media_plane.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_clock.h"
#include "tests/unit/mrfp/peer.h"

namespace keystub::mrfp {
namespace {

using namespace std::chrono_literals;
using testing::candidate;
using ::testing::HasSubstr;
using testing::keys;
using testing::Peer;

const std::vector<std::string> kTls12 = {"PSK-AES128-GCM-SHA256"};
const std::vector<std::string> kTls13 = {"TLS_AES_128_GCM_SHA256"};
const std::string kPeerPath = "msrps://198.51.100.7:2855/peer7;tcp";
const std::string kOtherPath = "msrps://198.51.100.8:2855/peer8;tcp";

class MediaPlaneTest : public ::testing::Test {
 protected:
  MediaPlaneTest() {
    settings.channel.connect = 2s;
    settings.channel.handshake = 2s;
  }
  void start_plane() {
    plane = MediaPlane::create(*loop, testing::system_random(), log, events, settings).value();
  }
  MediaPlane& the_plane() {
    if (!plane) start_plane();
    return *plane;
  }

  ReservedStream reserve(const std::string& context = {}) {
    return the_plane().reserve({context, "", "trace-1"}).value();
  }
  ConfigureRequest server_request() {
    ConfigureRequest request;
    request.keys = keys(candidate("me", 7));
    request.msrp_remote_path = kPeerPath;
    return request;
  }
  // A TCP and TLS server stream, ready for its peer.
  ReservedStream serve(const std::string& context = {}, const std::string& identity = "me",
                       std::uint8_t fill = 7, const std::string& path = kPeerPath) {
    const ReservedStream stream = reserve(context);
    ConfigureRequest request;
    request.keys = keys(candidate(identity, fill, "dialog-" + identity));
    request.msrp_remote_path = path;
    EXPECT_TRUE(configure(stream, std::move(request)));
    return stream;
  }
  Result<void> configure(const ReservedStream& stream, ConfigureRequest request) {
    return the_plane().configure(stream.context_id, stream.stream_id, std::move(request));
  }
  Result<void> modify(const ReservedStream& stream, std::vector<tlspsk::Candidate> candidates,
                      const std::string& path = {}) {
    return the_plane().modify(stream.context_id, stream.stream_id,
                              {std::move(candidates), "", path});
  }
  Result<void> start(const ReservedStream& stream, bool tcp, bool tls) {
    return the_plane().start(stream.context_id, stream.stream_id, tcp, tls);
  }
  std::optional<StreamStatus> status(const ReservedStream& stream) {
    for (auto& entry : the_plane().list()) {
      if (entry.name.stream_id == stream.stream_id) return entry;
    }
    return std::nullopt;
  }

  // Steps loop and peers until `done`, or for a real time that no healthy run needs.
  bool step_until(const std::function<bool()>& done, std::vector<Peer*> peers) {
    // Megabytes under a sanitizer on a busy machine take their time.
    const auto end = std::chrono::steady_clock::now() + 60s;
    while (!done()) {
      if (std::chrono::steady_clock::now() > end) return false;
      for (Peer* peer : peers) peer->step();
      loop->run_once(1ms);
    }
    return true;
  }
  void settle(std::vector<Peer*> peers, int turns = 30) {
    for (int i = 0; i < turns; ++i) {
      for (Peer* peer : peers) peer->step();
      loop->run_once(1ms);
    }
  }
  void join(Peer& peer, const ReservedStream& stream, const std::string& identity = "me",
            std::uint8_t fill = 7) {
    peer.connect(stream.local);
    peer.use_tls(tlspsk::Role::client, candidate(identity, fill));
    ASSERT_TRUE(step_until([&] { return peer.secured() && established(stream); }, {&peer}));
  }
  bool established(const ReservedStream& stream) {
    const auto found = status(stream);
    return found && found->state == StreamState::established;
  }

  std::vector<StreamEvent> all_events() {
    std::vector<StreamEvent> all;
    for (std::uint64_t i = 1; i <= events.last_sequence(); ++i)
      all.push_back(*events.at(i).value());
    return all;
  }
  template <class What>
  std::vector<What> events_of(const ReservedStream& stream) {
    std::vector<What> found;
    for (const auto& event : all_events()) {
      if (event.stream_id != stream.stream_id) continue;
      if (const auto* what = std::get_if<What>(&event.what)) found.push_back(*what);
    }
    return found;
  }

  static std::string send_text(const ReservedStream& stream, const std::string& from,
                               const std::string& transaction, const std::string& id,
                               const std::string& body, const std::string& extra = {},
                               std::string range = {}, char flag = '$') {
    if (range.empty()) {
      range = "1-" + std::to_string(body.size()) + "/" + std::to_string(body.size());
    }
    return "MSRP " + transaction + " SEND\r\nTo-Path: " + stream.msrp_path +
           "\r\nFrom-Path: " + from + "\r\nMessage-ID: " + id + "\r\nByte-Range: " + range +
           "\r\n" + extra + "Content-Type: text/plain\r\n\r\n" + body + "\r\n-------" +
           transaction + flag + "\r\n";
  }
  // A peer's 200 to the first SEND in `text`.
  static std::string ok_for(const std::string& text, const ReservedStream& stream,
                            const std::string& path) {
    const auto at = text.find("MSRP ");
    const std::string transaction = text.substr(at + 5, text.find(' ', at + 5) - at - 5);
    return "MSRP " + transaction + " 200 OK\r\nTo-Path: " + stream.msrp_path +
           "\r\nFrom-Path: " + path + "\r\n-------" + transaction + "$\r\n";
  }

  keystub::testing::FakeClock clock;
  std::unique_ptr<EventLoop> loop = EventLoop::create(clock).value();
  service::Log log{"test", service::LogLevel::off};
  EventLog events{"instance", 1000, clock};
  MediaSettings settings;
  std::unique_ptr<MediaPlane> plane;
};

class BothVersions : public MediaPlaneTest,
                     public ::testing::WithParamInterface<std::vector<std::string>> {};
INSTANTIATE_TEST_SUITE_P(MediaPlane, BothVersions, ::testing::Values(kTls12, kTls13),
                         [](const auto& instance) {
                           return instance.param == kTls12 ? "Tls12" : "Tls13";
                         });

TEST_P(BothVersions, MRFP_3_MRFP_8_ServesATlsClientAndEchoesItsMessage) {
  // MRFP-3, MRFP-8
  const auto stream = serve();
  EXPECT_EQ(status(stream)->state, StreamState::configured);
  Peer peer(GetParam());
  join(peer, stream);
  const auto established = events_of<tlspsk::SessionInfo>(stream);
  ASSERT_EQ(established.size(), 1u);
  EXPECT_EQ(established[0].cipher_suite, GetParam()[0]);
  EXPECT_EQ(established[0].psk_identity, "me");
  EXPECT_EQ(established[0].dialog_id, "dialog-me");
  EXPECT_EQ(status(stream)->session->psk_identity, "me");

  peer.send(send_text(stream, kPeerPath, "aaaa1111", "msg00001", "hello there"));
  ASSERT_TRUE(step_until(
      [&] { return peer.received.find("hello there\r\n-------") != std::string::npos; }, {&peer}));
  EXPECT_THAT(peer.received, HasSubstr("MSRP aaaa1111 200 OK\r\n"));
  EXPECT_THAT(peer.received, HasSubstr("To-Path: " + kPeerPath));
  EXPECT_THAT(peer.received, HasSubstr("From-Path: " + stream.msrp_path));
}

TEST_P(BothVersions, MRFP_1_MRFP_4_ConnectsOnRequestAndStartsTlsAsSoonAsTcpStands) {
  // MRFP-1, MRFP-4, MRFC-B2, MRFC-B5
  Peer peer(GetParam());
  const auto stream = reserve();
  ConfigureRequest request = server_request();
  request.tcp_role = TcpRole::client;
  request.tls_role = tlspsk::Role::client;
  request.remote = peer.listen();
  ASSERT_TRUE(configure(stream, std::move(request)));
  settle({&peer}, 5);
  EXPECT_FALSE(peer.connected()) << "nothing may happen before Start";

  ASSERT_TRUE(start(stream, true, true));
  EXPECT_EQ(status(stream)->state, StreamState::connecting);
  ASSERT_TRUE(step_until([&] { return peer.connected(); }, {&peer}));
  peer.use_tls(tlspsk::Role::server, candidate("me", 7));
  ASSERT_TRUE(step_until([&] { return established(stream); }, {&peer}));
  EXPECT_EQ(status(stream)->session->cipher_suite, GetParam()[0]);
  // RFC 4975 5.4: the active side sends first, if only an empty SEND.
  ASSERT_TRUE(
      step_until([&] { return peer.received.find("SEND\r\n") != std::string::npos; }, {&peer}));
  EXPECT_THAT(peer.received, HasSubstr("To-Path: " + kPeerPath));
  EXPECT_EQ(start(stream, true, false).error().category(), Category::conflict);
}

TEST_P(BothVersions, MRFP_5_APeerWithAnotherStreamsKeyIsRefusedAndTheRightOneStillGetsIn) {
  // MRFP-5: two streams, each with a key of its own; each key opens its own port only.
  const auto a = serve("", "stream-a", 1);
  const auto b = serve("", "stream-b", 2);
  for (const auto& [identity, fill] : {std::pair{"stream-b", 2}, std::pair{"stream-a", 9}}) {
    Peer thief(GetParam());
    thief.connect(a.local);
    thief.use_tls(tlspsk::Role::client, candidate(identity, static_cast<std::uint8_t>(fill)));
    ASSERT_TRUE(step_until([&] { return thief.tls_failed() && thief.ended(); }, {&thief}));
    EXPECT_FALSE(established(a));
  }
  const auto failures = events_of<TlsFailed>(a);
  ASSERT_EQ(failures.size(), 2u);
  EXPECT_FALSE(failures[0].final);
  EXPECT_THAT(failures[0].reason, HasSubstr("identity"));
  EXPECT_TRUE(events_of<TlsFailed>(b).empty());

  Peer right(GetParam());
  join(right, a, "stream-a", 1);
  EXPECT_EQ(events_of<tlspsk::SessionInfo>(a).size(), 1u);
}

TEST_P(BothVersions, MRFP_2_TcpGoesWhenThePeerEndsTls) {
  // MRFP-2
  const auto stream = serve();
  Peer peer(GetParam());
  join(peer, stream);
  peer.close_tls();
  ASSERT_TRUE(step_until([&] { return peer.ended(); }, {&peer}));
  EXPECT_FALSE(peer.was_reset());
  EXPECT_TRUE(peer.tls_closed()) << "the close_notify is answered";
  EXPECT_FALSE(status(stream).has_value());
  const auto released = events_of<Released>(stream);
  ASSERT_EQ(released.size(), 1u);
  EXPECT_EQ(released[0].reason, "the peer closed the session");
  EXPECT_EQ(the_plane().release(stream.context_id, stream.stream_id).error().category(),
            Category::not_found);
}

TEST_P(BothVersions, MRFP_2_TcpGoesWhenTheControllerReleases) {
  // MRFP-2
  const auto stream = serve();
  Peer peer(GetParam());
  join(peer, stream);
  ASSERT_TRUE(the_plane().release(stream.context_id, ""));
  ASSERT_TRUE(step_until([&] { return peer.ended(); }, {&peer}));
  EXPECT_TRUE(peer.tls_closed());
  EXPECT_FALSE(peer.was_reset());
  EXPECT_EQ(events_of<Released>(stream)[0].reason, "released by the controller");
  EXPECT_TRUE(the_plane().list().empty());
  peer.close_socket();
  EXPECT_TRUE(step_until([&] { return loop->kept() == 0; }, {}));
}

TEST_F(MediaPlaneTest, MRFP_8_TwoLegsHandMessagesOnAsTheirOwn) {
  // MRFP-8
  const auto a = serve("", "leg-a", 1, kPeerPath);
  const auto b = serve(a.context_id, "leg-b", 2, kOtherPath);
  Peer alice;
  Peer bob;
  join(alice, a, "leg-a", 1);
  join(bob, b, "leg-b", 2);
  alice.send(send_text(a, kPeerPath, "tranalice", "msgalice1", "hi bob",
                       "Success-Report: yes\r\nSubject-Line: kept\r\n"));
  ASSERT_TRUE(
      step_until([&] { return bob.received.find("hi bob") != std::string::npos; }, {&alice, &bob}));
  settle({&alice, &bob});
  EXPECT_THAT(alice.received, HasSubstr("MSRP tranalice 200 OK\r\n"));
  EXPECT_THAT(bob.received, ::testing::Not(HasSubstr("tranalice")));
  EXPECT_THAT(bob.received, HasSubstr("To-Path: " + kOtherPath + "\r\nFrom-Path: " + b.msrp_path));
  EXPECT_THAT(bob.received, HasSubstr("Message-ID: msgalice1\r\n"));
  EXPECT_THAT(bob.received, HasSubstr("Byte-Range: 1-6/6\r\n"));
  EXPECT_THAT(bob.received, HasSubstr("Success-Report: yes\r\n"));
  EXPECT_THAT(bob.received, HasSubstr("Subject-Line: kept\r\n"));

  // Bob's success report travels back as one to Alice.
  alice.received.clear();
  bob.send(ok_for(bob.received, b, kOtherPath));
  bob.send("MSRP repo1234 REPORT\r\nTo-Path: " + b.msrp_path + "\r\nFrom-Path: " + kOtherPath +
           "\r\nMessage-ID: msgalice1\r\nByte-Range: 1-6/6\r\nStatus: 000 200 OK\r\n"
           "-------repo1234$\r\n");
  ASSERT_TRUE(step_until([&] { return alice.received.find("REPORT") != std::string::npos; },
                         {&alice, &bob}));
  settle({&alice, &bob});
  EXPECT_THAT(alice.received, HasSubstr("To-Path: " + kPeerPath + "\r\nFrom-Path: " + a.msrp_path));
  EXPECT_THAT(alice.received, HasSubstr("Message-ID: msgalice1\r\n"));
  EXPECT_THAT(alice.received, HasSubstr("Status: 000 200"));
  EXPECT_THAT(alice.received, HasSubstr("Byte-Range: 1-6/6"));
}

TEST_F(MediaPlaneTest, AFailureOfTheFarSideIsReportedToTheSender) {
  const auto a = serve("", "leg-a", 1, kPeerPath);
  const auto b = serve(a.context_id, "leg-b", 2, kOtherPath);
  Peer alice;
  Peer bob;
  join(alice, a, "leg-a", 1);
  join(bob, b, "leg-b", 2);
  alice.send(send_text(a, kPeerPath, "tranalice", "msgalice1", "hi bob"));
  ASSERT_TRUE(
      step_until([&] { return bob.received.find("hi bob") != std::string::npos; }, {&alice, &bob}));
  std::string refusal = ok_for(bob.received, b, kOtherPath);
  refusal.replace(refusal.find("200 OK"), 6, "415 No");
  bob.send(refusal);
  ASSERT_TRUE(step_until([&] { return alice.received.find("REPORT") != std::string::npos; },
                         {&alice, &bob}));
  settle({&alice, &bob});
  EXPECT_THAT(alice.received, HasSubstr("Status: 000 415"));
  EXPECT_THAT(alice.received, HasSubstr("Message-ID: msgalice1"));
}

TEST_F(MediaPlaneTest, WhatTheFarSideHadNotTakenIsReportedWhenItLeaves) {
  const auto a = serve("", "leg-a", 1, kPeerPath);
  const auto b = serve(a.context_id, "leg-b", 2, kOtherPath);
  Peer alice;
  Peer bob;
  join(alice, a, "leg-a", 1);
  join(bob, b, "leg-b", 2);
  alice.send(send_text(a, kPeerPath, "tranalice", "msgalice1", "hi bob"));
  ASSERT_TRUE(
      step_until([&] { return bob.received.find("hi bob") != std::string::npos; }, {&alice, &bob}));
  ASSERT_TRUE(the_plane().release(b.context_id, b.stream_id));
  ASSERT_TRUE(
      step_until([&] { return alice.received.find("REPORT") != std::string::npos; }, {&alice}));
  settle({&alice});
  EXPECT_THAT(alice.received, HasSubstr("Status: 000 481"));
  // Alone again: the next message comes back.
  alice.received.clear();
  alice.send(send_text(a, kPeerPath, "tranaaaa2", "msgalice2", "anybody?"));
  EXPECT_TRUE(step_until(
      [&] { return alice.received.find("anybody?\r\n-------") != std::string::npos; }, {&alice}));
}

TEST_F(MediaPlaneTest, AMessageWaitsForALegThatIsConfiguredAndNotYetThere) {
  const auto a = serve("", "leg-a", 1, kPeerPath);
  const auto b = serve(a.context_id, "leg-b", 2, kOtherPath);
  Peer alice;
  join(alice, a, "leg-a", 1);
  alice.send(send_text(a, kPeerPath, "tranalice", "msgalice1", "early"));
  settle({&alice});
  EXPECT_THAT(alice.received, HasSubstr("MSRP tranalice 200"));
  Peer bob;
  join(bob, b, "leg-b", 2);
  EXPECT_TRUE(
      step_until([&] { return bob.received.find("early") != std::string::npos; }, {&alice, &bob}));
}

TEST_F(MediaPlaneTest, AMessageToALegThatIsNotConfiguredIsAnsweredWithAnError) {
  const auto a = serve("", "leg-a", 1, kPeerPath);
  reserve(a.context_id);
  Peer alice;
  join(alice, a, "leg-a", 1);
  alice.send(send_text(a, kPeerPath, "tranalice", "msgalice1", "early"));
  EXPECT_TRUE(step_until(
      [&] { return alice.received.find("MSRP tranalice 408") != std::string::npos; }, {&alice}));
}

TEST_F(MediaPlaneTest, ChunksOfOneMessageArriveAsOneMessage) {
  const auto a = serve("", "leg-a", 1, kPeerPath);
  const auto b = serve(a.context_id, "leg-b", 2, kOtherPath);
  Peer alice;
  Peer bob;
  join(alice, a, "leg-a", 1);
  join(bob, b, "leg-b", 2);
  alice.send(send_text(a, kPeerPath, "tranone1", "msgalice1", "abc", "", "1-3/6", '+'));
  alice.send(send_text(a, kPeerPath, "trantwo2", "msgalice1", "def", "", "4-6/6", '$'));
  ASSERT_TRUE(step_until(
      [&] {
        return bob.received.find("def\r\n-------") != std::string::npos &&
               alice.received.find("MSRP trantwo2 200") != std::string::npos;
      },
      {&alice, &bob}));
  // A chunk that does not go on where the last one ended would need a store.
  alice.send(send_text(a, kPeerPath, "tranthr3", "msgalice2", "xyz", "", "4-6/6", '$'));
  EXPECT_TRUE(
      step_until([&] { return alice.received.find("MSRP tranthr3 400") != std::string::npos; },
                 {&alice, &bob}));
}

TEST_F(MediaPlaneTest, ASlowLegHoldsItsSenderBackAndNothingIsLost) {
  settings.queue_octets = 64 * 1024;
  const auto a = serve("", "leg-a", 1, kPeerPath);
  const auto b = serve(a.context_id, "leg-b", 2, kOtherPath);
  Peer alice;
  Peer bob;
  join(alice, a, "leg-a", 1);
  join(bob, b, "leg-b", 2);
  bob.reading = false;
  // More than all socket buffers and queues between the two can hold.
  const std::string body(24 << 20, '%');
  const std::string range = "1-*/" + std::to_string(body.size());
  alice.send(
      send_text(a, kPeerPath, "tranbig1", "msgalice1", body, "Failure-Report: no\r\n", range));
  std::size_t before = alice.unsent();
  for (int quiet = 0; quiet < 10;) {
    settle({&alice, &bob}, 5);
    quiet = alice.unsent() == before ? quiet + 1 : 0;
    before = alice.unsent();
  }
  EXPECT_GT(alice.unsent(), body.size() / 4) << "the sender was not held back";
  bob.reading = true;
  ASSERT_TRUE(step_until([&] { return bob.received.ends_with("$\r\n"); }, {&alice, &bob}));
  EXPECT_EQ(static_cast<std::size_t>(std::ranges::count(bob.received, '%')), body.size());
}

TEST_F(MediaPlaneTest, AClientHelloWaitsForItsKey) {
  const auto stream = reserve();
  ConfigureRequest request;
  request.msrp_remote_path = kPeerPath;
  ASSERT_TRUE(configure(stream, std::move(request)));
  Peer peer;
  peer.connect(stream.local);
  peer.use_tls(tlspsk::Role::client, candidate("me", 7));
  settle({&peer});
  EXPECT_FALSE(peer.secured());
  EXPECT_FALSE(peer.ended());
  ASSERT_TRUE(modify(stream, keys(candidate("me", 7, "late"))));
  ASSERT_TRUE(step_until([&] { return established(stream); }, {&peer}));
  EXPECT_EQ(status(stream)->session->dialog_id, "late");
}

TEST_F(MediaPlaneTest, AClientHelloWaitsEvenForTheConfiguration) {
  const auto stream = reserve();
  Peer peer;
  peer.connect(stream.local);
  peer.use_tls(tlspsk::Role::client, candidate("me", 7));
  settle({&peer});
  EXPECT_EQ(status(stream)->state, StreamState::reserved);
  ASSERT_TRUE(configure(stream, server_request()));
  EXPECT_TRUE(step_until([&] { return established(stream); }, {&peer}));
}

TEST_F(MediaPlaneTest, TheWaitForAKeyIsBounded) {
  const auto stream = reserve();
  ASSERT_TRUE(configure(stream, {}));
  Peer peer;
  peer.connect(stream.local);
  peer.use_tls(tlspsk::Role::client, candidate("me", 7));
  settle({&peer});
  clock.advance(settings.channel.handshake);
  ASSERT_TRUE(step_until([&] { return peer.ended(); }, {&peer}));
  const auto failures = events_of<TlsFailed>(stream);
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_THAT(failures[0].reason, HasSubstr("no key came"));
  EXPECT_FALSE(failures[0].final);
  EXPECT_TRUE(status(stream).has_value());
}

TEST_F(MediaPlaneTest, MRFP_5_ForkedDialogsHaveKeysOfTheirOwnAndTheFinalAnswerPicksOne) {
  // MRFP-5: both forks connect; the one whose key Modify leaves gets the stream.
  const auto stream = reserve();
  ConfigureRequest request;
  request.keys = keys(candidate("fork-a", 1, "dialog-a"), candidate("fork-b", 2, "dialog-b"));
  request.msrp_remote_path = kPeerPath;
  ASSERT_TRUE(configure(stream, std::move(request)));
  Peer a;
  Peer b;
  join(a, stream, "fork-a", 1);
  b.connect(stream.local);
  b.use_tls(tlspsk::Role::client, candidate("fork-b", 2));
  ASSERT_TRUE(step_until([&] { return b.secured(); }, {&a, &b}));
  EXPECT_EQ(status(stream)->session->dialog_id, "dialog-a");
  // Ringing may take long: who proved a key may wait.
  clock.advance(2 * settings.channel.handshake);
  settle({&a, &b});
  EXPECT_FALSE(a.ended() || b.ended());

  ASSERT_TRUE(modify(stream, keys(candidate("fork-b", 2, "dialog-b")), kOtherPath));
  ASSERT_TRUE(step_until([&] { return a.ended(); }, {&a, &b}));
  EXPECT_TRUE(a.tls_closed());
  ASSERT_TRUE(established(stream));
  EXPECT_EQ(status(stream)->session->dialog_id, "dialog-b");
  const auto sessions = events_of<tlspsk::SessionInfo>(stream);
  ASSERT_EQ(sessions.size(), 2u);
  EXPECT_EQ(sessions[1].dialog_id, "dialog-b");
  ASSERT_EQ(events_of<TlsFailed>(stream).size(), 1u);
  EXPECT_FALSE(events_of<TlsFailed>(stream)[0].final);

  b.send(send_text(stream, kOtherPath, "tranbbbb", "msgbbbb1", "from b"));
  EXPECT_TRUE(step_until([&] { return b.received.find("from b") != std::string::npos; }, {&b}));
  // The port is closed: fork a cannot come back.
  Peer again;
  again.connect(stream.local);
  again.use_tls(tlspsk::Role::client, candidate("fork-a", 1));
  EXPECT_TRUE(step_until([&] { return again.ended(); }, {&again, &b}));
}

TEST_F(MediaPlaneTest, AWithdrawnKeyWithNobodyElseLeftEndsTheStream) {
  const auto stream = serve();
  Peer peer;
  join(peer, stream);
  ASSERT_TRUE(modify(stream, keys(candidate("another", 3))));
  ASSERT_TRUE(step_until([&] { return peer.ended(); }, {&peer}));
  EXPECT_TRUE(events_of<TlsFailed>(stream).at(0).final);
  EXPECT_FALSE(status(stream).has_value());
}

TEST_F(MediaPlaneTest, WhoOnlyOccupiesConnectionsDoesNotKeepTheRightPeerOut) {
  settings.max_pending_connections = 3;
  const auto stream = serve();
  std::vector<std::unique_ptr<Peer>> squatters;
  for (int i = 0; i < 6; ++i) {
    squatters.push_back(std::make_unique<Peer>());
    squatters.back()->connect(stream.local);
    settle({}, 3);
  }
  Peer peer;
  join(peer, stream);
  for (const auto& squatter : squatters) {
    EXPECT_TRUE(step_until([&] { return squatter->ended(); }, {squatter.get(), &peer}));
  }
  EXPECT_TRUE(established(stream));
}

TEST_F(MediaPlaneTest, StrangersDoNotFillTheHistory) {
  const auto stream = serve();
  for (int i = 0; i < 40; ++i) {
    Peer stranger;
    stranger.connect(stream.local);
    stranger.send("GET / HTTP/1.1\r\n\r\n");
    ASSERT_TRUE(step_until([&] { return stranger.ended(); }, {&stranger}));
  }
  EXPECT_LE(events.last_sequence(), 16u);
  EXPECT_TRUE(status(stream).has_value());
}

TEST_F(MediaPlaneTest, MRFP_1_AFailedConnectionIsToldAndEndsTheStream) {
  // MRFP-1
  Peer nobody;
  const SocketAddress closed = nobody.listen();
  nobody.close_socket();
  const auto stream = reserve();
  ConfigureRequest request = server_request();
  request.tcp_role = TcpRole::client;
  request.tls_role = tlspsk::Role::client;
  request.remote = closed;
  ASSERT_TRUE(configure(stream, std::move(request)));
  ASSERT_TRUE(start(stream, true, true));
  ASSERT_TRUE(step_until([&] { return !status(stream).has_value(); }, {}));
  const auto failures = events_of<TcpFailed>(stream);
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_TRUE(failures[0].final);
  EXPECT_THAT(failures[0].reason, HasSubstr("Connection refused"));
  EXPECT_EQ(events_of<Released>(stream).size(), 1u);
}

TEST_F(MediaPlaneTest, ATlsServerWithAnotherKeyFailsTheClientStream) {
  Peer peer;
  const auto stream = reserve();
  ConfigureRequest request = server_request();
  request.tcp_role = TcpRole::client;
  request.tls_role = tlspsk::Role::client;
  request.remote = peer.listen();
  ASSERT_TRUE(configure(stream, std::move(request)));
  ASSERT_TRUE(start(stream, true, true));
  ASSERT_TRUE(step_until([&] { return peer.connected(); }, {&peer}));
  peer.use_tls(tlspsk::Role::server, candidate("me", 8));
  ASSERT_TRUE(step_until([&] { return !status(stream).has_value(); }, {&peer}));
  EXPECT_TRUE(events_of<TlsFailed>(stream).at(0).final);
}

TEST_F(MediaPlaneTest, MRFC_B5_TlsMayBeAskedForAfterTcpStands) {
  // MRFC-B5, MRFP-4
  Peer peer;
  const auto stream = reserve();
  ConfigureRequest request = server_request();
  request.tcp_role = TcpRole::client;
  request.tls_role = tlspsk::Role::client;
  request.remote = peer.listen();
  ASSERT_TRUE(configure(stream, std::move(request)));
  ASSERT_TRUE(start(stream, true, false));
  ASSERT_TRUE(step_until([&] { return peer.connected(); }, {&peer}));
  settle({&peer});
  EXPECT_TRUE(peer.received.empty());
  EXPECT_EQ(status(stream)->state, StreamState::connecting);
  peer.use_tls(tlspsk::Role::server, candidate("me", 7));
  ASSERT_TRUE(start(stream, false, true));
  EXPECT_TRUE(step_until([&] { return established(stream); }, {&peer}));
}

TEST_F(MediaPlaneTest, TcpAndTlsRolesAreIndependent) {
  // As BFCP needs it (MRFC-B4): TCP client and TLS server, and the other way round.
  Peer server;
  const auto first = reserve();
  ConfigureRequest request = server_request();
  request.tcp_role = TcpRole::client;
  request.tls_role = tlspsk::Role::server;
  request.remote = server.listen();
  ASSERT_TRUE(configure(first, std::move(request)));
  EXPECT_EQ(start(first, true, true).error().category(), Category::conflict);
  ASSERT_TRUE(start(first, true, false));
  ASSERT_TRUE(step_until([&] { return server.connected(); }, {&server}));
  server.use_tls(tlspsk::Role::client, candidate("me", 7));
  EXPECT_TRUE(step_until([&] { return established(first); }, {&server}));

  const auto second = reserve();
  request = server_request();
  request.tls_role = tlspsk::Role::client;
  ASSERT_TRUE(configure(second, std::move(request)));
  ASSERT_TRUE(start(second, false, true));
  Peer client;
  client.connect(second.local);
  client.use_tls(tlspsk::Role::server, candidate("me", 7));
  EXPECT_TRUE(step_until([&] { return established(second); }, {&client}));
}

TEST_F(MediaPlaneTest, AStreamThatIsNeverEstablishedIsReleased) {
  const auto stream = serve();
  clock.advance(settings.setup_timeout);
  loop->run_once(0ms);
  EXPECT_FALSE(status(stream).has_value());
  EXPECT_THAT(events_of<Released>(stream).at(0).reason, HasSubstr("not established within"));
}

TEST_F(MediaPlaneTest, AnIdleStreamIsReleasedAndABusyOneIsNot) {
  settings.idle_timeout = 60s;
  const auto stream = serve();
  Peer peer;
  join(peer, stream);
  clock.advance(40s);
  peer.send(send_text(stream, kPeerPath, "aaaa1111", "msg00001", "still here"));
  ASSERT_TRUE(
      step_until([&] { return peer.received.find("aaaa1111") != std::string::npos; }, {&peer}));
  settle({&peer});
  clock.advance(40s);
  settle({&peer});
  EXPECT_TRUE(established(stream));
  clock.advance(61s);
  ASSERT_TRUE(step_until([&] { return peer.ended(); }, {&peer}));
  EXPECT_THAT(events_of<Released>(stream).at(0).reason, HasSubstr("idle"));
}

TEST_F(MediaPlaneTest, GarbageInsideTlsEndsTheStreamWithItsReason) {
  const auto stream = serve();
  Peer peer;
  join(peer, stream);
  peer.send("this is not MSRP\r\n");
  ASSERT_TRUE(step_until([&] { return peer.ended(); }, {&peer}));
  EXPECT_THAT(events_of<Released>(stream).at(0).reason, HasSubstr("MSRP"));
}

TEST_F(MediaPlaneTest, AResetIsReleasedWithItsReason) {
  const auto stream = serve();
  {
    Peer peer;
    join(peer, stream);
  }
  ASSERT_TRUE(step_until([&] { return !status(stream).has_value(); }, {}));
  EXPECT_EQ(events_of<Released>(stream).size(), 1u);
}

TEST_F(MediaPlaneTest, RequestsThatCannotBeAreRefusedWithTheRightCategory) {
  const auto stream = reserve();
  auto& media = the_plane();
  EXPECT_EQ(media.reserve({"no-such-context", "", ""}).error().category(), Category::not_found);
  EXPECT_EQ(media.reserve({"", "localhost", ""}).error().category(), Category::malformed);
  EXPECT_EQ(media.reserve({"", "0.0.0.0", ""}).error().category(), Category::malformed);
  EXPECT_EQ(media.reserve({"", "203.0.113.77", ""}).error().category(), Category::unavailable);
  EXPECT_EQ(media.start(stream.context_id, "nobody", true, true).error().category(),
            Category::not_found);
  EXPECT_EQ(media.release("nothing", "").error().category(), Category::not_found);
  EXPECT_EQ(start(stream, true, true).error().category(), Category::conflict);
  EXPECT_EQ(modify(stream, keys(candidate("me", 7))).error().category(), Category::conflict);

  ConfigureRequest request = server_request();
  request.cipher_suites = {"PSK-AES128-CBC-SHA"};
  EXPECT_THAT(configure(stream, std::move(request)).error().text(),
              HasSubstr("PSK-AES128-CBC-SHA"));
  request = server_request();
  request.tcp_role = TcpRole::client;
  EXPECT_EQ(configure(stream, std::move(request)).error().category(), Category::malformed);
  request = server_request();
  request.tcp_role = TcpRole::client;
  request.remote = SocketAddress{"::1", 2855};
  EXPECT_EQ(configure(stream, std::move(request)).error().category(), Category::malformed);
  request = server_request();
  request.keys = keys(candidate("me", 1), candidate("me", 2));
  EXPECT_EQ(configure(stream, std::move(request)).error().category(), Category::malformed);
  request = server_request();
  request.msrp_local_path = "msrps://127.0.0.1:1/other;tcp";
  EXPECT_EQ(configure(stream, std::move(request)).error().category(), Category::malformed);
  request = server_request();
  request.msrp_remote_path = "http://example.com";
  EXPECT_EQ(configure(stream, std::move(request)).error().category(), Category::malformed);

  // After all that the stream is as it was.
  EXPECT_EQ(status(stream)->state, StreamState::reserved);
  request = server_request();
  request.msrp_local_path = stream.msrp_path;
  request.cipher_suites = {"PSK-AES128-GCM-SHA256"};
  ASSERT_TRUE(configure(stream, std::move(request)));
  EXPECT_EQ(start(stream, true, false).error().category(), Category::conflict);
  EXPECT_EQ(start(stream, false, true).error().category(), Category::conflict);
  Peer peer;
  join(peer, stream);
  EXPECT_EQ(status(stream)->session->cipher_suite, "PSK-AES128-GCM-SHA256");
  EXPECT_EQ(configure(stream, server_request()).error().category(), Category::conflict);
}

TEST_F(MediaPlaneTest, ATlsClientNeedsExactlyOneKey) {
  Peer peer;
  const auto stream = reserve();
  ConfigureRequest request;
  request.tcp_role = TcpRole::client;
  request.tls_role = tlspsk::Role::client;
  request.remote = peer.listen();
  ASSERT_TRUE(configure(stream, std::move(request)));
  EXPECT_THAT(start(stream, true, true).error().text(), HasSubstr("exactly one key"));
  ASSERT_TRUE(modify(stream, keys(candidate("a", 1), candidate("b", 2))));
  EXPECT_FALSE(start(stream, true, true).has_value());
  ASSERT_TRUE(modify(stream, keys(candidate("b", 2))));
  EXPECT_TRUE(start(stream, true, true).has_value());
}

TEST_F(MediaPlaneTest, LimitsOfLegsAndStreamsHold) {
  settings.max_streams = 3;
  const auto a = reserve();
  reserve(a.context_id);
  EXPECT_EQ(the_plane().reserve({a.context_id, "", ""}).error().category(), Category::conflict);
  reserve();
  EXPECT_EQ(the_plane().reserve({"", "", ""}).error().category(), Category::busy);
  ASSERT_TRUE(the_plane().release(a.context_id, ""));
  EXPECT_TRUE(the_plane().reserve({"", "", ""}).has_value());
}

TEST_F(MediaPlaneTest, PortsComeFromTheConfiguredRange) {
  // Two ports that are free right now.
  Peer probe;
  const std::uint16_t port = probe.listen().port;
  probe.close_socket();
  settings.first_port = port;
  settings.last_port = port;
  const auto stream = reserve();
  EXPECT_EQ(stream.local.port, port);
  EXPECT_EQ(the_plane().reserve({"", "", ""}).error().category(), Category::busy);
  ASSERT_TRUE(the_plane().release(stream.context_id, ""));
  loop->run_once(0ms);
  EXPECT_TRUE(the_plane().reserve({"", "", ""}).has_value());
}

TEST_F(MediaPlaneTest, EventsNameInstanceContextStreamAndTrace) {
  const auto stream = serve();
  Peer peer;
  join(peer, stream);
  const auto all = all_events();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].sequence, 1u);
  EXPECT_EQ(all[0].context_id, stream.context_id);
  EXPECT_EQ(all[0].stream_id, stream.stream_id);
  EXPECT_EQ(all[0].trace_id, "trace-1");
}

TEST_F(MediaPlaneTest, Ipv6Works) {
  const auto stream = the_plane().reserve({"", "::1", ""});
  if (!stream) GTEST_SKIP() << "no IPv6 loopback here: " << stream.error().text();
  EXPECT_THAT(stream->msrp_path, HasSubstr("msrps://[::1]:"));
  ASSERT_TRUE(configure(*stream, server_request()));
  Peer peer;
  join(peer, *stream);
}

TEST_F(MediaPlaneTest, ThePlaneCanGoAwayWithEverythingOpen) {
  const auto a = serve("", "leg-a", 1, kPeerPath);
  const auto b = serve(a.context_id, "leg-b", 2, kOtherPath);
  Peer alice;
  Peer stranger;
  join(alice, a, "leg-a", 1);
  stranger.connect(b.local);
  settle({&stranger});
  plane.reset();
  ASSERT_TRUE(step_until([&] { return alice.ended() && stranger.ended(); }, {&alice, &stranger}));
  EXPECT_TRUE(alice.tls_closed());
  EXPECT_EQ(events_of<Released>(a).at(0).reason, "the MRFP stops");
}

}  // namespace
}  // namespace keystub::mrfp
