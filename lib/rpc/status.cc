// Error ↔ gRPC status, see status.h.
#include "rpc/status.h"

#include "google/rpc/status.pb.h"

namespace keystub::rpc {

grpc::StatusCode status_code(Category category) noexcept {
  switch (category) {
    case Category::malformed: return grpc::StatusCode::INVALID_ARGUMENT;
    case Category::unauthenticated: return grpc::StatusCode::UNAUTHENTICATED;
    case Category::denied: return grpc::StatusCode::PERMISSION_DENIED;
    case Category::not_found: return grpc::StatusCode::NOT_FOUND;
    case Category::conflict: return grpc::StatusCode::FAILED_PRECONDITION;
    case Category::expired: return grpc::StatusCode::OUT_OF_RANGE;
    case Category::busy: return grpc::StatusCode::RESOURCE_EXHAUSTED;
    case Category::unavailable: return grpc::StatusCode::UNAVAILABLE;
    case Category::internal: return grpc::StatusCode::INTERNAL;
  }
  return grpc::StatusCode::INTERNAL;
}

grpc::StatusCode ticket_status_code(Category category) noexcept {
  return category == Category::not_found ? grpc::StatusCode::UNAUTHENTICATED
                                         : status_code(category);
}

Category category_of(grpc::StatusCode code) noexcept {
  switch (code) {
    case grpc::StatusCode::INVALID_ARGUMENT: return Category::malformed;
    case grpc::StatusCode::UNAUTHENTICATED: return Category::unauthenticated;
    case grpc::StatusCode::PERMISSION_DENIED: return Category::denied;
    case grpc::StatusCode::NOT_FOUND: return Category::not_found;
    case grpc::StatusCode::FAILED_PRECONDITION:
    case grpc::StatusCode::ALREADY_EXISTS:
    case grpc::StatusCode::ABORTED: return Category::conflict;
    case grpc::StatusCode::OUT_OF_RANGE: return Category::expired;
    case grpc::StatusCode::RESOURCE_EXHAUSTED: return Category::busy;
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::DEADLINE_EXCEEDED:
    case grpc::StatusCode::CANCELLED: return Category::unavailable;
    default: return Category::internal;
  }
}

grpc::Status to_status(const Error& error) {
  if (error.category() == Category::internal) {
    return {grpc::StatusCode::INTERNAL, "internal fault, see the server's log"};
  }
  return {status_code(error.category()), error.describe()};
}

grpc::Status to_status(grpc::StatusCode code, const std::string& text,
                       const google::protobuf::Message& detail) {
  google::rpc::Status status;
  status.set_code(static_cast<int>(code));
  status.set_message(text);
  status.add_details()->PackFrom(detail);
  return {code, text, status.SerializeAsString()};
}

Error to_error(const grpc::Status& status, std::string_view what) {
  std::string text(what);
  text += ": ";
  if (!status.error_message().empty()) {
    text += status.error_message();
  } else if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED) {
    text += "this port does not serve the call; is it the right address?";
  } else {
    text += "the server gave no reason";
  }
  return {category_of(status.error_code()), std::move(text)};
}

bool read_detail(const grpc::Status& status, google::protobuf::Message& detail) {
  google::rpc::Status packed;
  if (status.error_details().empty() || !packed.ParseFromString(status.error_details())) {
    return false;
  }
  for (const auto& any : packed.details()) {
    if (any.UnpackTo(&detail)) return true;
  }
  return false;
}

}  // namespace keystub::rpc
