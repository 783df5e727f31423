// Error ↔ gRPC status, and statuses that carry a message as detail.
#pragma once

#include <optional>
#include <string>

#include <google/protobuf/message.h>
#include <grpcpp/support/status.h>

#include "base/error.h"

namespace keystub::rpc {

// malformed INVALID_ARGUMENT, unauthenticated UNAUTHENTICATED, denied PERMISSION_DENIED,
// not_found NOT_FOUND, conflict FAILED_PRECONDITION, expired OUT_OF_RANGE,
// busy RESOURCE_EXHAUSTED, unavailable UNAVAILABLE, internal INTERNAL.
grpc::StatusCode status_code(Category category) noexcept;
// On the ticket port nobody learns who exists: not_found is UNAUTHENTICATED, as a wrong MAC is.
grpc::StatusCode ticket_status_code(Category category) noexcept;
// Backwards. DEADLINE_EXCEEDED and CANCELLED are unavailable, ALREADY_EXISTS is conflict.
Category category_of(grpc::StatusCode code) noexcept;

// For a peer that may read the text (admin port, agents that present a certificate). An internal
// error's text stays here: it says only that there was one.
grpc::Status to_status(const Error& error);
// The same with one message in grpc-status-details-bin, wrapped in a google.rpc.Status.
grpc::Status to_status(grpc::StatusCode code, const std::string& text,
                       const google::protobuf::Message& detail);

// On the client: an Error whose text is "WHAT: the server's text". The status must not be OK.
Error to_error(const grpc::Status& status, std::string_view what);

// Reads the detail back into `detail`; false when the status holds none of that type.
bool read_detail(const grpc::Status& status, google::protobuf::Message& detail);
template <class Message>
std::optional<Message> detail_of(const grpc::Status& status) {
  Message detail;
  if (!read_detail(status, detail)) return std::nullopt;
  return detail;
}

}  // namespace keystub::rpc
