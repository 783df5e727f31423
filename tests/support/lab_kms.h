// LabKms: a KMS in the test's own process, made of lib/mikey's KMS classes. No store, no replay
// memory, no rate limits: identities with keys, one TPK of its own, TPKs shared for mode 3.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "mikey/request_exchange.h"
#include "mikey/resolve_exchange.h"

namespace keystub::testing {

// Not thread-safe.
class LabKms {
 public:
  LabKms(const Clock& clock, RandomSource& random, std::string uri = "sip:kms@example.com")
      : env_{clock, random}, uri_(mikey::Identity::uri(std::move(uri))) {
    own_tpk_ = {random.secret<mikey::TpkTag>(32).value(), "lab-kms-tpk", {}};
  }

  const mikey::Identity& uri() const { return uri_; }

  // A user of the KMS with a fresh PSK, named by its URI.
  void add(const std::string& uri) {
    psks_.insert_or_assign(uri, env_.random.secret<PskTag>(32).value());
  }
  // What the user itself holds.
  mikey::KmsCredentials credentials(const std::string& uri) const {
    return {mikey::Identity::uri(uri), uri_, uri, psks_.at(uri).clone()};
  }
  // A TPK that `uri` shares with the KMS for mode 3; returned as the user holds it.
  mikey::TicketProtection share_tpk(const std::string& uri) {
    const std::string id = "tpk of " + uri;
    mikey::TicketProtection shared{env_.random.secret<mikey::TpkTag>(32).value(), id, {}};
    shared_tpks_.insert_or_assign(id, SharedTpk{uri, shared});
    return shared;
  }

  // From now on, who shows one of these certificates is authenticated too.
  struct Certificates {
    mikey::TrustAnchors trusted;
    std::vector<mikey::KmsKeyPair> keys;
  };
  std::optional<Certificates> certificates;

  // --- As a server: octets in, octets out -------------------------------------------------

  Result<ByteVector> handle_request(Bytes request_init) {
    ++requests;
    const auto received = TRY(mikey::ReceivedRequest::parse(request_init));
    const mikey::Identity initiator = TRY(claimed(received.message().idr_i));
    const auto request = TRY(prove<mikey::AuthenticatedRequest>(received, initiator));
    mikey::TicketPolicy granted = request.wish();
    if (narrow_responders_to) {
      granted.idr_r = {mikey::Identity::uri(*narrow_responders_to)};
    }
    const std::vector<mikey::KeyWish> keys = std::move(granted.keys);
    granted.keys.clear();
    granted.idr_i = initiator;
    return TRY(request.grant(env_, std::move(granted), keys, own_tpk_)).message;
  }

  Result<ByteVector> handle_resolve(Bytes resolve_init) {
    ++resolves;
    const auto received = TRY(mikey::ReceivedResolve::parse(resolve_init));
    const mikey::Identity responder = TRY(claimed(received.message().idr_r));
    const auto resolve = TRY(prove<mikey::AuthenticatedResolve>(received, responder));
    const mikey::TicketPolicy& policy = resolve.claimed_policy();
    const mikey::TicketProtection* tpk = &own_tpk_;
    if (!policy.flags.has(mikey::TicketFlag::d_kms_generated)) {
      const auto id = resolve.tpk_id();
      const auto shared = shared_tpks_.find(id ? std::string(id->text()) : std::string());
      if (shared == shared_tpks_.end() || !policy.idr_i ||
          policy.idr_i->data != shared->second.owner) {
        return fail(Category::denied, "no TPK is shared with the issuer of this ticket");
      }
      tpk = &shared->second.protection;
    }
    const auto opened = TRY(resolve.open(tpk->key));
    if (!opened.policy().names_responder(responder.data)) {
      return fail(Category::denied, "the ticket does not name " + responder.data);
    }
    return opened.respond(env_, responder);
  }

  // --- As its users see it: whole exchanges --------------------------------------------------

  Result<mikey::GrantedTicket> request_ticket(const std::string& self,
                                              const mikey::TicketPolicy& wish) {
    if (unreachable) return fail(Category::unavailable, "the KMS cannot be reached");
    const mikey::KmsCredentials known_as = credentials(self);
    const auto exchange = TRY(mikey::TicketRequest::start(env_, known_as, wish));
    return exchange.finish(TRY(handle_request(exchange.message())));
  }
  Result<mikey::ResolvedTicket> resolve_ticket(const std::string& self,
                                               const mikey::TicketView& ticket) {
    if (unreachable) return fail(Category::unavailable, "the KMS cannot be reached");
    const mikey::KmsCredentials known_as = credentials(self);
    const auto exchange = TRY(mikey::TicketResolve::start(env_, known_as, ticket));
    return exchange.finish(TRY(handle_resolve(exchange.message())));
  }

  // Switches and counters of the test.
  bool unreachable = false;
  std::optional<std::string> narrow_responders_to;  // grants a ticket for this URI alone
  int requests = 0;
  int resolves = 0;

 private:
  struct SharedTpk {
    std::string owner;
    mikey::TicketProtection protection;
  };

  static Result<mikey::Identity> claimed(const std::optional<mikey::IdentityView>& identity) {
    if (!identity) return fail(Category::malformed, "the sender does not name itself");
    return mikey::Identity(*identity);
  }
  template <class Proven, class Received>
  Result<Proven> prove(const Received& received, const mikey::Identity& sender) const {
    if (certificates && received.message().sign) {
      return received.authenticate(
          mikey::PkAuthentication{certificates->trusted, certificates->keys, env_.clock.now()},
          sender, uri_);
    }
    return received.authenticate(TRY(psk_of(sender)), sender, uri_);
  }
  Result<Psk> psk_of(const mikey::Identity& identity) const {
    const auto found = psks_.find(identity.data);
    if (found == psks_.end()) return fail(Category::unauthenticated, "unknown " + identity.data);
    return found->second.clone();
  }

  const mikey::Environment env_;
  const mikey::Identity uri_;
  mikey::TicketProtection own_tpk_;
  std::map<std::string, Psk> psks_;
  std::map<std::string, SharedTpk> shared_tpks_;
};

}  // namespace keystub::testing
