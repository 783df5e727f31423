#include "kms-server/kek.h"

#include <fmt/format.h>

#include <memory>

#include "base/byte_writer.h"
#include "base/openssl_ptr.h"

namespace keystub::kms {
namespace {

constexpr std::size_t kNonceSize = 12;
constexpr std::size_t kTagSize = 16;
static_assert(Kek::kOverhead == 1 + kNonceSize + kTagSize);

constexpr std::string_view kCheckPlaintext = "keystub kek check value 1";
constexpr KeyBinding kCheckBinding{KeyKind::kek_check, {}, {}};

using CipherContext = OpenSslPtr<EVP_CIPHER_CTX>;

std::string_view kind_text(KeyKind kind) {
  switch (kind) {
    case KeyKind::psk: return "psk";
    case KeyKind::shared_tpk: return "shared-tpk";
    case KeyKind::own_tpk: return "own-tpk";
    case KeyKind::kek_check: return "kek-check";
  }
  return {};
}

// Lengths in front, so that no two bindings give the same octets.
ByteVector associated_data(const KeyBinding& binding) {
  ByteWriter out;
  out.u8(Kek::kLayout);
  for (const Bytes part :
       {as_bytes(kind_text(binding.kind)), as_bytes(binding.owner), binding.key_id}) {
    out.u32(static_cast<std::uint32_t>(part.size()));
    out.bytes(part);
  }
  return std::move(out).take();
}

// Looked up once: OpenSSL takes longer to find an algorithm than to open a key. It lives as long as
// the process.
const EVP_CIPHER* aes_256_gcm() {
  static const EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  return cipher;
}

bool has_layout(Bytes wrapped) {
  return wrapped.size() >= Kek::kOverhead && wrapped[0] == Kek::kLayout;
}

int length_of(Bytes bytes) { return static_cast<int>(bytes.size()); }

Result<ByteVector> wrap_under(const Secret<KekTag>& kek, Bytes key, const KeyBinding& binding,
                              RandomSource& random) {
  ByteVector out(Kek::kOverhead + key.size());
  out[0] = Kek::kLayout;
  const MutableBytes nonce = MutableBytes(out).subspan(1, kNonceSize);
  TRY(random.fill(nonce));
  const MutableBytes ciphertext = MutableBytes(out).subspan(1 + kNonceSize, key.size());
  const MutableBytes tag = MutableBytes(out).last(kTagSize);
  const ByteVector bound = associated_data(binding);

  const CipherContext context(EVP_CIPHER_CTX_new());
  int written = 0;
  int finished = 0;
  if (context == nullptr ||
      EVP_EncryptInit_ex(context.get(), aes_256_gcm(), nullptr, kek.reveal().data(),
                         nonce.data()) != 1 ||
      EVP_EncryptUpdate(context.get(), nullptr, &written, bound.data(), length_of(bound)) != 1 ||
      EVP_EncryptUpdate(context.get(), ciphertext.data(), &written, key.data(), length_of(key)) !=
          1 ||
      EVP_EncryptFinal_ex(context.get(), ciphertext.data() + written, &finished) != 1 ||
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, static_cast<int>(kTagSize),
                          tag.data()) != 1) {
    return fail(Category::internal, "AES-256-GCM failed to wrap a key");
  }
  return out;
}

// `wrapped` has this layout. Where it does not open, `out` is wiped.
bool opens(const Secret<KekTag>& kek, Bytes wrapped, const KeyBinding& binding, MutableBytes out) {
  const Bytes nonce = wrapped.subspan(1, kNonceSize);
  const Bytes ciphertext = wrapped.subspan(1 + kNonceSize, wrapped.size() - Kek::kOverhead);
  ByteVector tag = to_vector(wrapped.last(kTagSize));
  const ByteVector bound = associated_data(binding);

  const CipherContext context(EVP_CIPHER_CTX_new());
  int written = 0;
  int finished = 0;
  const bool opened =
      context != nullptr &&
      EVP_DecryptInit_ex(context.get(), aes_256_gcm(), nullptr, kek.reveal().data(),
                         nonce.data()) == 1 &&
      EVP_DecryptUpdate(context.get(), nullptr, &written, bound.data(), length_of(bound)) == 1 &&
      EVP_DecryptUpdate(context.get(), out.data(), &written, ciphertext.data(),
                        length_of(ciphertext)) == 1 &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, static_cast<int>(kTagSize),
                          tag.data()) == 1 &&
      EVP_DecryptFinal_ex(context.get(), out.data() + written, &finished) == 1;
  if (!opened) wipe(out);  // GCM gives plaintext out before the tag is checked
  return opened;
}

}  // namespace

Kek::Kek(Secret<KekTag> key) : state_(std::make_unique<State>()) {
  state_->keys.current = std::make_shared<const Secret<KekTag>>(std::move(key));
}

Kek::Keys Kek::keys() const {
  const std::lock_guard lock(state_->mutex);
  return state_->keys;
}

Result<Kek> Kek::from_octets(Bytes key) {
  if (key.size() != kSize) {
    return fail(Category::malformed, fmt::format("a KEK has {} octets, not {}", kSize, key.size()));
  }
  return Kek(Secret<KekTag>(key));
}

Result<Kek> Kek::load(const std::filesystem::path& path, service::SecretFileMode mode) {
  return Kek(
      TRY(service::read_secret<KekTag>(path, service::SecretEncoding::raw, kSize, kSize, mode)));
}

Result<Kek> Kek::create(const std::filesystem::path& path, RandomSource& random) {
  auto key = TRY(random.secret<KekTag>(kSize));
  TRY(service::write_secret(path, service::SecretEncoding::raw, key.reveal()));
  return Kek(std::move(key));
}

Result<ByteVector> Kek::wrap(Bytes key, const KeyBinding& binding, RandomSource& random) const {
  const Keys keys = this->keys();
  return wrap_under(keys.moving ? *keys.next : *keys.current, key, binding, random);
}

Result<void> Kek::open(Bytes wrapped, const KeyBinding& binding, MutableBytes out) const {
  if (!has_layout(wrapped)) {
    return fail(Category::internal,
                fmt::format("a stored {} key of \"{}\" is not in the wrapped form",
                            kind_text(binding.kind), binding.owner));
  }
  const Keys keys = this->keys();
  if (opens(*keys.current, wrapped, binding, out) ||
      (keys.next != nullptr && opens(*keys.next, wrapped, binding, out))) {
    return {};
  }
  return fail(Category::internal,
              fmt::format("a stored {} key of \"{}\" does not open under this KEK: it was changed "
                          "or moved; restore the database",
                          kind_text(binding.kind), binding.owner));
}

std::optional<KekSlot> Kek::opener_of(Bytes wrapped, const KeyBinding& binding) const {
  if (!has_layout(wrapped)) return std::nullopt;
  const Keys keys = this->keys();
  Secret<KekTag> opened(wrapped.size() - kOverhead);
  if (opens(*keys.current, wrapped, binding, opened.reveal_mutable())) return KekSlot::current;
  if (keys.next != nullptr && opens(*keys.next, wrapped, binding, opened.reveal_mutable())) {
    return KekSlot::next;
  }
  return std::nullopt;
}

Result<ByteVector> Kek::make_check_value(RandomSource& random) const {
  return wrap(as_bytes(kCheckPlaintext), kCheckBinding, random);
}

Result<void> Kek::verify_check_value(Bytes check_value) const {
  if (!opener_of_check_value(check_value)) {
    return fail(Category::denied,
                "this KEK is not the one that the database was made with: correct the "
                "table [kek] of the configuration, or the passphrase; nothing was written");
  }
  return {};
}

std::optional<KekSlot> Kek::opener_of_check_value(Bytes check_value) const {
  return opener_of(check_value, kCheckBinding);
}

Result<void> Kek::set_next(Kek next) {
  const Key key = next.keys().current;
  const std::lock_guard lock(state_->mutex);
  Keys& keys = state_->keys;
  if (equal_constant_time(key->reveal(), keys.current->reveal())) return {};
  if (keys.moving) {
    if (equal_constant_time(key->reveal(), keys.next->reveal())) return {};
    return fail(Category::conflict, "keys are being moved to another KEK than this one");
  }
  keys.next = key;
  return {};
}

bool Kek::has_next() const { return keys().next != nullptr; }

Result<void> Kek::require_next() const {
  if (has_next()) return {};
  return fail(
      Category::conflict,
      "there is no other KEK to move the keys to: put its source into the table [kek_next] of the "
      "configuration and send SIGHUP; where it stands there, all keys are under it already: make "
      "it "
      "the table [kek]");
}

bool Kek::moving() const { return keys().moving; }

Result<ByteVector> Kek::make_next_check_value(RandomSource& random) const {
  TRY(require_next());
  return wrap_under(*keys().next, as_bytes(kCheckPlaintext), kCheckBinding, random);
}

Result<void> Kek::begin_move() {
  TRY(require_next());
  const std::unique_lock no_wrapping(state_->wrapping);
  const std::lock_guard lock(state_->mutex);
  state_->keys.moving = true;
  return {};
}

Result<void> Kek::end_move() {
  TRY(require_next());
  const std::lock_guard lock(state_->mutex);
  state_->keys = {std::move(state_->keys.next), nullptr, false};
  return {};
}

bool Kek::same_current(const Kek& other) const { return *keys().current == *other.keys().current; }

std::shared_lock<std::shared_mutex> Kek::hold() const { return std::shared_lock(state_->wrapping); }

}  // namespace keystub::kms
