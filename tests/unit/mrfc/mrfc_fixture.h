// An MRFC with a fake MRFP and a KMS in the same process, and users on the other side of it: they
// are made of lib/mikey and write their SDP by hand, so that our own writer is not its own judge.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <string>

#include "base/base64.h"
#include "mikey/key_mgmt_attribute.h"
#include "mikey/transfer_exchange.h"
#include "mrfc-agent/session_controller.h"
#include "tests/support/fake_clock.h"
#include "tests/support/lab_kms.h"
#include "tests/unit/mrfc/fake_media_gateway.h"

namespace keystub::mrfc::testing {

using keystub::testing::FakeClock;
using keystub::testing::LabKms;

inline const std::string kMrfc = "sip:mrfc@example.com";
inline const std::string kConference = "sip:chat-1@conf.example.com";
inline const std::string kAlice = "sip:alice@example.com";
inline const std::string kBob = "sip:bob@example.com";
inline const std::string kMallory = "sip:mallory@example.org";

// Octets that look random and are the same in each run (splitmix64).
class MixedRandom final : public RandomSource {
 public:
  Result<void> fill(MutableBytes out) override {
    if (failing) return keystub::fail(Category::internal, "no randomness");
    if (out.size() == 4 && !four_octets.empty()) {
      std::ranges::copy(four_octets.front(), out.begin());
      four_octets.pop_front();
      return {};
    }
    for (std::uint8_t& octet : out) {
      std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
      z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
      octet = static_cast<std::uint8_t>(z ^ (z >> 31));
    }
    return {};
  }
  bool failing = false;
  // What the next draws of four octets (SPIs and CSB IDs) are.
  std::deque<std::array<std::uint8_t, 4>> four_octets;

 private:
  std::uint64_t state_ = 1;
};

class LabKeyService final : public KeyService {
 public:
  explicit LabKeyService(LabKms& kms) : kms_(kms) {}
  Result<mikey::GrantedTicket> request_ticket(const std::string& self,
                                              const mikey::TicketPolicy& wish,
                                              const std::string&) override {
    requested_as = self;
    return kms_.request_ticket(self, wish);
  }
  Result<mikey::ResolvedTicket> resolve_ticket(const std::string& self,
                                               const mikey::TicketView& ticket,
                                               const std::string&) override {
    return kms_.resolve_ticket(self, ticket);
  }
  std::string requested_as;

 private:
  LabKms& kms_;
};

// --- SDP by hand ------------------------------------------------------------------------------

// The values of all a=name lines, in order.
inline std::vector<std::string> attributes(const std::string& sdp, const std::string& name) {
  std::vector<std::string> found;
  const std::string start = "\na=" + name + ":";
  for (std::size_t at = sdp.find(start); at != std::string::npos; at = sdp.find(start, at + 1)) {
    const std::size_t from = at + start.size();
    found.push_back(sdp.substr(from, sdp.find_first_of("\r\n", from) - from));
  }
  return found;
}
inline std::string attribute(const std::string& sdp, const std::string& name) {
  const auto all = attributes(sdp, name);
  return all.empty() ? std::string() : all.front();
}
// The MIKEY message of the n-th a=key-mgmt line.
inline ByteVector mikey_of(const std::string& sdp, std::size_t n = 0) {
  return base64_decode(attributes(sdp, "key-mgmt").at(n).substr(6)).value();
}

inline std::string sdp_head() {
  return "v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n";
}
struct MsrpMedia {
  std::string setup = "active";
  std::string key_mgmt = {};  // the attribute's value; empty: no such line
  std::string transport = "TCP/TLS/MSRP";
  int port = 7654;
  std::string more = {};  // further lines
};
inline std::string msrp_media(const MsrpMedia& media) {
  std::string out = "m=message " + std::to_string(media.port) + " " + media.transport + " *\r\n" +
                    "a=accept-types:text/plain\r\n" + "a=path:msrps://198.51.100.7:7654/ue;tcp\r\n";
  if (!media.setup.empty()) out += "a=setup:" + media.setup + "\r\n";
  if (!media.key_mgmt.empty()) out += "a=key-mgmt:" + media.key_mgmt + "\r\n";
  return out + media.more;
}

// --- The other side ---------------------------------------------------------------------------

// What a user's answer is made of, and the key that it expects to use.
struct UserAnswer {
  ByteVector transfer_resp;
  Psk psk;
  std::string key_mgmt() const { return mikey::format_key_mgmt(transfer_resp); }
  std::string sdp(const std::string& setup = "active") const {
    return sdp_head() + msrp_media({.setup = setup, .key_mgmt = key_mgmt()});
  }
};

// A user's offer, kept to judge our answer.
struct UserOffer {
  std::shared_ptr<mikey::TransferOffer> transfer;
  std::string key_mgmt() const { return mikey::format_key_mgmt(transfer->message()); }
  std::string sdp(const std::string& setup = "actpass") const {
    return sdp_head() + msrp_media({.setup = setup, .key_mgmt = key_mgmt()});
  }
};

class MrfcTest : public ::testing::Test {
 protected:
  MrfcTest() {
    for (const std::string& uri : {kMrfc, kConference, kAlice, kBob, kMallory}) kms.add(uri);
    policy.identity = kMrfc;
    policy.conferences = {kConference};
    policy.kms = kms.uri();
    policy.cipher_suites = {"TLS_AES_128_GCM_SHA256", "PSK-AES128-GCM-SHA256"};
    policy.accept_types = {"message/cpim", "text/plain"};
    replay = replay::ReplayWindow::in_memory(clock).value();
    make_controller();
  }

  // Again, after a change of `replay` or `self_issue`.
  void make_controller() {
    controller = std::make_unique<SessionController>(
        Collaborators{env, policy, keys, media, *replay, sessions, releases, self_issue.get()});
  }

  OfferRequest offer_to(const std::string& peer) {
    OfferRequest request;
    request.parties.claimed_peer = peer;
    request.media.resize(1);
    return request;
  }
  CreatedOffer create_offer(const std::string& peer = kAlice) {
    auto created = controller->create_offer(offer_to(peer));
    EXPECT_TRUE(created.has_value()) << created.error().describe();
    return std::move(*created);
  }
  AnswerRequest answer_with(const std::string& sdp, const std::string& dialog = "d1",
                            bool final = true) {
    AnswerRequest answer;
    answer.sdp = sdp;
    answer.dialog_id = dialog;
    answer.final = final;
    return answer;
  }
  IncomingOffer incoming(const std::string& sdp, const std::string& from = kAlice) {
    IncomingOffer offer;
    offer.sdp = sdp;
    offer.parties.claimed_peer = from;
    return offer;
  }

  // `user` has the ticket in the n-th m-line of our offer resolved, and answers.
  UserAnswer user_answers(const std::string& offer_sdp, const std::string& user,
                          std::size_t n = 0) {
    const ByteVector transfer_init = mikey_of(offer_sdp, n);
    auto received = mikey::ReceivedTransfer::parse(transfer_init).value();
    auto resolved = kms.resolve_ticket(user, received.ticket());
    EXPECT_TRUE(resolved.has_value()) << resolved.error().describe();
    const auto verified = received.verify(std::move(*resolved), mikey::Identity::uri(user)).value();
    auto answer =
        verified
            .respond(env, {.responder = mikey::Identity::uri(user), .sessions = {}, .policies = {}})
            .value();
    return {std::move(answer.message), answer.established.sessions.at(0).tek.retag<PskTag>()};
  }

  mikey::TicketPolicy user_wish(const std::string& from, const std::string& to) {
    mikey::TicketPolicy wish;
    wish.flags = mikey::kMode1Flags;
    wish.idr_i = mikey::Identity::uri(from);
    wish.idr_kms = kms.uri();
    wish.trs = mikey::Timestamp::from(clock.now() - std::chrono::minutes{5});
    wish.tre = mikey::Timestamp::from(clock.now() + std::chrono::hours{1});
    wish.idr_r = {mikey::Identity::uri(to)};
    mikey::KeyWish key;
    key.spi = {1, 2, 3, 4};
    wish.keys = {key};
    return wish;
  }
  UserOffer user_offers_with(mikey::GrantedTicket ticket, const std::string& from,
                             const std::string& to, const std::string& sdp_ids = "mikey") {
    const auto shared = std::make_shared<const mikey::GrantedTicket>(std::move(ticket));
    mikey::OfferParameters parameters;
    parameters.initiator = mikey::Identity::uri(from);
    parameters.responder = mikey::Identity::uri(to);
    parameters.sessions = mikey::tls_session(shared->session_keys);
    parameters.sdp_ids = sdp_ids;
    return {std::make_shared<mikey::TransferOffer>(
        mikey::TransferOffer::start(env, shared, std::move(parameters)).value())};
  }
  UserOffer user_offers(const std::string& from = kAlice, const std::string& to = kMrfc) {
    return user_offers_with(kms.request_ticket(from, user_wish(from, to)).value(), from, to);
  }

  // Nothing is reserved, no session is left, and no key ever went to the MRFP.
  void expect_nothing_happened() {
    EXPECT_TRUE(media.streams.empty());
    EXPECT_TRUE(media.keys_sent.empty());
    EXPECT_TRUE(controller->list().empty());
  }

  FakeClock clock;
  MixedRandom random;
  const mikey::Environment env{clock, random};
  LabKms kms{clock, random};
  LabKeyService keys{kms};
  SessionPolicy policy;
  FakeMediaGateway media;
  EventHistory events{"run-1", clock};
  SessionStore sessions{events, 100};
  StreamReleases releases{media};
  std::unique_ptr<mikey::TicketProtection> self_issue;
  std::unique_ptr<replay::ReplayWindow> replay;
  std::unique_ptr<SessionController> controller;
};

// The states that events reported, in order.
inline std::vector<MediaState> states(const EventHistory& events) {
  std::vector<MediaState> out;
  for (std::uint64_t i = 1; i < events.next_sequence(); ++i) out.push_back((*events.at(i))->state);
  return out;
}

}  // namespace keystub::mrfc::testing
