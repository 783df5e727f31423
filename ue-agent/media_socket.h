// The TCP side of the media: one listening socket, one connection (RFC 4145 roles).
#pragma once

#include <string>

#include "base/error.h"
#include "service/config.h"
#include "ue-agent/file_descriptor.h"

namespace keystub::ue {

// Listens from construction on: the peer may connect before we have read its answer.
class MediaListener {
 public:
  // `local`: port 0 takes any free one. unavailable when the address cannot be taken.
  static Result<MediaListener> open(const service::SocketAddress& local);

  // With the real port.
  const service::SocketAddress& local() const noexcept { return local_; }

  // The first connection; unavailable when none comes until `deadline`. Non-blocking.
  Result<FileDescriptor> accept(const Clock& clock, SteadyTime deadline) const;

 private:
  MediaListener(FileDescriptor socket, service::SocketAddress local)
      : socket_(std::move(socket)), local_(std::move(local)) {}

  FileDescriptor socket_;
  service::SocketAddress local_;
};

// Connects; unavailable when refused or when `deadline` comes first. Non-blocking.
Result<FileDescriptor> connect_tcp(const service::SocketAddress& remote, const Clock& clock,
                                   SteadyTime deadline);

}  // namespace keystub::ue
