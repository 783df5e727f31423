// The key encryption key (KEK): wraps every key that the KMS stores.
//
// AES-256-GCM with a random 96-bit nonce per wrapping. What a wrapped key is (its kind), whose row
// it stands in and which id it has are bound in as associated data, so that a wrapped key that is
// moved to another row does not open. There is no default KEK.
//
// Wrapped form: octet 0x01 (this layout) || nonce (12) || ciphertext || tag (16).
#pragma once

#include <filesystem>
#include <string_view>

#include "base/bytes.h"
#include "base/random.h"
#include "base/secret.h"

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

// Threads: const use from several threads is safe.
class Kek {
 public:
  static constexpr std::size_t kSize = 32;      // octets
  static constexpr std::size_t kOverhead = 29;  // octets that wrapping adds

  // Reads a file of exactly 32 octets that only its owner can read (0600 or less). Fails denied
  // for other permissions, malformed for another size, not_found or unavailable otherwise.
  static Result<Kek> load(const std::filesystem::path& path);
  // Makes a new KEK and its file (0600). Fails (conflict) if the file exists.
  static Result<Kek> create(const std::filesystem::path& path, RandomSource& random);
  // Fails (malformed) unless `key` has 32 octets.
  static Result<Kek> from_octets(Bytes key);

  Kek(Kek&&) noexcept = default;
  Kek& operator=(Kek&&) noexcept = default;

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

 private:
  explicit Kek(Secret<KekTag> key) : key_(std::move(key)) {}
  Result<void> open(Bytes wrapped, const KeyBinding& binding, MutableBytes out) const;

  Secret<KekTag> key_;
};

}  // namespace keystub::kms
