#include "kms-server/identity_admin.h"

#include <fmt/format.h>

#include <algorithm>

#include "kms-server/identity_uri.h"
#include "kms-server/pk_material.h"
#include "kms-server/uri_pattern.h"

namespace keystub::kms {
namespace {

constexpr std::size_t kTpkIdRandomOctets = 8;

// "tpk-0123456789abcdef": what IDRpsk of a ticket says.
Result<ByteVector> new_tpk_id(std::string_view prefix, RandomSource& random) {
  const ByteVector octets = TRY(random.bytes(kTpkIdRandomOctets));
  return to_vector(as_bytes(fmt::format("{}-{}", prefix, to_hex(octets))));
}

struct NewTpk {
  WrappedKey wrapped;
  mikey::Tpk key;
};

Result<NewTpk> make_tpk(KeyKind kind, std::string_view owner, const Kek& kek,
                        RandomSource& random) {
  NewTpk tpk;
  tpk.wrapped.id = TRY(new_tpk_id(kind == KeyKind::own_tpk ? "tpk" : "mode3", random));
  tpk.key = TRY(random.secret<mikey::TpkTag>(kTpkOctets));
  tpk.wrapped.wrapped = TRY(kek.wrap(tpk.key.reveal(), {kind, owner, tpk.wrapped.id}, random));
  return tpk;
}

// Whether messages could be authenticated with the certificate as one of the identity's.
Result<void> check_pinnable(const mikey::Certificate& certificate, const Identity& identity,
                            WallTime now) {
  const auto itself = TRY(mikey::TrustAnchors::make({certificate}));
  const std::vector<std::string> named = certificate.uris();
  const auto own = std::ranges::find_if(named, [&](const std::string& uri) {
    const auto canonical = canonical_uri(uri);
    return canonical && (*canonical == identity.uri ||
                         std::ranges::find(identity.aliases, *canonical) != identity.aliases.end());
  });
  if (own == named.end()) {
    return fail(Category::malformed,
                fmt::format("the certificate names no URI of {}: put one into its subjectAltName, "
                            "as URI",
                            identity.uri));
  }
  const auto good = itself.validate({certificate}, mikey::CertificateUse::signature,
                                    mikey::Identity::uri(*own), now);
  if (!good) return fail(Category::malformed, good.error().text());
  return {};
}

}  // namespace

Result<std::size_t> checked_page_size(std::size_t page_size) {
  if (page_size > kMaxPageSize) {
    return fail(Category::malformed, fmt::format("a page has at most {} entries", kMaxPageSize));
  }
  return page_size == 0 ? kDefaultPageSize : page_size;
}

Result<void> activate_new_tpk(IdentityStore& store, const Kek& kek, RandomSource& random,
                              Deadline deadline) {
  NewTpk tpk = TRY(make_tpk(KeyKind::own_tpk, {}, kek, random));
  TRY(store.add_tpk(std::move(tpk.wrapped), TpkState::active, deadline));
  return {};
}

Result<WrappedPsk> wrap_psk(const AdminParts& parts, std::string_view uri, NewPsk psk) {
  if (psk.key.size() < kMinPskOctets || psk.key.size() > kMaxPskOctets) {
    return fail(Category::malformed,
                fmt::format("a pre-shared key has {} to {} octets, this one has {}", kMinPskOctets,
                            kMaxPskOctets, psk.key.size()));
  }
  if (psk.expires && *psk.expires <= parts.clock.now()) {
    return fail(Category::malformed, "the pre-shared key would have expired already");
  }
  if (psk.id.empty()) psk.id = to_vector(as_bytes(uri));
  if (psk.id.size() > kMaxKeyIdOctets) {
    return fail(Category::malformed,
                fmt::format("the id of a pre-shared key has at most {} octets, this one has {}",
                            kMaxKeyIdOctets, psk.id.size()));
  }
  WrappedPsk wrapped;
  wrapped.expires = psk.expires;
  wrapped.wrapped =
      TRY(parts.kek.wrap(psk.key.reveal(), {KeyKind::psk, uri, psk.id}, parts.random));
  wrapped.id = std::move(psk.id);
  return wrapped;
}

Result<Identity> IdentityAdmin::create(const rpc::Caller& caller, std::string_view uri,
                                       IdentityKind kind, std::optional<NewPsk> psk) {
  const auto work = [&]() -> Result<Identity> {
    const std::string canonical = TRY(canonical_uri(uri));
    std::optional<WrappedPsk> wrapped;
    const auto hold = parts_.kek.hold();
    if (psk) wrapped = TRY(wrap_psk(parts_, canonical, std::move(*psk)));
    return parts_.store.create(canonical, kind, std::move(wrapped), deadline());
  };
  return audit_.recorded(caller, "create_identity", uri, work);
}

Result<Identity> IdentityAdmin::get(std::string_view uri) {
  const std::string canonical = TRY(canonical_uri(uri));
  return parts_.store.find(canonical, deadline());
}

Result<IdentityPage> IdentityAdmin::list(std::string_view uri_prefix, std::string_view after,
                                         std::size_t page_size) {
  return parts_.store.list(uri_prefix, after, TRY(checked_page_size(page_size)), deadline());
}

Result<IdentityPage> IdentityAdmin::list_groups(std::string_view uri_prefix, std::string_view after,
                                                std::size_t page_size) {
  return parts_.store.list_groups(uri_prefix, after, TRY(checked_page_size(page_size)), deadline());
}

Result<Identity> IdentityAdmin::set_state(const rpc::Caller& caller, std::string_view uri,
                                          IdentityState state, std::string_view operation) {
  const auto work = [&]() -> Result<Identity> {
    const std::string canonical = TRY(canonical_uri(uri));
    return parts_.store.set_state(canonical, state, deadline());
  };
  return audit_.recorded(caller, operation, uri, work);
}

Result<Identity> IdentityAdmin::suspend(const rpc::Caller& caller, std::string_view uri) {
  return set_state(caller, uri, IdentityState::suspended, "suspend_identity");
}

Result<Identity> IdentityAdmin::resume(const rpc::Caller& caller, std::string_view uri) {
  return set_state(caller, uri, IdentityState::active, "resume_identity");
}

Result<void> IdentityAdmin::remove(const rpc::Caller& caller, std::string_view uri) {
  const auto work = [&]() -> Result<void> {
    const std::string canonical = TRY(canonical_uri(uri));
    return parts_.store.remove(canonical, deadline());
  };
  return audit_.recorded(caller, "delete_identity", uri, work);
}

Result<Identity> IdentityAdmin::set_psk(const rpc::Caller& caller, std::string_view uri,
                                        NewPsk psk) {
  const auto work = [&]() -> Result<Identity> {
    // Whichever of its URIs was given, the key is bound to the canonical name.
    const std::string name = TRY(canonical_name(uri));
    const auto hold = parts_.kek.hold();
    WrappedPsk wrapped = TRY(wrap_psk(parts_, name, std::move(psk)));
    return parts_.store.set_psk(name, std::move(wrapped), deadline());
  };
  return audit_.recorded(caller, "set_psk", uri, work);
}

Result<Identity> IdentityAdmin::remove_psk(const rpc::Caller& caller, std::string_view uri,
                                           Bytes psk_id) {
  const auto work = [&]() -> Result<Identity> {
    const std::string canonical = TRY(canonical_uri(uri));
    return parts_.store.remove_psk(canonical, psk_id, deadline());
  };
  return audit_.recorded(caller, "remove_psk", uri, work, to_string(psk_id));
}

Result<std::string> IdentityAdmin::canonical_name(std::string_view uri) {
  const std::string canonical = TRY(canonical_uri(uri));
  Identity identity = TRY(parts_.store.find(canonical, deadline()));
  return std::move(identity.uri);
}

Result<Identity> IdentityAdmin::change_part(
    const rpc::Caller& caller, std::string_view operation, std::string_view uri,
    std::string_view detail,
    Result<Identity> (IdentityStore::*change)(std::string_view, std::string_view, Deadline),
    Result<std::string> (*canonical_detail)(std::string_view)) {
  const auto work = [&]() -> Result<Identity> {
    const std::string canonical = TRY(canonical_uri(uri));
    const std::string part = TRY(canonical_detail(detail));
    return (parts_.store.*change)(canonical, part, deadline());
  };
  return audit_.recorded(caller, operation, uri, work, std::string(detail));
}

Result<Identity> IdentityAdmin::add_alias(const rpc::Caller& caller, std::string_view uri,
                                          std::string_view alias) {
  return change_part(caller, "add_alias", uri, alias, &IdentityStore::add_alias, &canonical_uri);
}

Result<Identity> IdentityAdmin::remove_alias(const rpc::Caller& caller, std::string_view uri,
                                             std::string_view alias) {
  return change_part(caller, "remove_alias", uri, alias, &IdentityStore::remove_alias,
                     &canonical_uri);
}

Result<Identity> IdentityAdmin::add_pattern(const rpc::Caller& caller, std::string_view uri,
                                            std::string_view pattern) {
  return change_part(caller, "add_owned_pattern", uri, pattern, &IdentityStore::add_pattern,
                     &canonical_pattern);
}

Result<Identity> IdentityAdmin::remove_pattern(const rpc::Caller& caller, std::string_view uri,
                                               std::string_view pattern) {
  return change_part(caller, "remove_owned_pattern", uri, pattern, &IdentityStore::remove_pattern,
                     &canonical_pattern);
}

Result<Identity> IdentityAdmin::add_certificate(const rpc::Caller& caller, std::string_view uri,
                                                Bytes der) {
  std::string fingerprint;
  const auto work = [&]() -> Result<Identity> {
    PinnedCertificate pinned;
    const auto certificate = TRY(mikey::Certificate::from_der(der));
    pinned.der = to_vector(der);
    pinned.fingerprint = TRY(fingerprint_of(certificate));
    fingerprint = to_hex(pinned.fingerprint);
    const std::string canonical = TRY(canonical_uri(uri));
    const Identity identity = TRY(parts_.store.find(canonical, deadline()));
    TRY(check_pinnable(certificate, identity, parts_.clock.now()));
    return parts_.store.add_certificate(canonical, pinned, deadline());
  };
  return audit_.recorded(caller, "add_certificate", uri, work, fingerprint);
}

Result<Identity> IdentityAdmin::remove_certificate(const rpc::Caller& caller, std::string_view uri,
                                                   Bytes fingerprint) {
  const auto work = [&]() -> Result<Identity> {
    const std::string canonical = TRY(canonical_uri(uri));
    return parts_.store.remove_certificate(canonical, fingerprint, deadline());
  };
  return audit_.recorded(caller, "remove_certificate", uri, work, to_hex(fingerprint));
}

Result<Identity> IdentityAdmin::add_member(const rpc::Caller& caller, std::string_view group,
                                           std::string_view member) {
  return change_part(caller, "add_group_member", group, member, &IdentityStore::add_member,
                     &canonical_uri);
}

Result<Identity> IdentityAdmin::remove_member(const rpc::Caller& caller, std::string_view group,
                                              std::string_view member) {
  return change_part(caller, "remove_group_member", group, member, &IdentityStore::remove_member,
                     &canonical_uri);
}

Result<MemberPage> IdentityAdmin::list_members(std::string_view group, std::string_view after,
                                               std::size_t page_size) {
  const std::string canonical = TRY(canonical_uri(group));
  return parts_.store.list_members(canonical, after, TRY(checked_page_size(page_size)), deadline());
}

Result<SharedTpk> IdentityAdmin::share_tpk(const rpc::Caller& caller, std::string_view uri) {
  const auto work = [&]() -> Result<SharedTpk> {
    const std::string name = TRY(canonical_name(uri));
    const auto hold = parts_.kek.hold();
    NewTpk tpk = TRY(make_tpk(KeyKind::shared_tpk, name, parts_.kek, parts_.random));
    SharedTpk shared{tpk.wrapped.id, std::move(tpk.key)};
    TRY(parts_.store.share_tpk(name, std::move(tpk.wrapped), deadline()));
    return shared;
  };
  return audit_.recorded(caller, "share_tpk", uri, work);
}

Result<std::size_t> IdentityAdmin::unshare_tpk(const rpc::Caller& caller, std::string_view uri,
                                               Bytes tpk_id) {
  const auto work = [&]() -> Result<std::size_t> {
    const std::string canonical = TRY(canonical_uri(uri));
    const std::size_t removed = TRY(parts_.store.unshare_tpk(canonical, tpk_id, deadline()));
    if (removed == 0) {
      return fail(Category::not_found,
                  fmt::format("no such ticket protection key is shared with {}", canonical));
    }
    return removed;
  };
  return audit_.recorded(caller, "unshare_tpk", uri, work);
}

Result<Tpk> IdentityAdmin::add_tpk(const rpc::Caller& caller, TpkState state,
                                   std::string_view operation) {
  const auto hold = parts_.kek.hold();
  NewTpk tpk = TRY(make_tpk(KeyKind::own_tpk, {}, parts_.kek, parts_.random));
  const std::string id = to_string(Bytes(tpk.wrapped.id));
  return audit_.recorded(caller, operation, id, [&] {
    return parts_.store.add_tpk(std::move(tpk.wrapped), state, deadline());
  });
}

Result<Tpk> IdentityAdmin::set_tpk_state(const rpc::Caller& caller, Bytes tpk_id, TpkState state,
                                         std::string_view operation) {
  return audit_.recorded(caller, operation, as_text(tpk_id),
                         [&] { return parts_.store.set_tpk_state(tpk_id, state, deadline()); });
}

Result<Tpk> IdentityAdmin::prepare_tpk(const rpc::Caller& caller) {
  return add_tpk(caller, TpkState::prepared, "prepare_tpk");
}

Result<Tpk> IdentityAdmin::rotate_tpk(const rpc::Caller& caller) {
  return add_tpk(caller, TpkState::active, "rotate_tpk");
}

Result<Tpk> IdentityAdmin::activate_tpk(const rpc::Caller& caller, Bytes tpk_id) {
  return set_tpk_state(caller, tpk_id, TpkState::active, "activate_tpk");
}

Result<Tpk> IdentityAdmin::retire_tpk(const rpc::Caller& caller, Bytes tpk_id) {
  return set_tpk_state(caller, tpk_id, TpkState::retired, "retire_tpk");
}

Result<Tpk> IdentityAdmin::revoke_tpk(const rpc::Caller& caller, Bytes tpk_id) {
  return set_tpk_state(caller, tpk_id, TpkState::revoked, "revoke_tpk");
}

Result<std::vector<Tpk>> IdentityAdmin::list_tpks() { return parts_.store.list_tpks(deadline()); }

}  // namespace keystub::kms
