#include "kms-server/key_directory.h"

#include <algorithm>

#include "mikey/public_key/certificate.h"

namespace keystub::kms {
namespace {

// A name in the cache of TPKs; the ids stand behind "id:".
constexpr std::string_view kActive = "active";
constexpr std::size_t kUsualKey = 32;       // octets
constexpr std::string_view kBook = "book";  // the only name in the cache of the policy
std::string name_of_tpk(Bytes id) { return std::string("id:").append(as_text(id)); }

WallTime end_of(const PinnedCertificate& pinned) {
  const auto certificate = mikey::Certificate::from_der(pinned.der);
  return certificate ? certificate->not_after() : WallTime();
}

// The canonical name of whom `name` belongs to.
std::optional<std::string> owner_in(PackedCache& owners, std::string_view name) {
  std::optional<std::string> owner;
  owners.find(name, [&](Bytes uri) { owner = to_string(uri); });
  return owner;
}

}  // namespace

KeyDirectory::KeyDirectory(IdentityStore& store, const Kek& kek, const CacheLimits& limits)
    : store_(store),
      kek_(kek),
      identities_(limits.keys),
      packed_identities_(limits.packed_octets),
      alias_owners_(limits.packed_octets / 8),
      psk_owners_(limits.packed_octets / 8),
      tpks_(limits.keys),
      policy_(1) {
  store_.on_change([this](const Change& change) {
    switch (change.subject) {
      case ChangeSubject::identity:
        identities_.erase(as_text(change.key));
        packed_identities_.erase(as_text(change.key));
        break;
      case ChangeSubject::own_tpk:
        tpks_.erase(kActive);
        tpks_.erase(name_of_tpk(change.key));
        break;
      case ChangeSubject::policy_rule: policy_.erase(kBook); break;
    }
  });
}

KeyDirectory::~KeyDirectory() { store_.on_change(nullptr); }

Result<std::shared_ptr<const OpenIdentity>> KeyDirectory::open(const Identity& identity) const {
  auto opened = std::make_shared<OpenIdentity>();
  opened->uri = identity.uri;
  opened->kind = identity.kind;
  opened->state = identity.state;
  opened->created = identity.created;
  opened->aliases = identity.aliases;
  opened->owned_patterns = identity.owned_patterns;
  for (const WrappedPsk& psk : identity.psks) {
    Psk key = TRY(kek_.unwrap<PskTag>(psk.wrapped, {KeyKind::psk, identity.uri, psk.id}));
    opened->psks.push_back({psk.id, std::move(key), psk.expires});
  }
  for (const GroupMembership& membership : identity.groups) {
    if (membership.active) opened->groups.push_back(membership.group);
  }
  for (const WrappedKey& tpk : identity.shared_tpks) opened->shared_tpk_ids.push_back(tpk.id);
  opened->certificates = identity.certificates;
  std::ranges::sort(opened->certificates, std::ranges::greater(), &end_of);
  return opened;
}

// What an identity costs that is there: an unknown one takes as long, under a key that is none, and
// goes nowhere.
void KeyDirectory::spend_an_opening(std::string_view uri) const {
  static const ByteVector no_key(Kek::kOverhead + kUsualKey, Kek::kLayout);
  (void)kek_.unwrap<PskTag>(no_key, {KeyKind::psk, uri, as_bytes(uri)});
  OpenIdentity nobody;
  nobody.uri = uri;
  nobody.psks.push_back({to_vector(as_bytes(uri)), Psk(kUsualKey), {}});
  (void)pack(nobody);
}

Result<std::shared_ptr<const OpenTpk>> KeyDirectory::open(const Tpk& tpk) const {
  if (tpk.state == TpkState::revoked) {
    return fail(Category::not_found, "the ticket protection key is revoked");
  }
  auto opened = std::make_shared<OpenTpk>();
  opened->id = tpk.key.id;
  opened->owner = tpk.owner;
  const KeyBinding binding{tpk.owner ? KeyKind::shared_tpk : KeyKind::own_tpk,
                           tpk.owner ? std::string_view(*tpk.owner) : std::string_view(),
                           tpk.key.id};
  opened->key = TRY(kek_.unwrap<mikey::TpkTag>(tpk.key.wrapped, binding));
  return opened;
}

std::shared_ptr<const OpenIdentity> KeyDirectory::cached_by_name(std::string_view canonical) {
  if (auto identity = identities_.find(canonical)) return identity;
  const auto load = identities_.begin_load(canonical);
  std::shared_ptr<const OpenIdentity> identity;
  packed_identities_.find(canonical, [&](Bytes packed) { identity = unpack(canonical, packed); });
  // One in eight stays ready: who asks often is soon among them, and those who ask now and then do
  // not push each other out all the time.
  thread_local unsigned unpacked = 0;
  if (identity != nullptr && ++unpacked % 8 == 0) identities_.insert(load, canonical, identity);
  return identity;
}

std::shared_ptr<const OpenIdentity> KeyDirectory::cached_identity(std::string_view uri) {
  if (auto identity = cached_by_name(uri)) return identity;
  const auto owner = owner_in(alias_owners_, uri);
  if (!owner) return nullptr;
  auto identity = cached_by_name(*owner);
  return identity != nullptr && identity->has_uri(uri) ? identity : nullptr;
}

// One look into the store, whatever `uri` is: an alias, another name, or nobody's.
Result<std::shared_ptr<const OpenIdentity>> KeyDirectory::find_identity(std::string_view uri,
                                                                        Deadline deadline) {
  if (const auto owner = owner_in(alias_owners_, uri)) {
    auto identity = find_by_name(*owner, deadline);
    const bool gone = !identity && identity.error().category() == Category::not_found;
    if (!gone && (!identity || (*identity)->has_uri(uri))) return identity;
  }
  return find_by_name(uri, deadline);
}

Result<std::shared_ptr<const OpenIdentity>> KeyDirectory::find_by_name(std::string_view name,
                                                                       Deadline deadline) {
  const auto load = identities_.begin_load(name);
  const auto packed_load = packed_identities_.begin_load(name);
  const auto alias_load = alias_owners_.begin_load(name);
  const auto found = store_.find(name, deadline);
  if (!found) {
    if (found.error().category() == Category::not_found) spend_an_opening(name);
    return std::unexpected(found.error());
  }
  auto opened = TRY(open(*found));
  if (opened->uri != name) {
    // The loads are of the alias: the identity is cached when it is looked for again, by its name.
    alias_owners_.insert(alias_load, name, as_bytes(opened->uri));
    return opened;
  }
  identities_.insert(load, name, opened);
  packed_identities_.insert(packed_load, name, pack(*opened).reveal());
  return opened;
}

std::shared_ptr<const OpenIdentity> KeyDirectory::cached_speaker(std::string_view uri) {
  if (auto identity = cached_by_name(uri)) return identity;
  const auto owner = owner_in(alias_owners_, uri);
  if (!owner) return nullptr;
  auto identity = cached_by_name(*owner);
  return identity != nullptr && identity->answers_to(uri) ? identity : nullptr;
}

Result<std::shared_ptr<const OpenIdentity>> KeyDirectory::find_speaker(std::string_view uri,
                                                                       Deadline deadline) {
  auto named = find_identity(uri, deadline);
  if (named || named.error().category() != Category::not_found) return named;
  const auto load = alias_owners_.begin_load(uri);
  const Identity owner = TRY(store_.find_owner(uri, deadline));
  alias_owners_.insert(load, uri, as_bytes(owner.uri));
  return find_by_name(owner.uri, deadline);
}

std::shared_ptr<const OpenIdentity> KeyDirectory::cached_identity_of_psk(Bytes psk_id) {
  const auto uri = owner_in(psk_owners_, as_text(psk_id));
  if (!uri) return nullptr;
  auto identity = cached_by_name(*uri);
  return identity != nullptr && identity->has_psk(psk_id) ? identity : nullptr;
}

Result<std::shared_ptr<const OpenIdentity>> KeyDirectory::find_identity_of_psk(Bytes psk_id,
                                                                               Deadline deadline) {
  const auto load = psk_owners_.begin_load(as_text(psk_id));
  const Identity owner = TRY(store_.find_by_psk_id(psk_id, deadline));
  psk_owners_.insert(load, as_text(psk_id), as_bytes(owner.uri));
  if (auto known = cached_identity_of_psk(psk_id)) return known;
  return find_by_name(owner.uri, deadline);
}

std::shared_ptr<const OpenTpk> KeyDirectory::cached_tpk(Bytes tpk_id) {
  return tpks_.find(name_of_tpk(tpk_id));
}

Result<std::shared_ptr<const OpenTpk>> KeyDirectory::find_tpk(Bytes tpk_id, Deadline deadline) {
  const std::string name = name_of_tpk(tpk_id);
  const auto load = tpks_.begin_load(name);
  const Tpk tpk = TRY(store_.find_tpk(tpk_id, deadline));
  auto opened = TRY(open(tpk));
  tpks_.insert(load, name, opened);
  return opened;
}

std::shared_ptr<const OpenTpk> KeyDirectory::cached_active_tpk() { return tpks_.find(kActive); }

Result<std::shared_ptr<const OpenTpk>> KeyDirectory::find_active_tpk(Deadline deadline) {
  const auto load = tpks_.begin_load(kActive);
  const Tpk tpk = TRY(store_.active_tpk(deadline));
  auto opened = TRY(open(tpk));
  tpks_.insert(load, kActive, opened);
  return opened;
}

std::shared_ptr<const PolicyBook> KeyDirectory::cached_policy() { return policy_.find(kBook); }

Result<std::shared_ptr<const PolicyBook>> KeyDirectory::find_policy(Deadline deadline) {
  const auto load = policy_.begin_load(kBook);
  auto book = std::make_shared<const PolicyBook>(TRY(store_.list_rules(deadline)));
  policy_.insert(load, kBook, book);
  return book;
}

}  // namespace keystub::kms
