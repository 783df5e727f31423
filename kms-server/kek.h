// The key encryption key (KEK): wraps every key that the KMS stores.
//
// AES-256-GCM with a random 96-bit nonce per wrapping. What a wrapped key is (its kind), whose row
// it stands in and which id it has are bound in as associated data, so that a wrapped key that is
// moved to another row does not open. There is no default KEK.
//
// Beside the KEK in use another one can stand, to which the keys are moved while the KMS serves
// (kek_rewrap.h): then what either of them wrapped opens, and new keys are wrapped under the next
// one from begin_move() on.
//
// Wrapped form: octet 0x01 (this layout) || nonce (12) || ciphertext || tag (16).
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string_view>

#include "base/bytes.h"
#include "base/random.h"
#include "base/secret.h"
#include "service/secret_file.h"

namespace keystub::kms {

struct KekTag;

// What a wrapped key is for. The text is part of the associated data: never change one.
enum class KeyKind : std::uint8_t {
  psk,         // pre-shared key of an identity
  shared_tpk,  // ticket protection key shared with an identity (mode 3)
  own_tpk,     // ticket protection key of the KMS
  kek_check,   // the stored value that recognises a wrong KEK
};

// The row that a wrapped key belongs to.
struct KeyBinding {
  KeyKind kind;
  std::string_view owner;  // canonical URI of the identity; empty for keys of the KMS
  Bytes key_id;
};

enum class KekSlot : std::uint8_t { current, next };

// Threads: safe from several threads, but for being moved from.
class Kek {
 public:
  static constexpr std::size_t kSize = 32;      // octets
  static constexpr std::size_t kOverhead = 29;  // octets that wrapping adds
  static constexpr std::uint8_t kLayout = 1;    // the first octet of what is wrapped

  // Reads a file of exactly 32 octets that only its owner can read (0600 or less; or as `mode`
  // says). Fails denied for other permissions, malformed for another size, not_found or unavailable
  // otherwise.
  static Result<Kek> load(const std::filesystem::path& path,
                          service::SecretFileMode mode = service::SecretFileMode::owner_only);
  // Makes a new KEK and its file (0600). Fails (conflict) if the file exists.
  static Result<Kek> create(const std::filesystem::path& path, RandomSource& random);
  // Fails (malformed) unless `key` has 32 octets.
  static Result<Kek> from_octets(Bytes key);

  Kek(Kek&&) noexcept = default;
  Kek& operator=(Kek&&) noexcept = default;
  ~Kek() = default;

  Result<ByteVector> wrap(Bytes key, const KeyBinding& binding, RandomSource& random) const;
  // Fails (internal) if the bytes were changed, stand in another row, or were wrapped under
  // another KEK.
  template <class Tag>
  Result<Secret<Tag>> unwrap(Bytes wrapped, const KeyBinding& binding) const {
    Secret<Tag> key(wrapped.size() < kOverhead ? 0 : wrapped.size() - kOverhead);
    TRY(open(wrapped, binding, key.reveal_mutable()));
    return key;
  }

  // A wrapped constant, to be stored beside the first key; and its test. A wrong KEK fails
  // (denied) with a sentence that says what to do.
  Result<ByteVector> make_check_value(RandomSource& random) const;
  Result<void> verify_check_value(Bytes check_value) const;

  // Which of the two opens it; none: neither.
  std::optional<KekSlot> opener_of(Bytes wrapped, const KeyBinding& binding) const;
  std::optional<KekSlot> opener_of_check_value(Bytes check_value) const;

  // The KEK that keys can be moved to. Without effect when it is the one in use; fails (conflict)
  // while keys are moved.
  Result<void> set_next(Kek next);
  bool has_next() const;
  // Fails (conflict) when there is none, and says how to get one.
  Result<void> require_next() const;
  bool moving() const;
  // The check value of the next KEK. Fails (conflict) when there is none.
  Result<ByteVector> make_next_check_value(RandomSource& random) const;
  // From when it returns, all keys are wrapped under the next KEK. Waits for whoever holds.
  // Fails (conflict) when there is no next one.
  Result<void> begin_move();
  // The next KEK takes the place of the one in use, which is wiped. Fails (conflict) as above.
  Result<void> end_move();

  // Whether the two use the same key now, whatever stands beside it.
  bool same_current(const Kek& other) const;

  // For who wraps a key and has it stored: as long as it is held, no move begins.
  [[nodiscard]] std::shared_lock<std::shared_mutex> hold() const;

 private:
  using Key = std::shared_ptr<const Secret<KekTag>>;
  struct Keys {
    Key current;
    Key next;  // null: none
    bool moving = false;
  };
  struct State {
    mutable std::mutex mutex;
    Keys keys;
    mutable std::shared_mutex wrapping;
  };

  explicit Kek(Secret<KekTag> key);
  Keys keys() const;
  Result<void> open(Bytes wrapped, const KeyBinding& binding, MutableBytes out) const;

  std::unique_ptr<State> state_;
};

}  // namespace keystub::kms
