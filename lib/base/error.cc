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
  std::string out = text_;
  if (place_) {
    out += " (";
    if (!place_->message.empty()) out.append(place_->message).append(", ");
    if (!place_->payload.empty()) out.append("payload ").append(place_->payload).append(", ");
    out.append("octet ").append(std::to_string(place_->offset));
    if (!place_->clause.empty()) out.append(", ").append(place_->clause);
    out += ")";
  }
  return out;
}

}  // namespace keystub
