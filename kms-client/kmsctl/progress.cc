#include "kms-client/kmsctl/progress.h"

#include <fmt/format.h>

#include <chrono>

namespace keystub::kmsctl {
namespace {

constexpr std::chrono::milliseconds kBarEvery{100};
constexpr std::chrono::seconds kLineEvery{10};
constexpr std::size_t kBarWidth = 30;
constexpr const char* kEraseLine = "\r\x1b[K";

}  // namespace

Progress::~Progress() {
  if (drawn_) out_ << kEraseLine << std::flush;
}

std::string Progress::text(std::uint64_t done, std::uint64_t before, SteadyTime now) const {
  const double seconds = std::chrono::duration<double>(now - begun_).count();
  const double rate = seconds > 0 ? static_cast<double>(done - before) / seconds : 0;
  std::string text;
  if (total_ != 0) {
    const std::size_t filled = static_cast<std::size_t>(done * kBarWidth / total_);
    if (terminal_) text = fmt::format("[{:<{}}] ", std::string(filled, '#'), kBarWidth);
    text += fmt::format("{} % of {} {}", done * 100 / total_, total_, what_);
  } else {
    text = fmt::format("{} {}", done, what_);
  }
  if (rate < 1) return text;
  text += fmt::format(", {:.0f} per second", rate);
  if (total_ != 0) {
    text += fmt::format(", {:.0f} s left", static_cast<double>(total_ - done) / rate);
  }
  return text;
}

void Progress::update(std::uint64_t done, std::uint64_t before, SteadyTime now) {
  const auto pause = terminal_ ? std::chrono::milliseconds(kBarEvery) : kLineEvery;
  if (now - shown_ < pause) return;
  shown_ = now;
  drawn_ = terminal_;
  out_ << (terminal_ ? kEraseLine : "") << text(done, before, now) << (terminal_ ? "" : "\n")
       << std::flush;
}

}  // namespace keystub::kmsctl
