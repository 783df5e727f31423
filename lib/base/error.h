// Result and Error: how every room reports failure. No exception crosses a room's border.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace keystub {

// What kind of failure it is: decides the MIKEY error number (mikey), the gRPC status (rpc) and
// the exit code (commands).
enum class Category : std::uint8_t {
  malformed,        // the bytes or the input cannot be understood
  unauthenticated,  // a MAC, key or certificate does not prove who sent it
  denied,           // authenticated, but policy says no
  not_found,        // the named thing does not exist
  conflict,         // it exists already, or its state forbids the step
  expired,          // outside the clock skew, replayed, or past its validity
  busy,             // a limit is reached; later may work
  unavailable,      // a peer or a store cannot be reached now
  internal,         // our own fault
};

std::string_view category_name(Category category) noexcept;

// Where in a message the fault is. The views name constants (string literals).
struct Place {
  std::string_view message;  // "TRANSFER_INIT"
  std::string_view payload;  // "KEMAC"
  std::string_view clause;   // "RFC 6043 6.2"
  std::size_t offset = 0;    // octets from the start of the message

  friend bool operator==(const Place&, const Place&) = default;
};

// A failure: its category, a sentence that tells a person what is wrong and what to do, and the
// place when a message is to blame. Never holds key material.
class Error {
 public:
  Error(Category category, std::string text) : category_(category), text_(std::move(text)) {}
  Error(Category category, std::string text, Place place)
      : category_(category), text_(std::move(text)), place_(place) {}

  Category category() const noexcept { return category_; }
  const std::string& text() const noexcept { return text_; }
  const std::optional<Place>& place() const noexcept { return place_; }

  // The MIKEY Error number that names this failure best (RFC 3830 6.12, RFC 6043 6.9), if a
  // protocol step set one.
  std::optional<std::uint8_t> mikey_error_no() const noexcept { return mikey_error_no_; }
  Error& set_mikey_error_no(std::uint8_t number) & noexcept {
    mikey_error_no_ = number;
    return *this;
  }
  Error&& set_mikey_error_no(std::uint8_t number) && noexcept {
    mikey_error_no_ = number;
    return std::move(*this);
  }

  // Says where, unless that is known already.
  Error&& at(const Place& place) && noexcept {
    if (!place_) place_ = place;
    return std::move(*this);
  }

  // Puts what was being done in front: "resolve ticket: " + text.
  Error&& with_context(std::string_view context) &&;

  // Text, then place: for logs and for people at a terminal.
  std::string describe() const;

 private:
  Category category_;
  std::optional<std::uint8_t> mikey_error_no_;
  std::string text_;
  std::optional<Place> place_;
};

template <class T>
class [[nodiscard]] Result : public std::expected<T, Error> {
 public:
  using std::expected<T, Error>::expected;
};

inline std::unexpected<Error> fail(Category category, std::string text) {
  return std::unexpected<Error>(std::in_place, category, std::move(text));
}
inline std::unexpected<Error> fail(Category category, std::string text, Place place) {
  return std::unexpected<Error>(std::in_place, category, std::move(text), place);
}

// What TRY evaluates to. Unlike std::expected's own operator*, it may be discarded.
template <class AnyResult>
constexpr decltype(auto) try_value(AnyResult&& result) noexcept {
  return *std::forward<AnyResult>(result);
}

// The same result, its error with a place.
template <class T>
Result<T> at(const Place& place, Result<T> result) {
  if (!result) return std::unexpected(std::move(result).error().at(place));
  return result;
}

// KEYSTUB_TRY(expression): the value of a Result, or return its error from the enclosing function.
// May be nested: each use names its temporary differently. Not inside an initializer after a member
// that owns memory: GCC 12 leaks that member when it returns.
#define KEYSTUB_TRY(...) KEYSTUB_TRY_COUNTED(__COUNTER__, __VA_ARGS__)
#define KEYSTUB_TRY_COUNTED(counter, ...) KEYSTUB_TRY_NAMED(counter, __VA_ARGS__)
#define KEYSTUB_TRY_NAMED(counter, ...)                                \
  __extension__({                                                      \
    auto&& try_result_##counter = (__VA_ARGS__);                       \
    if (!try_result_##counter.has_value()) [[unlikely]]                \
      return std::unexpected(std::move(try_result_##counter).error()); \
    ::keystub::try_value(std::move(try_result_##counter));             \
  })

// The short name. This repository defines KEYSTUB_SHORT_TRY for all its targets; for whoever
// includes an installed header it is theirs to ask for.
#ifdef KEYSTUB_SHORT_TRY
#define TRY(...) KEYSTUB_TRY(__VA_ARGS__)
#endif

}  // namespace keystub
