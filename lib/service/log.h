// Structured log: one JSON object per line on standard error.
//
//   {"time":"2026-01-02T03:04:05.678901Z","level":"info","message":"ticket issued",
//    "trace_id":"…","initiator":"sip:alice@example.com"}
//
// Key material cannot be logged: there is no Field for a Secret.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "base/error.h"
#include "base/secret.h"

namespace keystub::service {

enum class LogLevel : std::uint8_t { trace, debug, info, warning, error, off };

// "trace", "debug", "info", "warning", "error", "off".
Result<LogLevel> parse_log_level(std::string_view text);
std::string_view log_level_name(LogLevel level) noexcept;

// A name and a value, both only borrowed for the duration of the log call.
struct Field {
  Field(std::string_view field_name, std::string_view text) : name(field_name), value(text) {}
  Field(std::string_view field_name, const std::string& text)
      : name(field_name), value(std::string_view(text)) {}
  Field(std::string_view field_name, const char* text)
      : name(field_name), value(std::string_view(text)) {}
  template <class Int>
    requires(std::is_integral_v<Int> && !std::is_same_v<Int, bool>)
  Field(std::string_view field_name, Int number) : name(field_name) {
    if constexpr (std::is_signed_v<Int>) {
      value = static_cast<std::int64_t>(number);
    } else {
      value = static_cast<std::uint64_t>(number);
    }
  }
  template <class Bool>
    requires std::is_same_v<Bool, bool>
  Field(std::string_view field_name, Bool flag) : name(field_name), value(flag) {}
  template <class Tag>
  Field(std::string_view, const Secret<Tag>&) = delete;

  std::string_view name;
  std::variant<std::string_view, std::int64_t, std::uint64_t, bool> value;
};

// Handed to whoever logs. Thread-safe; a line is written whole. Never throws; a line that cannot
// be written is lost.
class Log {
 public:
  using Sink = std::function<void(std::string_view line)>;

  // To standard error. `program` goes into every line under that name.
  Log(std::string program, LogLevel level);
  // To a function (without the line end); for tests. Called by one thread at a time.
  Log(std::string program, LogLevel level, Sink sink);
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;
  ~Log();

  void set_level(LogLevel level) noexcept;
  LogLevel level() const noexcept;
  // To skip the work of making fields that would be dropped.
  bool enabled(LogLevel level) const noexcept;

  void write(LogLevel level, std::string_view message, std::initializer_list<Field> fields = {});

  void debug(std::string_view message, std::initializer_list<Field> fields = {}) {
    write(LogLevel::debug, message, fields);
  }
  void info(std::string_view message, std::initializer_list<Field> fields = {}) {
    write(LogLevel::info, message, fields);
  }
  void warning(std::string_view message, std::initializer_list<Field> fields = {}) {
    write(LogLevel::warning, message, fields);
  }
  void error(std::string_view message, std::initializer_list<Field> fields = {}) {
    write(LogLevel::error, message, fields);
  }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace keystub::service
