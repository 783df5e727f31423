// Adds up fields of a message, so that a decoder has to bring each of them. It costs little, and
// both decoders the same.
#pragma once

#include <cstdint>
#include <cstring>

#include "base/bytes.h"

namespace keystub::bench {

class FieldSum {
 public:
  void number(std::uint64_t value) noexcept { sum_ += value; }
  void octets(Bytes value) noexcept {
    sum_ += value.size();
    for (; value.size() >= sizeof(std::uint64_t); value = value.subspan(sizeof(std::uint64_t))) {
      std::uint64_t word;
      std::memcpy(&word, value.data(), sizeof word);
      sum_ += word;
    }
    for (const std::uint8_t octet : value) sum_ += octet;
  }
  std::uint64_t sum() const noexcept { return sum_; }

 private:
  std::uint64_t sum_ = 0;
};

}  // namespace keystub::bench
