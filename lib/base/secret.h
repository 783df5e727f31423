// Secret<Tag>: the only home of key material.
//
// Wiped when dropped, moved and never copied by accident, compared in constant time, never
// printed. Its octets are reachable through reveal() alone, so that every use can be grepped.
// Keys of up to 64 octets live in the object; longer ones on the heap, wiped as well.
// A moved-from Secret is empty. Not thread-safe; const use from several threads is.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>

#include "base/bytes.h"

namespace keystub {

// Overwrites memory in a way that the compiler cannot drop: for all it knows, the assembly reads
// it. Inline, because a Secret is wiped with every move: a call takes longer than its 64 octets.
inline void wipe(MutableBytes memory) noexcept {
  if (memory.empty()) return;
  std::memset(memory.data(), 0, memory.size());
  __asm__ volatile("" : : "r"(memory.data()) : "memory");
}
inline void wipe(std::string& text) noexcept {
  wipe(MutableBytes(reinterpret_cast<std::uint8_t*>(text.data()), text.size()));
  text.clear();
}

template <class Tag>
class Secret {
 public:
  static constexpr std::size_t kInlineSize = 64;

  Secret() = default;
  explicit Secret(Bytes octets) : Secret(octets.size()) {
    if (size_ != 0) std::memcpy(data(), octets.data(), size_);
  }
  // A secret of `size` zero octets, to be filled through reveal_mutable().
  explicit Secret(std::size_t size) : size_(size) {
    if (size_ > kInlineSize) heap_ = new std::uint8_t[size_]{};
  }
  // Takes the octets out of a std::string (a protobuf field, a line that was read) and wipes it.
  static Secret take(std::string& source) {
    Secret secret(as_bytes(source));
    keystub::wipe(source);
    return secret;
  }

  Secret(Secret&& other) noexcept { move_from(other); }
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      clear();
      move_from(other);
    }
    return *this;
  }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { clear(); }

  Secret clone() const { return Secret(reveal()); }
  // Another kind of key with the same octets: the TEK that becomes a TLS PSK.
  template <class Other>
  Secret<Other> retag() const {
    return Secret<Other>(reveal());
  }

  std::size_t size() const noexcept { return size_; }
  std::size_t bits() const noexcept { return size_ * 8; }
  bool empty() const noexcept { return size_ == 0; }

  Bytes reveal() const noexcept { return {data(), size_}; }
  MutableBytes reveal_mutable() noexcept { return {data(), size_}; }

  friend bool operator==(const Secret& a, const Secret& b) noexcept {
    return equal_constant_time(a.reveal(), b.reveal());
  }

 private:
  std::uint8_t* data() noexcept { return heap_ != nullptr ? heap_ : inline_.data(); }
  const std::uint8_t* data() const noexcept { return heap_ != nullptr ? heap_ : inline_.data(); }

  void clear() noexcept {
    if (heap_ != nullptr) {
      keystub::wipe(MutableBytes(heap_, size_));
      delete[] heap_;
      heap_ = nullptr;
    }
    keystub::wipe(inline_);
    size_ = 0;
  }
  void move_from(Secret& other) noexcept {
    size_ = other.size_;
    heap_ = std::exchange(other.heap_, nullptr);
    inline_ = other.inline_;
    other.clear();
  }

  std::size_t size_ = 0;
  std::uint8_t* heap_ = nullptr;
  std::array<std::uint8_t, kInlineSize> inline_{};
};

// The pre-shared key of a TLS stream or of an identity at its KMS.
using Psk = Secret<struct PskTag>;

}  // namespace keystub
