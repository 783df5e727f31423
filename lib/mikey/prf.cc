#include "mikey/prf.h"

#include <algorithm>
#include <array>
#include <functional>

#include "base/secret.h"

namespace keystub::mikey {
namespace {

// Half the input block of the hash: how long the parts s_i of the inkey are.
constexpr std::size_t kInkeyPart = 32;

// P(s, label, m), where `hmac` computes HMACs of `size` octets with the key s. Written to `outkey`
// for the first part of the inkey, XORed into it for the others.
template <class HmacWithKey>
Result<void> add_p(bool first, std::size_t size, const HmacWithKey& hmac, Bytes label,
                   MutableBytes outkey) {
  std::array<std::uint8_t, kMaxHmacSize> a_buffer;
  std::array<std::uint8_t, kMaxHmacSize> block_buffer;
  const MutableBytes a(a_buffer.data(), size);
  const MutableBytes block(block_buffer.data(), size);
  Bytes previous = label;  // A_0
  for (std::size_t done = 0; done < outkey.size(); done += size) {
    TRY(hmac({previous}, a));  // A_i = HMAC(s, A_(i-1)) [6043-6.1-02]
    previous = a;
    TRY(hmac({a, label}, block));
    const MutableBytes chunk = outkey.subspan(done, std::min(size, outkey.size() - done));
    if (first) {
      std::ranges::copy(block.first(chunk.size()), chunk.begin());
    } else {
      std::ranges::transform(chunk, block, chunk.begin(), std::bit_xor());
    }
  }
  wipe(a_buffer);
  wipe(block_buffer);
  return {};
}

// The hash of `func`, with which `inkey` can be used.
Result<Hash> hash_for(PrfFunc func, Bytes inkey) {
  if (func != PrfFunc::mikey_1 && func != PrfFunc::hmac_sha_256) {
    return fail(Category::denied, "PRF " + std::to_string(static_cast<int>(func)) +
                                      " is not supported; use MIKEY-1 or PRF-HMAC-SHA-256");
  }
  if (inkey.empty()) return fail(Category::internal, "a key derivation was given an empty key");
  return func == PrfFunc::mikey_1 ? Hash::sha_1 : Hash::sha_256;  // [6043-6.1-03] [3830-4.2.2-02]
}

// s_i, which starts at `start`.
Bytes block_at(Bytes inkey, std::size_t start) {
  return inkey.subspan(start, std::min(kInkeyPart, inkey.size() - start));
}

}  // namespace

Result<Prf> Prf::keyed(PrfFunc func, Bytes inkey) {
  Prf prf(TRY(hash_for(func, inkey)));
  for (std::size_t start = 0; start < inkey.size(); start += kInkeyPart) {
    auto block = Hmac::keyed(prf.hash_, block_at(inkey, start));
    if (!block) return std::unexpected(std::move(block).error());
    if (start == 0) {
      prf.first_block_.emplace(std::move(*block));
    } else {
      prf.other_blocks_.push_back(std::move(*block));
    }
  }
  return prf;
}

Result<SharedPrf> share_prf(PrfFunc func, Bytes inkey) {
  return std::make_shared<const Prf>(TRY(Prf::keyed(func, inkey)));
}

Result<void> Prf::derive(Bytes label, MutableBytes outkey) const {
  HashContext context;
  const auto add_block = [&](bool first, const Hmac& block) {
    return add_p(
        first, hmac_size(hash_),  // [6043-6.1-04]
        [&](std::initializer_list<Bytes> parts, MutableBytes out) {
          return block.compute(context, parts, out);
        },
        label, outkey);
  };
  TRY(add_block(true, *first_block_));
  for (const Hmac& block : other_blocks_) TRY(add_block(false, block));
  return {};
}

Result<void> Prf::derive_once(PrfFunc func, Bytes inkey, Bytes label, MutableBytes outkey) {
  const Hash hash = TRY(hash_for(func, inkey));
  HashContext context;
  for (std::size_t start = 0; start < inkey.size(); start += kInkeyPart) {
    TRY(add_p(
        start == 0, hmac_size(hash),
        [&](std::initializer_list<Bytes> parts, MutableBytes out) {
          return Hmac::once(context, hash, block_at(inkey, start), parts, out);
        },
        label, outkey));
  }
  return {};
}

}  // namespace keystub::mikey
