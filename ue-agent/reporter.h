// Reporter: tells on standard error what the user endpoint does, for people (text) or for programs
// (one JSON object per line). Never shows a key: there is no Field for a Secret.
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include "service/log.h"

namespace keystub::ue {

// Event names are stable: docs/ue-agent.md lists them, and tests wait for them. Not thread-safe.
class Reporter {
 public:
  using Sink = std::function<void(std::string_view line)>;

  enum class Format : std::uint8_t { text, json };

  // To standard error.
  explicit Reporter(Format format);
  // To a function, without the line end; for tests.
  Reporter(Format format, Sink sink);

  void event(std::string_view name, std::initializer_list<service::Field> fields = {});

 private:
  Sink sink_;
  std::unique_ptr<service::Log> json_;  // null: text
};

}  // namespace keystub::ue
