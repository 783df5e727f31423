#include "kms-server/open_identity.h"

#include <algorithm>

#include "base/byte_reader.h"
#include "base/byte_writer.h"
#include "kms-server/uri_pattern.h"

namespace keystub::kms {
namespace {

// What stands with a key.
constexpr std::uint8_t kHasName = 1;  // none: it is named like the identity
constexpr std::uint8_t kExpires = 2;

constexpr std::size_t kMostOfIdentity = 1 + 8 + 5 * 2;  // kind and state, time, counts
constexpr std::size_t kMostOfKey = 1 + 2 + 8 + 1;       // form, size of its name, time, size
constexpr std::size_t kLength = 2;

Bytes octets_of(const std::string& text) { return as_bytes(text); }
Bytes octets_of(const ByteVector& octets) { return octets; }

// The lists that most identities have nothing in.
template <class Opened, class Visit>
void visit_lists(Opened& identity, Visit visit) {
  visit(identity.aliases);
  visit(identity.owned_patterns);
  visit(identity.shared_tpk_ids);
  visit(identity.groups);
}

// No less than pack() writes: its buffer must not grow, which would leave keys behind.
std::size_t size_bound(const OpenIdentity& identity) {
  std::size_t size = kMostOfIdentity;
  for (const OpenIdentity::NamedPsk& psk : identity.psks) {
    size += kMostOfKey + psk.id.size() + psk.key.size();
  }
  visit_lists(identity, [&](const auto& list) {
    for (const auto& item : list) size += kLength + item.size();
  });
  for (const PinnedCertificate& pinned : identity.certificates) {
    size += 2 * kLength + pinned.fingerprint.size() + pinned.der.size();
  }
  return size;
}

bool has_nothing_but_keys(const OpenIdentity& identity) {
  bool nothing = identity.certificates.empty();
  visit_lists(identity, [&](const auto& list) { nothing = nothing && list.empty(); });
  return nothing;
}

void put(ByteWriter& out, Bytes octets) {
  out.u16(static_cast<std::uint16_t>(octets.size()));
  out.bytes(octets);
}
Bytes get(ByteReader& in) { return in.bytes(in.u16("length"), "octets"); }

void put(ByteWriter& out, WallTime time) {
  out.u64(static_cast<std::uint64_t>(time.time_since_epoch().count()));
}
WallTime get_time(ByteReader& in) {
  return WallTime(WallTime::duration(static_cast<std::int64_t>(in.u64("time"))));
}

}  // namespace

const mikey::Prepared<Psk>* OpenIdentity::psk(Bytes id, WallTime now) const noexcept {
  const Bytes wanted = id.empty() ? as_bytes(uri) : id;
  const NamedPsk* only = nullptr;
  std::size_t alive = 0;
  for (const NamedPsk& psk : psks) {
    if (psk.expires && *psk.expires <= now) continue;
    if (equal(psk.id, wanted)) return &psk.key;
    only = &psk;
    ++alive;
  }
  return id.empty() && alive == 1 ? &only->key : nullptr;
}

bool OpenIdentity::has_psk(Bytes id) const noexcept {
  return std::ranges::any_of(psks, [id](const NamedPsk& psk) { return equal(psk.id, id); });
}

bool OpenIdentity::holds_tpk(Bytes id) const noexcept {
  return std::any_of(shared_tpk_ids.begin(), shared_tpk_ids.end(),
                     [id](const ByteVector& held) { return equal(held, id); });
}

bool OpenIdentity::has_uri(std::string_view canonical) const noexcept {
  return uri == canonical || std::ranges::find(aliases, canonical) != aliases.end();
}

bool OpenIdentity::owns(std::string_view canonical) const noexcept {
  return std::ranges::any_of(owned_patterns, [canonical](const std::string& pattern) {
    return covers(pattern, canonical);
  });
}

PackedIdentity pack(const OpenIdentity& identity) {
  ByteWriter out(size_bound(identity));
  out.u8(static_cast<std::uint8_t>(static_cast<unsigned>(identity.kind) << 4 |
                                   static_cast<unsigned>(identity.state)));
  put(out, identity.created);
  out.u8(static_cast<std::uint8_t>(identity.psks.size()));
  for (const OpenIdentity::NamedPsk& psk : identity.psks) {
    const bool has_name = !equal(psk.id, as_bytes(identity.uri));
    out.u8(static_cast<std::uint8_t>((has_name ? kHasName : 0) | (psk.expires ? kExpires : 0)));
    if (has_name) put(out, psk.id);
    if (psk.expires) put(out, *psk.expires);
    out.u8(static_cast<std::uint8_t>(psk.key.size()));
    out.bytes(psk.key.reveal());
  }
  if (!has_nothing_but_keys(identity)) {
    visit_lists(identity, [&](const auto& list) {
      out.u16(static_cast<std::uint16_t>(list.size()));
      for (const auto& item : list) put(out, octets_of(item));
    });
    for (const PinnedCertificate& pinned : identity.certificates) {
      put(out, pinned.fingerprint);
      put(out, pinned.der);
    }
  }
  ByteVector octets = std::move(out).take();
  PackedIdentity packed{Bytes(octets)};
  wipe(octets);
  return packed;
}

std::shared_ptr<const OpenIdentity> unpack(std::string_view uri, Bytes packed) {
  ByteReader in("packed identity", packed);
  auto identity = std::make_shared<OpenIdentity>();
  identity->uri = uri;
  const std::uint8_t kind_and_state = in.u8("kind and state");
  identity->kind = static_cast<IdentityKind>(kind_and_state >> 4);
  identity->state = static_cast<IdentityState>(kind_and_state & 0xF);
  identity->created = get_time(in);
  const std::size_t keys = in.u8("number of keys");
  identity->psks.reserve(keys);
  for (std::size_t i = 0; i < keys; ++i) {
    const std::uint8_t form = in.u8("form of a key");
    OpenIdentity::NamedPsk& psk = identity->psks.emplace_back();
    psk.id = to_vector((form & kHasName) != 0 ? get(in) : as_bytes(uri));
    if ((form & kExpires) != 0) psk.expires = get_time(in);
    psk.key = Psk(in.bytes(in.u8("size of a key"), "key"));
  }
  if (!in.at_end()) {
    visit_lists(*identity, [&](auto& list) {
      for (std::size_t left = in.u16("count"); left > 0 && in.check(); --left) {
        const Bytes octets = get(in);
        list.emplace_back(octets.begin(), octets.end());
      }
    });
    while (!in.at_end()) {
      identity->certificates.push_back({to_vector(get(in)), to_vector(get(in))});
    }
  }
  return in.check() ? identity : nullptr;
}

}  // namespace keystub::kms
