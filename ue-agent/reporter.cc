// The two forms of an event.
#include "ue-agent/reporter.h"

#include <unistd.h>

#include <string>
#include <type_traits>
#include <variant>

namespace keystub::ue {

namespace {

void write_to_stderr(std::string_view line) {
  std::string whole(line);
  whole += '\n';
  std::string_view rest = whole;
  while (!rest.empty()) {
    const auto written = ::write(STDERR_FILENO, rest.data(), rest.size());
    if (written <= 0) return;  // nobody listens: an event is no reason to fail
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
}

// What comes from the peer must not reach the terminal as control characters.
void append_printable(std::string& out, std::string_view text) {
  for (const char c : text) out += (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) ? '?' : c;
}

void append_value(std::string& out, const service::Field& field) {
  std::visit(
      [&out](const auto& value) {
        using Value = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<Value, std::string_view>) {
          append_printable(out, value);
        } else if constexpr (std::is_same_v<Value, bool>) {
          out += value ? "yes" : "no";
        } else {
          out += std::to_string(value);
        }
      },
      field.value);
}

}  // namespace

Reporter::Reporter(Format format) : Reporter(format, write_to_stderr) {}

Reporter::Reporter(Format format, Sink sink) : sink_(std::move(sink)) {
  if (format == Format::json) {
    json_ = std::make_unique<service::Log>("ue-agent", service::LogLevel::info, sink_);
  }
}

void Reporter::event(std::string_view name, std::initializer_list<service::Field> fields) {
  if (json_ != nullptr) {
    json_->write(service::LogLevel::info, name, fields);
    return;
  }
  std::string line(name);
  for (const auto& field : fields) {
    line += "\n    ";
    line += field.name;
    line.append(field.name.size() < 12 ? 12 - field.name.size() : 1, ' ');
    append_value(line, field);
  }
  sink_(line);
}

}  // namespace keystub::ue
