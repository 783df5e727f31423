// Configuration from one TOML file, with overrides from the environment.
//
// A program reads every key it knows through a typed getter, which records the key, its value and
// where it came from; then calls finish(). Faults are collected, so that a person sees all of
// them at once, each with file:line:column and a sentence. A key that nobody read is a fault.
// Secrets never stand in configuration: only the paths of the files that hold them.
//
//   auto config = TRY(Config::load(path));
//   settings.listen = config.address("listen.address", "127.0.0.1:7443");
//   settings.skew = config.duration("replay.skew", 60s, 1s, 1h);
//   TRY(config.finish());
//
// Environment: KEYSTUB_ + the key in capitals, "." as two underscores:
// KEYSTUB_LISTEN__ADDRESS overrides listen.address. It wins over the file. Lists are separated by
// commas. A variable with a double underscore that names no key is a fault; others with the prefix
// are left alone (an orchestrator injects names such as KEYSTUB_KMS_SERVICE_HOST).
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace keystub::service {

// A literal IPv4 or IPv6 address with a port: "127.0.0.1:7443", "[::1]:0". Port 0: any free port.
struct SocketAddress {
  std::string ip;
  std::uint16_t port = 0;

  std::string to_string() const;
  friend bool operator==(const SocketAddress&, const SocketAddress&) = default;
};
// malformed when it is anything else; names (localhost) are not resolved.
Result<SocketAddress> parse_socket_address(std::string_view text);

// "250ms", "60s", "5m", "1h", "1d": a whole number and a unit, without space.
Result<std::chrono::milliseconds> parse_duration(std::string_view text);
// "512", "64KiB", "1MiB", "2GiB": octets.
Result<std::uint64_t> parse_size(std::string_view text);

// Not thread-safe: read at start by one thread, copied into a settings struct, dropped.
class Config {
 public:
  using Environment = std::map<std::string, std::string>;

  // Reads and parses the file. not_found, or malformed with file:line:column.
  // Without a file (empty path) all keys have their defaults or come from the environment.
  static Result<Config> load(const std::filesystem::path& file);
  // A file that is not the configuration of the program, for which the environment does not speak.
  static Result<Config> load_file_alone(const std::filesystem::path& file);
  // The same from text; `source` is what faults call it. For tests.
  static Result<Config> parse(std::string_view text, std::string source,
                              Environment environment = {});

  Config(Config&&) noexcept;
  Config& operator=(Config&&) noexcept;
  ~Config();

  // Typed getters. A key is dotted: "listen.address". When the value has the wrong type or is out
  // of range the fault is recorded and the fallback returned.
  std::string string(std::string_view key, std::string_view fallback);
  // As string, and a fault when the key is missing or empty.
  std::string required_string(std::string_view key);
  // One of `choices`.
  std::string choice(std::string_view key, std::string_view fallback,
                     const std::vector<std::string>& choices);
  std::int64_t integer(std::string_view key, std::int64_t fallback, std::int64_t min,
                       std::int64_t max);
  bool boolean(std::string_view key, bool fallback);
  std::chrono::milliseconds duration(std::string_view key, std::chrono::milliseconds fallback,
                                     std::chrono::milliseconds min, std::chrono::milliseconds max);
  std::uint64_t size(std::string_view key, std::uint64_t fallback, std::uint64_t min,
                     std::uint64_t max);
  // A relative path means relative to the folder of the configuration file. Empty stays empty.
  std::filesystem::path path(std::string_view key, const std::filesystem::path& fallback);
  // As path, and a fault when the key is missing or empty.
  std::filesystem::path required_path(std::string_view key);
  std::vector<std::string> strings(std::string_view key, const std::vector<std::string>& fallback);
  SocketAddress address(std::string_view key, std::string_view fallback);
  // Empty: no such listener.
  std::optional<SocketAddress> optional_address(std::string_view key);

  // True when the file or the environment sets the key. Does not mark it as known.
  bool is_set(std::string_view key) const;

  // Records a fault at the place of this key, for validation across keys:
  // config.fault("tls.key", "needs tls.certificate as well").
  void fault(std::string_view key, std::string_view sentence);

  // The end of reading: malformed, with one line per fault, when there was any; unknown keys are
  // faults. Call after the last getter and the last fault().
  Result<void> finish();

  // The effective values, as dump() writes them, by key. For comparing two configurations.
  std::map<std::string, std::string> values() const;

  // The effective configuration as TOML that load() accepts again, one key per line in the order
  // of reading, each with where it came from as a comment. For --dump-config.
  std::string dump() const;

 private:
  static Result<Config> load(const std::filesystem::path& file, Environment environment);
  struct Impl;
  explicit Config(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace keystub::service
