// JSON lines over spdlog, see log.h.
#include "service/log.h"

#include <array>
#include <atomic>
#include <chrono>
#include <iterator>

#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include "base/rfc3339.h"

namespace keystub::service {
namespace {

constexpr std::array<std::string_view, 6> kNames = {"trace",   "debug", "info",
                                                    "warning", "error", "off"};

using Buffer = fmt::memory_buffer;

void append(Buffer& out, std::string_view text) { out.append(text); }

// Length of the UTF-8 character that starts here, 0 if it is not one (RFC 3629 section 4).
std::size_t utf8_length(std::string_view text) {
  const auto octet = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto follows = [&](std::size_t i) { return (octet(i) & 0xC0) == 0x80; };
  const unsigned first = octet(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return follows(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    if (!follows(1) || !follows(2)) return 0;
    if (first == 0xE0 && octet(1) < 0xA0) return 0;
    if (first == 0xED && octet(1) > 0x9F) return 0;
    return 3;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    if (!follows(1) || !follows(2) || !follows(3)) return 0;
    if (first == 0xF0 && octet(1) < 0x90) return 0;
    if (first == 0xF4 && octet(1) > 0x8F) return 0;
    return 4;
  }
  return 0;
}

// A JSON string (RFC 8259). Text from a peer may hold anything: octets that are not UTF-8 become
// U+FFFD, control characters are escaped, so that a line stays one line.
void append_string(Buffer& out, std::string_view text) {
  append(out, "\"");
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const char c = text.front();
    if (length == 0) {
      append(out, "\\ufffd");
    } else if (c == '"' || c == '\\') {
      append(out, "\\");
      out.push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
    } else {
      append(out, text.substr(0, length));
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  append(out, "\"");
}

class FunctionSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit FunctionSink(Log::Sink function) : function_(std::move(function)) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    function_({message.payload.data(), message.payload.size()});
  }
  void flush_() override {}

 private:
  Log::Sink function_;
};

}  // namespace

Result<LogLevel> parse_log_level(std::string_view text) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == text) return static_cast<LogLevel>(i);
  }
  return fail(Category::malformed, "\"" + std::string(text) +
                                       "\" is not a log level: write trace, debug, info, warning, "
                                       "error or off");
}

std::string_view log_level_name(LogLevel level) noexcept {
  return kNames[static_cast<std::size_t>(level)];
}

struct Log::Impl {
  std::string program;
  std::atomic<LogLevel> level;
  spdlog::logger logger;

  Impl(std::string program_name, LogLevel initial, spdlog::sink_ptr sink)
      : program(std::move(program_name)), level(initial), logger("keystub", std::move(sink)) {
    logger.set_pattern("%v");
    // The level is ours to judge: spdlog passes everything on.
    logger.set_level(spdlog::level::trace);
    // spdlog's own answer to a failed write is to print it, which fails as well.
    logger.set_error_handler([](const std::string&) {});
  }
};

Log::Log(std::string program, LogLevel level)
    : impl_(std::make_unique<Impl>(std::move(program), level,
                                   std::make_shared<spdlog::sinks::stderr_sink_mt>())) {}
Log::Log(std::string program, LogLevel level, Sink sink)
    : impl_(std::make_unique<Impl>(std::move(program), level,
                                   std::make_shared<FunctionSink>(std::move(sink)))) {}
Log::~Log() = default;

void Log::set_level(LogLevel level) noexcept { impl_->level = level; }
LogLevel Log::level() const noexcept { return impl_->level; }
bool Log::enabled(LogLevel level) const noexcept {
  return level != LogLevel::off && level >= impl_->level.load(std::memory_order_relaxed);
}

void Log::write(LogLevel level, std::string_view message, std::initializer_list<Field> fields) {
  if (!enabled(level)) return;
  try {
    Buffer line;
    append(line, "{\"time\":\"");
    append(line, Rfc3339(std::chrono::system_clock::now()).text());
    append(line, "\",\"level\":\"");
    append(line, log_level_name(level));
    append(line, "\",\"program\":");
    append_string(line, impl_->program);
    append(line, ",\"message\":");
    append_string(line, message);
    for (const Field& field : fields) {
      append(line, ",");
      append_string(line, field.name);
      append(line, ":");
      std::visit(
          [&](const auto& value) {
            using Value = std::decay_t<decltype(value)>;
            if constexpr (std::is_same_v<Value, std::string_view>) {
              append_string(line, value);
            } else {
              fmt::format_to(std::back_inserter(line), "{}", value);
            }
          },
          field.value);
    }
    append(line, "}");
    impl_->logger.log(spdlog::level::critical, spdlog::string_view_t(line.data(), line.size()));
  } catch (...) {
    // Out of memory: the line is lost, the program is not.
  }
}

}  // namespace keystub::service
