// Progress of something long, on standard error: a bar on a terminal, otherwise a line every ten
// seconds, so that a log shows that it goes on.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>

#include "base/clock.h"

namespace keystub::kmsctl {

// Not thread-safe.
class Progress {
 public:
  // `what`: "identities". `total` 0: not known, only counted.
  Progress(std::ostream& out, bool terminal, std::string what, std::uint64_t total, SteadyTime now)
      : out_(out),
        terminal_(terminal),
        what_(std::move(what)),
        total_(total),
        begun_(now),
        shown_(now) {}
  // Takes the bar away.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // As often as one likes; it is shown now and then. `before`: what of `done` was done before this
  // began, and says nothing about the speed.
  void update(std::uint64_t done, std::uint64_t before, SteadyTime now);

 private:
  std::string text(std::uint64_t done, std::uint64_t before, SteadyTime now) const;

  std::ostream& out_;
  const bool terminal_;
  const std::string what_;
  const std::uint64_t total_;
  const SteadyTime begun_;
  SteadyTime shown_;
  bool drawn_ = false;
};

}  // namespace keystub::kmsctl
