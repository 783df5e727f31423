#include "base/error.h"

namespace keystub {

std::string_view category_name(Category category) noexcept {
  switch (category) {
    case Category::malformed: return "malformed";
    case Category::unauthenticated: return "unauthenticated";
    case Category::denied: return "denied";
    case Category::not_found: return "not_found";
    case Category::conflict: return "conflict";
    case Category::expired: return "expired";
    case Category::busy: return "busy";
    case Category::unavailable: return "unavailable";
    case Category::internal: return "internal";
  }
  return "internal";
}

Error&& Error::with_context(std::string_view context) && {
  text_.insert(0, ": ");
  text_.insert(0, context);
  return std::move(*this);
}

std::string Error::describe() const {
  std::string where;
  const auto add = [&where](std::string_view prefix, std::string_view text) {
    if (text.empty()) return;
    where.append(where.empty() ? " (" : ", ").append(prefix).append(text);
  };
  if (place_) {
    add("", place_->message);
    add("payload ", place_->payload);
    // An octet of no message would say nothing: we ourselves are to blame.
    if (!where.empty()) add("octet ", std::to_string(place_->offset));
    add("", place_->clause);
  }
  return where.empty() ? text_ : text_ + where + ")";
}

}  // namespace keystub
