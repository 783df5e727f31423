#include "kms-server/ticket_handler.h"

#include <fmt/format.h>

#include <array>

#include "kms-server/identity_uri.h"
#include "mikey/request_exchange.h"
#include "mikey/resolve_exchange.h"

namespace keystub::kms {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kDummyKeyOctets = 32;
constexpr std::size_t kMaxAuditedIdentity = 256;
constexpr auto kRetryWhenBusy = 250ms;
constexpr auto kRetryWhenUnavailable = 2000ms;

constexpr std::string_view kGeneric = "the message could not be authenticated";
constexpr std::string_view kMalformed = "the message is not one that this call accepts";

std::string clipped(Bytes identity) {
  return to_string(identity.first(std::min(identity.size(), kMaxAuditedIdentity)));
}

std::string joined(const std::vector<mikey::Identity>& identities) {
  std::string out;
  for (const mikey::Identity& identity : identities) {
    if (!out.empty()) out += ' ';
    out += clipped(identity.bytes());
  }
  return out;
}

// Moves what `result` holds into `place`, or returns its error.
template <class T>
std::optional<Error> keep(std::optional<T>& place, Result<T> result) {
  if (!result) return std::move(result).error();
  place.emplace(std::move(*result));
  return std::nullopt;
}

Refusal limited(std::chrono::milliseconds wait) {
  return {Category::busy, {}, "too many messages; try again later", wait, {}};
}

Category outward_category(const Denial& denial) {
  return denial.error_no == mikey::ErrorNo::invalid_tppar ? Category::malformed : Category::denied;
}

}  // namespace

// Answers by operation and outcome.
struct TicketHandler::Counters {
  service::Counter issued;
  service::Counter resolved;
  std::array<service::Counter, 9> refused;  // by category
  service::Histogram seconds;
};

// An answer that waits for its line in the audit. All else about the message is let go before,
// while the thread that decided still has it at hand.
struct TicketHandler::Departure {
  TicketHandler& handler;
  std::string request_id;
  SteadyTime began;
  WallTime decided;
  Answer answer;
  Done done;

  void leave(const Result<void>& written) {
    if (!written) {
      handler.parts_.log.error("a decision could not be audited",
                               {{"request_id", request_id}, {"error", written.error().describe()}});
      if (handler.parts_.audit.needed()) {
        answer = std::unexpected(Refusal{Category::unavailable,
                                         {},
                                         "the service cannot answer now",
                                         kRetryWhenUnavailable,
                                         decided});
      }
    }
    handler.counters_->seconds.observe(
        std::chrono::duration<double>(handler.parts_.clock.steady_now() - began).count());
    // Whoever waits may destroy the handler's surroundings once it is told.
    done(std::move(answer));
  }
};

// One message on its way, until its decision is made; `this` is shared with whoever works on it
// next (the caller's thread, the executor).
class TicketHandler::Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  Exchange(TicketHandler& handler, ByteVector message, Accepted accepted, const rpc::Caller& caller,
           Done done)
      : handler_(handler),
        settings_(handler.settings_),
        parts_(handler.parts_),
        message_(std::move(message)),
        accepted_(accepted),
        done_(std::move(done)),
        began_(parts_.clock.steady_now()) {
    record_.request_id = parts_.audit.next_request_id(parts_.clock.now());
    record_.trace_id = caller.trace_id;
    record_.caller = std::string(caller.display_name());
    address_ = caller.address;
  }

  void run() { advance(Thread::of_caller); }

 private:
  enum class Thread { of_caller, of_executor };
  enum class Source { cache, store };
  // again_with_store: from find_sender on.
  enum class Step { next, ask_store, again_with_store, finished };

  // The order of the steps is that of architecture.md. Each looks into the cache first. One that
  // needs the store runs again, from its beginning, on the executor; the steps after it stay there.
  void advance(Thread thread) {
    using StepFunction = Step (Exchange::*)(Source);
    static constexpr std::array<StepFunction, 8> kSteps = {
        &Exchange::parse,           &Exchange::find_sender, &Exchange::authenticate,
        &Exchange::find_protection, &Exchange::find_policy, &Exchange::open_ticket,
        &Exchange::find_initiator,  &Exchange::decide};
    while (step_ < kSteps.size()) {
      switch ((this->*kSteps[step_])(source_)) {
        case Step::next:
          ++step_;
          source_ = Source::cache;
          break;
        case Step::finished: return;
        case Step::again_with_store: step_ = 1; [[fallthrough]];
        case Step::ask_store:
          source_ = Source::store;
          if (thread == Thread::of_caller) return move_to_executor();
      }
    }
  }

  void move_to_executor() {
    StoreExecutor& executor = pk_sender_ ? parts_.pk->executor : parts_.executor;
    auto submitted =
        executor.submit([self = shared_from_this()] { self->advance(Thread::of_executor); });
    if (!submitted) refuse("store", submitted.error());
  }

  Deadline deadline() const { return Deadline::in(settings_.store_timeout); }
  mikey::Environment environment() const { return {parts_.clock, parts_.random}; }

  // ------------------------------------------------------------------------------------- the steps

  Step parse(Source) {
    const auto message = mikey::Message::parse(message_);
    if (!message) return refuse_malformed(message.error());
    const mikey::DataType type = message->header.data_type;
    const bool pk = looks_public_key(message_);
    if (pk && !handler_.serves_pk()) return refuse_public_key(type);
    record_.method = pk ? "pk" : "psk";
    if ((type == mikey::DataType::request_init_psk || type == mikey::DataType::request_init_pk) &&
        accepted_ != Accepted::resolve) {
      record_.operation = "request";
      auto parsed = mikey::ReceivedRequest::from(*message);
      if (!parsed) return refuse_malformed(parsed.error());
      request_.emplace(std::move(*parsed));
      record_.responder = joined(request_->wish().idr_r);
    } else if ((type == mikey::DataType::resolve_init_psk ||
                type == mikey::DataType::resolve_init_pk) &&
               accepted_ != Accepted::request) {
      record_.operation = "resolve";
      auto parsed = mikey::ReceivedResolve::from(*message);
      if (!parsed) return refuse_malformed(parsed.error());
      resolve_.emplace(std::move(*parsed));
    } else {
      return refuse_malformed(
          Error(Category::malformed,
                fmt::format("a {} message does not belong here", mikey::name_of(type))));
    }
    if (pk) {
      auto sender = PkSender::read(init());
      if (!sender) return refuse_malformed(sender.error());
      pk_sender_ = std::move(*sender);
      record_.certificate = pk_sender_->fingerprint;
    }
    if (const auto claimed = claimed_identity()) record_.identity = clipped(claimed->data);
    const auto attempt = parts_.limiter.attempt(address_, claimed_name(), began_);
    failed_before_ = attempt.failed_before;
    if (attempt.wait) {
      return refuse_limited("backoff", "too many failed authentications", *attempt.wait);
    }
    return Step::next;
  }

  // By the URI that it claims. Where no identity has that URI, it may be one that the owner of the
  // pre-shared key owns by a pattern (MRFC-I3); no pattern covers a URI of an identity, so nobody
  // speaks for somebody else. Without a URI the key alone tells who it is.
  Step find_sender(Source source) {
    if (pk_sender_) return find_holder(source);
    const auto id = claimed_identity();
    const Bytes psk_id = claimed_psk_id();
    std::string uri;
    Result<std::shared_ptr<const OpenIdentity>> found = nullptr;
    if (id) {
      // A name that cannot be an identity's is unknown, like any other that is not there.
      auto canonical = canonical_uri(id->text());
      if (id->type == mikey::IdType::uri && canonical) {
        uri = std::move(*canonical);
        found = find_by_uri(uri, source);
      }
    }
    const bool unknown =
        !found ? found.error().category() == Category::not_found : *found == nullptr;
    if (unknown && key_has_a_name_of_its_own() && (!id || !uri.empty())) {
      found = find_by_psk(psk_id, source);
      if (found && *found != nullptr && id && !(*found)->owns(uri)) found = nullptr;
    }
    if (!found && found.error().category() != Category::not_found) {
      return refuse("store", found.error());
    }
    sender_ = found ? *found : nullptr;
    sender_key_ = sender_ != nullptr ? sender_->psk(psk_id, parts_.clock.now()) : nullptr;
    if (sender_key_ == nullptr && source == Source::cache) return Step::ask_store;
    asked_store_for_sender_ = source == Source::store;
    if (id) {
      sender_id_ = mikey::Identity(*id);
    } else {
      sender_id_ = mikey::Identity::uri(sender_ != nullptr ? sender_->uri : std::string());
    }
    return Step::next;
  }

  // Of a certificate: by the URI that it claims alone. Not by the cache: the thread that looks has
  // RSA to do as well, for all that it knows.
  Step find_holder(Source source) {
    if (source == Source::cache) return Step::ask_store;
    const std::optional<mikey::Identity>& id = pk_sender_->id;
    const auto canonical = id && id->type == mikey::IdType::uri
                               ? canonical_uri(id->data)
                               : Result<std::string>(fail(Category::malformed, "no URI"));
    if (canonical) {
      auto found = find_by_uri(*canonical, source);
      if (!found && found.error().category() != Category::not_found) {
        return refuse("store", found.error());
      }
      if (found) sender_ = std::move(*found);
    }
    sender_id_ = id.value_or(mikey::Identity::uri({}));
    return Step::next;
  }

  Result<std::shared_ptr<const OpenIdentity>> find_by_uri(std::string_view uri, Source source) {
    if (source == Source::cache) return parts_.keys.cached_identity(uri);
    return parts_.keys.find_identity(uri, deadline());
  }

  Result<std::shared_ptr<const OpenIdentity>> find_by_psk(Bytes psk_id, Source source) {
    if (source == Source::cache) return parts_.keys.cached_identity_of_psk(psk_id);
    looked_up_psk_ = true;
    return parts_.keys.find_identity_of_psk(psk_id, deadline());
  }

  // A pre-shared key that is not just called like the identity.
  bool key_has_a_name_of_its_own() const {
    const Bytes psk_id = claimed_psk_id();
    const auto id = claimed_identity();
    return !psk_id.empty() && !(id && equal(id->data, psk_id));
  }

  // A sender that the cache does not prove is looked up in the store, whoever it is: unknown, known
  // with another key by now, or an attacker. All whom the store does not prove either cost the
  // same: as much as a known one whose MAC was wrong under the key in the cache too.
  Step authenticate(Source) {
    if (pk_sender_) return authenticate_holder();
    const mikey::Prepared<Psk>& key = sender_key_ != nullptr ? *sender_key_ : handler_.dummy_key_;
    const auto failure = prove(key);
    const bool wrong_mac = failure && failure->category() == Category::unauthenticated;
    if (wrong_mac && !asked_store_for_sender_) {
      wrong_in_cache_ = true;
      return Step::again_with_store;
    }
    if (sender_key_ == nullptr || wrong_mac) {
      // Whatever was wrong, it took the same look-ups, and two MACs.
      if (!wrong_in_cache_) (void)prove(handler_.dummy_key_);
      if (key_has_a_name_of_its_own() && !looked_up_psk_) {
        (void)find_by_psk(claimed_psk_id(), Source::store);
      }
    }
    if (sender_key_ == nullptr) {
      return refuse_unauthenticated("unknown", "no key is known for this sender");
    }
    if (wrong_mac) return refuse_unauthenticated("mac", failure->describe());
    if (failure) return refuse_malformed(*failure);
    return admit();
  }

  // An identity that is suspended is as unknown as one that is not there: suspending it is how an
  // operator takes a certificate out of use whose issuer does not.
  Step authenticate_holder() {
    const auto material = parts_.pk->keeper.material();
    if (material == nullptr) return refuse_public_key(init().header.data_type);
    const bool active = sender_ != nullptr && sender_->state == IdentityState::active;
    const auto proof = PkProof::choose(
        material, *pk_sender_,
        active ? std::span(sender_->certificates) : std::span<const PinnedCertificate>());
    if (!proof) return refuse("store", proof.error());
    const auto failure = prove(proof->at(parts_.clock.now()));
    if (failure && failure->category() == Category::unauthenticated) {
      const bool wrong_signature = failure->place() && failure->place()->payload == "SIGN";
      if (!wrong_signature) proof->spend_a_signature(init());
      return refuse_unauthenticated(wrong_signature ? "signature" : "certificate",
                                    failure->describe());
    }
    if (sender_ == nullptr) {
      return refuse_unauthenticated("unknown", "there is no identity of the certificate's name");
    }
    if (!active) return refuse_unauthenticated("suspended", "the identity is suspended");
    if (failure && failure->category() == Category::not_found) {
      return finish("malformed", failure->describe(),
                    Refusal{Category::malformed, {}, failure->text(), {}, {}});
    }
    if (failure) return refuse_malformed(*failure);
    return admit();
  }

  // By a pre-shared key or a PkAuthentication; none: it is proven.
  std::optional<Error> prove(const auto& with) {
    if (request_) {
      return keep(proven_request_, request_->authenticate(with, sender_id_, settings_.kms));
    }
    return keep(proven_resolve_, resolve_->authenticate(with, sender_id_, settings_.kms));
  }

  // The sender has proved who it is.
  Step admit() {
    record_.identity = sender_->uri;
    if (failed_before_) parts_.limiter.succeeded(address_, claimed_name());
    if (const auto wait = parts_.limiter.authenticated(sender_->uri, began_)) {
      return refuse_limited("limit", "the identity is over its rate", *wait);
    }

    // KMS-6. The first thing that is remembered about the sender, and before the answer.
    // [3830-5.4-05]
    const mikey::Timestamp& t = request_ ? request_->t() : resolve_->t();
    if (!t.is_time()) {
      return refuse_replay(
          Error(Category::expired, "a COUNTER is no time: it proves no freshness"));
    }
    const Bytes proof = request_ ? request_->proof() : resolve_->proof();
    // [6043-12.4-02]
    if (auto admitted = parts_.replay.admit(replay::tag_of(proof), t.to_wall_time()); !admitted) {
      return refuse_replay(admitted.error(), t.to_wall_time() - parts_.clock.now());
    }
    return Step::next;
  }

  // The TPK that seals the new ticket, or that sealed the one to resolve, with its owner.
  Step find_protection(Source source) { return request_ ? find_own_tpk(source) : find_tpk(source); }

  Step find_own_tpk(Source source) {
    Result<std::shared_ptr<const OpenTpk>> tpk = source == Source::cache
                                                     ? parts_.keys.cached_active_tpk()
                                                     : parts_.keys.find_active_tpk(deadline());
    if (!tpk) return refuse("store", tpk.error());
    if (*tpk == nullptr) return Step::ask_store;
    tpk_ = *tpk;
    return Step::next;
  }

  Step find_tpk(Source source) {
    const auto id = proven_resolve_->tpk_id();
    if (!id) return refuse_tpk("the ticket names no TPK");
    auto tpk = source == Source::cache ? parts_.keys.cached_tpk(id->data)
                                       : parts_.keys.find_tpk(id->data, deadline());
    if (!tpk && tpk.error().category() == Category::not_found) {
      return refuse_tpk(tpk.error().text());
    }
    if (!tpk) return refuse("store", tpk.error());
    if (*tpk == nullptr) return Step::ask_store;
    tpk_ = *tpk;
    if (!tpk_->owner) return Step::next;

    auto owner = source == Source::cache ? parts_.keys.cached_identity(*tpk_->owner)
                                         : parts_.keys.find_identity(*tpk_->owner, deadline());
    if (!owner && owner.error().category() != Category::not_found) {
      return refuse("store", owner.error());
    }
    if (owner && *owner == nullptr) return Step::ask_store;
    // The cache of TPKs may remember one that was taken back; its owner never does.
    if (!owner || !(*owner)->holds_tpk(tpk_->id)) {
      return refuse_tpk("the TPK is no longer shared with its owner");
    }
    owner_ = *owner;
    return Step::next;
  }

  Step find_policy(Source source) {
    Result<std::shared_ptr<const PolicyBook>> book =
        source == Source::cache ? parts_.keys.cached_policy() : parts_.keys.find_policy(deadline());
    if (!book) return refuse("store", book.error());
    if (*book == nullptr) return Step::ask_store;
    book_ = *book;
    return Step::next;
  }

  Step open_ticket(Source) {
    if (request_) return Step::next;
    auto opened = proven_resolve_->open(tpk_->key);
    if (!opened) return refuse_tpk(opened.error().describe());
    opened_.emplace(std::move(*opened));
    const auto id = mikey::ticket_id_of_mac(opened_->ticket_mac());
    if (!id) return refuse("ticket", id.error());
    ticket_id_ = *id;
    record_.ticket_id = to_hex(ticket_id_);
    return Step::next;
  }

  // Whom a ticket of ours is from: its state counts when the ticket is resolved.
  Step find_initiator(Source source) {
    if (request_ || owner_ != nullptr) return Step::next;
    const auto& id = opened_->policy().idr_i;
    const auto uri = id && id->type == mikey::IdType::uri
                         ? canonical_uri(id->data)
                         : Result<std::string>(fail(Category::not_found, "no URI"));
    if (!uri) return Step::next;
    auto found = source == Source::cache ? parts_.keys.cached_speaker(*uri)
                                         : parts_.keys.find_speaker(*uri, deadline());
    if (!found && found.error().category() == Category::not_found) return Step::next;
    if (!found) return refuse("store", found.error());
    if (*found == nullptr) return Step::ask_store;
    initiator_ = *found;
    return Step::next;
  }

  Step decide(Source) { return request_ ? issue() : resolve(); }

  Step issue() {
    auto granted =
        // [6043-4.2.1.4-01]
        parts_.policy.grant(*book_, proven_request_->wish(), *sender_, sender_id_,
                            parts_.clock.now());
    if (!granted) return refuse_denied(granted.error(), granted.error().reason);
    record_.policy = granted->rule;
    record_.responder = joined(granted->policy.idr_r);
    auto answer = proven_request_->grant(environment(), std::move(granted->policy), granted->keys,
                                         {tpk_->key, to_string(Bytes(tpk_->id)), settings_.thdr});
    if (!answer) return refuse("grant", answer.error());
    const auto id = mikey::ticket_id_of_mac(answer->ticket_mac);
    if (!id) return refuse("grant", id.error());
    record_.ticket_id = to_hex(*id);
    handler_.counters_->issued.add();
    return finish("granted", std::move(answer->message));
  }

  Step resolve() {
    auto allowed = parts_.policy.resolve(*book_, opened_->policy(), opened_->issued_at(),
                                         owner_.get(), *sender_, sender_id_, parts_.clock.now());
    if (!allowed) return refuse_denied(allowed.error(), allowed.error().reason);
    if (const auto revoked = revoked_by()) {
      // Last: only whom the ticket is for learns that it is revoked, and not by what.
      return refuse_denied({revoked->rule, "the ticket is revoked", mikey::ErrorNo::invalid_ticket},
                           revoked->detail);
    }
    record_.policy = allowed->rule;
    record_.responder = clipped(allowed->responder.bytes());
    auto answer = opened_->respond(environment(), allowed->responder);
    if (!answer) return refuse("resolve", answer.error());
    handler_.counters_->resolved.add();
    return finish("granted", std::move(*answer));
  }

  // By what the ticket is revoked, for the audit. The policy has judged T already. The initiator of
  // a mode 3 ticket is the owner of its TPK, which the policy has judged too.
  struct Revoked {
    std::string_view rule;
    std::string_view detail;
  };
  std::optional<Revoked> revoked_by() const {
    const WallTime issued_at = opened_->issued_at().to_wall_time();
    const bool from_kms = owner_ == nullptr;
    if (const auto rule = parts_.revocations.find(ticket_id_, issued_at, from_kms)) {
      return Revoked{*rule, *rule == "epoch" ? "the ticket is from before the time up to which all "
                                               "tickets are revoked"
                                             : "the ticket itself is revoked"};
    }
    if (!from_kms) return std::nullopt;
    if (initiator_ == nullptr) {
      return Revoked{"initiator_gone", "the initiator of the ticket is no identity any more"};
    }
    if (initiator_->state != IdentityState::active) {
      return Revoked{"initiator_suspended", "the initiator of the ticket is suspended"};
    }
    // T is finer than what the store keeps.
    if (std::chrono::ceil<std::chrono::milliseconds>(issued_at) < initiator_->created) {
      return Revoked{"initiator_newer", "the ticket is older than the identity of its initiator"};
    }
    return std::nullopt;
  }

  // -------------------------------------------------------------------------------------- refusals

  // From a sender that proved nothing: one answer for all, whatever was wrong. [6043-5.4-03]
  Step refuse_unauthenticated(std::string_view rule, std::string_view detail) {
    parts_.limiter.failed(address_, claimed_name(), began_);
    return finish(rule, detail,
                  Refusal{Category::unauthenticated, {}, std::string(kGeneric), {}, {}});
  }

  Step refuse_limited(std::string_view rule, std::string_view detail,
                      std::chrono::milliseconds wait) {
    return finish(rule, detail, limited(wait));
  }

  Step refuse_malformed(const Error& error) {
    return finish("malformed", error.describe(),
                  Refusal{Category::malformed, {}, std::string(kMalformed), {}, {}});
  }

  // What every sender may know: that this KMS holds no certificate.
  Step refuse_public_key(mikey::DataType type) {
    const std::string reason = fmt::format(
        "{} needs a KMS with a certificate; use a pre-shared key here", mikey::name_of(type));
    return finish("malformed", reason, Refusal{Category::malformed, {}, reason, {}, {}});
  }

  // The sender is authenticated: it may know what is wrong, in a MIKEY Error message with a MAC.
  Step refuse_denied(const Denial& denial, std::string_view detail) {
    record_.policy = denial.policy;
    Refusal refusal{
        outward_category(denial), error_message(denial.error_no), denial.reason, {}, {}};
    return finish(denial.rule, detail, std::move(refusal));
  }

  // A ticket that we cannot open: the responder learns no more than that.
  Step refuse_tpk(std::string_view detail) {
    return refuse_denied({"ticket", "the ticket cannot be opened", mikey::ErrorNo::invalid_ticket},
                         detail);
  }

  Step refuse_replay(const Error& error, std::optional<std::chrono::nanoseconds> clock_skew = {}) {
    if (error.category() != Category::expired) return refuse("replay", error);
    Refusal refusal{Category::expired,
                    error_message(mikey::ErrorNo::invalid_ts),
                    "the timestamp is outside the allowed clock skew, or the message was seen "
                    "before",
                    {},
                    {},
                    clock_skew};
    // No T of now is accepted until the floor has passed: after the window was lost.
    const WallTime now = parts_.clock.now();
    if (const WallTime floor = parts_.replay.floor(); floor >= now) {
      refusal.reason =
          "no message is accepted for a while: it could not be told from one seen before";
      refusal.retry_after = std::chrono::ceil<std::chrono::milliseconds>(floor - now) + 1ms;
    }
    return finish("replay", error.describe(), std::move(refusal));
  }

  // Our own trouble: busy, unavailable, internal.
  Step refuse(std::string_view rule, const Error& error) {
    Refusal refusal{Category::unavailable, {}, "the service cannot answer now", {}, {}};
    switch (error.category()) {
      case Category::busy:
        refusal = {Category::busy, {}, "the service is busy", kRetryWhenBusy, {}};
        break;
      case Category::unavailable: refusal.retry_after = kRetryWhenUnavailable; break;
      default: refusal = {Category::internal, {}, "the service failed", {}, {}};
    }
    // Not for each request of a flood: being busy is counted, and told in the audit.
    if (error.category() != Category::busy) {
      log_trouble(rule, error);
    }
    return finish(rule, error.describe(), std::move(refusal));
  }

  void log_trouble(std::string_view rule, const Error& error) {
    parts_.log.error("request not served", {{"request_id", record_.request_id},
                                            {"trace_id", record_.trace_id},
                                            {"rule", rule},
                                            {"error", error.describe()}});
  }

  ByteVector error_message(mikey::ErrorNo number) const {
    auto message = proven_request_ ? proven_request_->refuse(environment(), number)
                                   : proven_resolve_->refuse(environment(), number);
    return message ? std::move(*message) : ByteVector();
  }

  // ---------------------------------------------------------------------------------------- the
  // end

  Step finish(std::string_view rule, ByteVector answer) {
    record_.granted = true;
    record_.rule = rule;
    return finish(Answer(std::move(answer)));
  }

  Step finish(std::string_view rule, std::string_view detail, Refusal refusal) {
    record_.rule = rule;
    record_.reason = detail;
    handler_.counters_->refused[static_cast<std::size_t>(refusal.category)].add();
    parts_.log.debug("refused", {{"request_id", record_.request_id},
                                 {"trace_id", record_.trace_id},
                                 {"operation", record_.operation},
                                 {"identity", record_.identity},
                                 {"rule", rule},
                                 {"reason", detail}});
    return finish(Answer(std::unexpected(std::move(refusal))));
  }

  Step finish(Answer answer) {
    const WallTime now = parts_.clock.now();
    if (!answer) answer.error().server_time = now;
    record_.time = now;
    if (record_.operation.empty()) record_.operation = "unknown";
    parts_.audit.append(
        record_, [departure = std::make_unique<Departure>(handler_, record_.request_id, began_, now,
                                                          std::move(answer), std::move(done_))](
                     const Result<void>& written) { departure->leave(written); });
    return Step::finished;
  }

  const mikey::Message& init() const {
    return request_ ? request_->message() : resolve_->message();
  }
  std::optional<mikey::IdentityView> claimed_identity() const {
    if (pk_sender_ && pk_sender_->id) return pk_sender_->id->view();
    return request_ ? request_->message().idr_i : resolve_->message().idr_r;
  }
  // Whom it claims to be from: what failures are counted under.
  std::string_view claimed_name() const {
    const auto id = claimed_identity();
    return id ? id->text() : as_text(claimed_psk_id());
  }
  Bytes claimed_psk_id() const {
    const auto& id = init().idr_psk;
    return id ? id->data : Bytes();
  }

  TicketHandler& handler_;
  const HandlerSettings& settings_;
  const HandlerParts& parts_;
  const ByteVector message_;
  const Accepted accepted_;
  Done done_;
  const SteadyTime began_;
  AuditRecord record_;
  std::string address_;  // of the peer
  bool failed_before_ = false;
  bool asked_store_for_sender_ = false;
  bool wrong_in_cache_ = false;  // the MAC, under the key that the cache has
  bool looked_up_psk_ = false;   // in the store
  std::size_t step_ = 0;
  Source source_ = Source::cache;  // of that step

  std::optional<mikey::ReceivedRequest> request_;  // one of the two
  std::optional<mikey::ReceivedResolve> resolve_;
  std::optional<PkSender> pk_sender_;                 // of the public-key variants
  std::shared_ptr<const OpenIdentity> sender_;        // null: unknown
  const mikey::Prepared<Psk>* sender_key_ = nullptr;  // in sender_
  mikey::Identity sender_id_;                         // as the MAC covers it
  std::optional<mikey::AuthenticatedRequest> proven_request_;
  std::optional<mikey::AuthenticatedResolve> proven_resolve_;
  std::shared_ptr<const OpenTpk> tpk_;
  std::shared_ptr<const OpenIdentity> owner_;  // of a shared TPK
  std::optional<mikey::OpenedResolve> opened_;
  mikey::TicketId ticket_id_{};                    // of the opened one
  std::shared_ptr<const OpenIdentity> initiator_;  // of a ticket of ours; null: there is none
  std::shared_ptr<const PolicyBook> book_;
};

TicketHandler::TicketHandler(HandlerSettings settings, const HandlerParts& parts)
    : settings_(std::move(settings)),
      parts_(parts),
      dummy_key_(Psk(kDummyKeyOctets)),
      counters_(std::make_unique<Counters>()) {
  if (parts_.metrics == nullptr) return;
  service::Metrics& metrics = *parts_.metrics;
  counters_->issued = metrics.counter("tickets_issued_total", "Tickets issued.");
  counters_->resolved = metrics.counter("tickets_resolved_total", "Tickets resolved.");
  for (std::size_t i = 0; i < counters_->refused.size(); ++i) {
    counters_->refused[i] =
        metrics.counter("ticket_refusals_total", "Ticket messages refused, by category.",
                        {{"category", std::string(category_name(static_cast<Category>(i)))}});
  }
  counters_->seconds =
      metrics.histogram("ticket_seconds", "From the message to its answer, audit included.",
                        service::latency_buckets());
}

TicketHandler::~TicketHandler() = default;

void TicketHandler::handle(ByteVector message, Accepted accepted, const rpc::Caller& caller,
                           Done done) {
  const auto kind = looks_public_key(message) && serves_pk() ? RateLimiter::MessageKind::public_key
                                                             : RateLimiter::MessageKind::plain;
  if (const auto wait = parts_.limiter.message(caller.address, parts_.clock.steady_now(), kind)) {
    counters_->refused[static_cast<std::size_t>(Category::busy)].add();
    Refusal refusal = limited(*wait);
    refusal.server_time = parts_.clock.now();
    done(std::unexpected(std::move(refusal)));
    return;
  }
  std::make_shared<Exchange>(*this, std::move(message), accepted, caller, std::move(done))->run();
}

}  // namespace keystub::kms
