#include "kms-server/kek_rewrap.h"

#include <fmt/format.h>

#include <functional>

namespace keystub::kms {
namespace {

constexpr std::size_t kKeysPerStep = 256;

struct KeyTag;

KeyBinding binding_of(const StoredKey& key) { return {key.kind, key.owner, key.id}; }

Result<KekSlot> opener_of(const Kek& kek, const StoredKey& key) {
  if (const auto slot = kek.opener_of(key.wrapped, binding_of(key))) return *slot;
  return fail(Category::internal,
              fmt::format("the key {} of \"{}\" opens under neither KEK: it was changed or moved; "
                          "nothing of it was written; restore the database",
                          to_hex(key.id), key.owner));
}

// All keys, a step at a time: `visit` gets those of one table.
using Visit = std::function<Result<void>(KeyTable, const std::vector<StoredKey>&)>;
Result<void> for_all_keys(IdentityStore& store, std::chrono::milliseconds timeout,
                          const Visit& visit) {
  for (const KeyTable table : {KeyTable::psks, KeyTable::tpks}) {
    ByteVector after;
    for (;;) {
      const auto keys = TRY(store.list_keys(table, after, kKeysPerStep, Deadline::in(timeout)));
      if (keys.empty()) break;
      after = keys.back().id;
      TRY(visit(table, keys));
    }
  }
  return {};
}

// One pass over all keys.
Result<RewrapReport> move_keys(IdentityStore& store, const Kek& kek, RandomSource& random,
                               std::chrono::milliseconds timeout) {
  RewrapReport report;
  TRY(for_all_keys(
      store, timeout, [&](KeyTable table, const std::vector<StoredKey>& keys) -> Result<void> {
        std::vector<RewrappedKey> rewrapped;
        for (const StoredKey& key : keys) {
          if (TRY(opener_of(kek, key)) == KekSlot::next) continue;
          const auto open = TRY(kek.unwrap<KeyTag>(key.wrapped, binding_of(key)));
          ByteVector wrapped = TRY(kek.wrap(open.reveal(), binding_of(key), random));
          rewrapped.push_back({table, key.id, key.wrapped, std::move(wrapped)});
        }
        report.keys += keys.size();
        if (rewrapped.empty()) return {};
        report.moved += TRY(store.replace_keys(std::move(rewrapped), Deadline::in(timeout)));
        return {};
      }));
  return report;
}

}  // namespace

Result<RewrapReport> count_keys_to_rewrap(IdentityStore& store, const Kek& kek,
                                          std::chrono::milliseconds store_timeout) {
  TRY(kek.require_next());
  RewrapReport report;
  TRY(for_all_keys(store, store_timeout,
                   [&](KeyTable, const std::vector<StoredKey>& keys) -> Result<void> {
                     for (const StoredKey& key : keys) {
                       if (TRY(opener_of(kek, key)) == KekSlot::current) ++report.moved;
                     }
                     report.keys += keys.size();
                     return {};
                   }));
  return report;
}

Result<RewrapReport> rewrap_keys(IdentityStore& store, Kek& kek, RandomSource& random,
                                 std::chrono::milliseconds store_timeout) {
  RewrapReport total = TRY(count_keys_to_rewrap(store, kek, store_timeout));
  total.moved = 0;
  // A step of an earlier call may have happened without its answer.
  TRY(take_up_rewrap(store, kek, store_timeout));
  if (!kek.has_next()) return total;
  if (!kek.moving()) {
    ByteVector check = TRY(kek.make_next_check_value(random));
    TRY(store.begin_kek_move(std::move(check), Deadline::in(store_timeout)));
    TRY(kek.begin_move());
  }
  // A change that was wrapped before begin_move() may still wait in the store, for a caller that
  // gave up: an empty step passes behind it.
  TRY(store.replace_keys({}, Deadline::in(store_timeout)));
  for (;;) {
    const RewrapReport pass = TRY(move_keys(store, kek, random, store_timeout));
    total.keys = pass.keys;
    total.moved += pass.moved;
    if (pass.moved == 0) break;
  }
  TRY(store.end_kek_move(Deadline::in(store_timeout)));
  TRY(kek.end_move());
  return total;
}

Result<void> take_up_rewrap(IdentityStore& store, Kek& kek,
                            std::chrono::milliseconds store_timeout) {
  const KekChecks checks = TRY(store.kek_checks(Deadline::in(store_timeout)));
  if (checks.next) {
    if (kek.opener_of_check_value(*checks.next) == KekSlot::next) return kek.begin_move();
    return fail(
        Category::denied,
        "keys are being moved to another KEK than the one in [kek_next]: put that one there");
  }
  if (kek.opener_of_check_value(checks.current) == KekSlot::next) return kek.end_move();
  return {};
}

}  // namespace keystub::kms
