// FakeKms: a KMS in the same process, with the real KMS side of lib/mikey and without transport,
// store and policy. For tests of what stands on tickets.
#pragma once

#include <map>
#include <string>

#include "mikey/request_exchange.h"
#include "mikey/resolve_exchange.h"
#include "ue-agent/ticket_service.h"

namespace keystub::testing {

inline constexpr std::string_view kKmsIdentity = "kms@example.com";
inline constexpr std::string_view kAlice = "sip:alice@example.com";
inline constexpr std::string_view kBob = "sip:bob@example.com";

// Serves one user at a time: make one of each user's view with as_seen_by().
class FakeKms {
 public:
  explicit FakeKms(const mikey::Environment& env) : env_(env) {}

  // The ticket protection key that the KMS holds (mode 1) or shares (mode 3).
  mikey::TicketProtection protection() const { return {mikey::Tpk(tpk_), "tpk-1", "thdr"}; }

  class View final : public ue::TicketSource, public ue::TicketResolver {
   public:
    View(const FakeKms& kms, std::string user)
        : kms_(kms),
          credentials_{mikey::Identity::uri(std::move(user)),
                       {mikey::IdType::nai, std::string(kKmsIdentity)},
                       "psk-1",
                       Psk(kms.psk_)} {}

    Result<std::shared_ptr<const mikey::GrantedTicket>> obtain(mikey::TicketPolicy wish) override {
      const auto& env = kms_.env_;
      const auto request = TRY(mikey::TicketRequest::start(env, credentials_, std::move(wish)));
      const auto received = TRY(mikey::ReceivedRequest::parse(request.message()));
      const auto known =
          TRY(received.authenticate(credentials_.psk, credentials_.self, credentials_.kms));
      auto granted = known.wish();
      const auto keys = std::exchange(granted.keys, {});
      const auto grant = TRY(known.grant(env, std::move(granted), keys, kms_.protection()));
      return std::make_shared<const mikey::GrantedTicket>(TRY(request.finish(grant.message)));
    }

    Result<mikey::ResolvedTicket> resolve(const mikey::TicketView& ticket) override {
      ++resolves;
      const auto& env = kms_.env_;
      const auto resolve = TRY(mikey::TicketResolve::start(env, credentials_, ticket));
      const auto received = TRY(mikey::ReceivedResolve::parse(resolve.message()));
      const auto known =
          TRY(received.authenticate(credentials_.psk, credentials_.self, credentials_.kms));
      const auto opened = TRY(known.open(kms_.protection().key));
      const auto response = TRY(opened.respond(env, credentials_.self));
      return resolve.finish(response);
    }

    int resolves = 0;  // how often the KMS was asked

   private:
    const FakeKms& kms_;
    mikey::KmsCredentials credentials_;
  };
  View as_seen_by(std::string user) const { return View(*this, std::move(user)); }

 private:
  const mikey::Environment& env_;
  ByteVector tpk_ = ByteVector(32, 0x71);
  ByteVector psk_ = ByteVector(32, 0x72);
};

}  // namespace keystub::testing
