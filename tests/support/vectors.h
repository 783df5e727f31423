// The worked scenarios of lib/mikey/vectors/mikey-ticket-1.json, and a clock and randomness that
// replay them.
#pragma once

#include <deque>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "base/bytes.h"
#include "base/clock.h"
#include "mikey/message.h"
#include "mikey/suite.h"
#include "mikey/ticket.h"

namespace keystub::testing {

inline ByteVector hex(std::string_view text) { return from_hex(text).value(); }

// Hands out NTP times in a fixed order; now() does not use one up.
class VectorClock final : public Clock {
 public:
  void push(std::string_view ntp_hex) {
    queue_.push_back(std::stoull(std::string(ntp_hex), nullptr, 16));
  }

  std::uint64_t ntp_now() const override {
    if (queue_.empty()) throw std::logic_error("the code under test asks for a time too many");
    const std::uint64_t ntp = queue_.front();
    queue_.pop_front();
    last_ = ntp;
    return ntp;
  }
  WallTime now() const override { return from_ntp(queue_.empty() ? last_ : queue_.front()); }
  SteadyTime steady_now() const override { return {}; }
  std::size_t queued() const { return queue_.size(); }

 private:
  mutable std::deque<std::uint64_t> queue_;
  mutable std::uint64_t last_ = 0;
};

// One scenario. `source_dir` is the root of the repository.
class Scenario {
 public:
  Scenario(const std::string& source_dir, std::string name) : name_(std::move(name)) {
    std::ifstream file(source_dir + "/lib/mikey/vectors/mikey-ticket-1.json");
    json_ = nlohmann::json::parse(file).at("scenarios").at(name_);
  }

  const std::string& name() const { return name_; }
  const nlohmann::json& json() const { return json_; }
  const nlohmann::json& steps() const { return json_.at("steps"); }
  ByteVector message(const std::string& name) const {
    return hex(json_.at("messages").at(name).get<std::string>());
  }
  bool has_message(const std::string& name) const { return json_.at("messages").contains(name); }
  std::string input(const std::string& name) const { return json_.at("inputs").at(name); }
  bool has_input(const std::string& name) const { return json_.at("inputs").contains(name); }
  // Hex of an input, or nothing where the scenario has none.
  ByteVector octets(const std::string& name) const {
    return has_input(name) ? hex(input(name)) : ByteVector();
  }
  std::string result(const std::string& name) const { return json_.at("results").at(name); }
  mikey::PrfFunc prf() const {
    return static_cast<mikey::PrfFunc>(json_.at("inputs").at("suite").at("prf").get<int>());
  }
  const mikey::Suite& suite() const { return mikey::suite_of(prf()); }
  mikey::EncrAlg encr_alg() const {
    return static_cast<mikey::EncrAlg>(json_.at("inputs").at("suite").at("encr_alg").get<int>());
  }
  // The type of every T of the scenario. The vectors give values only: 64 bits are NTP-UTC, 32 bits
  // a counter where they are small.
  mikey::TsType ts_type() const {
    const std::string t = input("transfer_init_t");
    if (t.size() == 16) return mikey::TsType::ntp_utc;
    return t.starts_with("0") ? mikey::TsType::counter : mikey::TsType::ntp_utc_32;
  }
  mikey::Timestamp timestamp(const std::string& name) const {
    return {ts_type(), std::stoull(input(name), nullptr, 16)};
  }

  // The key and salt of the session key with this SPI: inputs "tgk", "tgk_salt" for "tgk_spi".
  struct KeyInput {
    ByteVector key;
    ByteVector salt;
  };
  KeyInput key_with_spi(Bytes spi) const {
    for (const auto& [key, value] : json_.at("inputs").items()) {
      if (!key.ends_with("_spi") || value != to_hex(spi)) continue;
      const std::string base = key.substr(0, key.size() - 4);
      return {octets(base), octets(base + "_salt")};
    }
    throw std::logic_error("no key with SPI " + to_hex(spi));
  }

 private:
  std::string name_;
  nlohmann::json json_;
};

}  // namespace keystub::testing
