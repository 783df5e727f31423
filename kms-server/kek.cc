#include "kms-server/kek.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <memory>

#include "base/byte_writer.h"
#include "service/secret_file.h"

namespace keystub::kms {
namespace {

constexpr std::uint8_t kLayout = 1;
constexpr std::size_t kNonceSize = 12;
constexpr std::size_t kTagSize = 16;
static_assert(Kek::kOverhead == 1 + kNonceSize + kTagSize);

constexpr std::string_view kCheckPlaintext = "keystub kek check value 1";

struct ContextDeleter {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, ContextDeleter>;

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
  out.u8(kLayout);
  for (const Bytes part :
       {as_bytes(kind_text(binding.kind)), as_bytes(binding.owner), binding.key_id}) {
    out.u32(static_cast<std::uint32_t>(part.size()));
    out.bytes(part);
  }
  return std::move(out).take();
}

int length_of(Bytes bytes) { return static_cast<int>(bytes.size()); }

}  // namespace

Result<Kek> Kek::from_octets(Bytes key) {
  if (key.size() != kSize) {
    return fail(Category::malformed, fmt::format("a KEK has {} octets, not {}", kSize, key.size()));
  }
  return Kek(Secret<KekTag>(key));
}

Result<Kek> Kek::load(const std::filesystem::path& path) {
  return Kek(TRY(service::read_secret<KekTag>(path, service::SecretEncoding::raw, kSize, kSize)));
}

Result<Kek> Kek::create(const std::filesystem::path& path, RandomSource& random) {
  Kek kek(TRY(random.secret<KekTag>(kSize)));
  TRY(service::write_secret(path, service::SecretEncoding::raw, kek.key_.reveal()));
  return kek;
}

Result<ByteVector> Kek::wrap(Bytes key, const KeyBinding& binding, RandomSource& random) const {
  ByteVector out(kOverhead + key.size());
  out[0] = kLayout;
  const MutableBytes nonce = MutableBytes(out).subspan(1, kNonceSize);
  TRY(random.fill(nonce));
  const MutableBytes ciphertext = MutableBytes(out).subspan(1 + kNonceSize, key.size());
  const MutableBytes tag = MutableBytes(out).last(kTagSize);
  const ByteVector bound = associated_data(binding);

  const CipherContext context(EVP_CIPHER_CTX_new());
  int written = 0;
  int finished = 0;
  if (context == nullptr ||
      EVP_EncryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key_.reveal().data(),
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

Result<void> Kek::open(Bytes wrapped, const KeyBinding& binding, MutableBytes out) const {
  if (wrapped.size() < kOverhead || wrapped[0] != kLayout) {
    return fail(Category::internal,
                fmt::format("a stored {} key of \"{}\" is not in the wrapped form",
                            kind_text(binding.kind), binding.owner));
  }
  const Bytes nonce = wrapped.subspan(1, kNonceSize);
  const Bytes ciphertext = wrapped.subspan(1 + kNonceSize, wrapped.size() - kOverhead);
  ByteVector tag = to_vector(wrapped.last(kTagSize));
  const ByteVector bound = associated_data(binding);

  const CipherContext context(EVP_CIPHER_CTX_new());
  int written = 0;
  int finished = 0;
  const bool opened =
      context != nullptr &&
      EVP_DecryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key_.reveal().data(),
                         nonce.data()) == 1 &&
      EVP_DecryptUpdate(context.get(), nullptr, &written, bound.data(), length_of(bound)) == 1 &&
      EVP_DecryptUpdate(context.get(), out.data(), &written, ciphertext.data(),
                        length_of(ciphertext)) == 1 &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, static_cast<int>(kTagSize),
                          tag.data()) == 1 &&
      EVP_DecryptFinal_ex(context.get(), out.data() + written, &finished) == 1;
  if (!opened) {
    wipe(out);  // GCM gives plaintext out before the tag is checked
    return fail(
        Category::internal,
        fmt::format("a stored {} key of \"{}\" does not open under this KEK: it was changed "
                    "or moved; restore the database",
                    kind_text(binding.kind), binding.owner));
  }
  return {};
}

Result<ByteVector> Kek::make_check_value(RandomSource& random) const {
  return wrap(as_bytes(kCheckPlaintext), {KeyKind::kek_check, {}, {}}, random);
}

Result<void> Kek::verify_check_value(Bytes check_value) const {
  const auto opened = unwrap<KekTag>(check_value, {KeyKind::kek_check, {}, {}});
  if (!opened || !equal_constant_time(opened->reveal(), as_bytes(kCheckPlaintext))) {
    return fail(Category::denied,
                "this KEK is not the one that the database was made with: correct the "
                "table [kek] of the configuration, or the passphrase; nothing was written");
  }
  return {};
}

}  // namespace keystub::kms
