// A small HTTP server for what monitoring asks a daemon: GET of a few fixed paths, in plain text.
// Neither TLS nor authentication: bind it to loopback or to a network of the operator.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"

namespace keystub::service {

struct HttpAnswer {
  int status = 200;
  std::string body;  // text/plain
};

struct HttpRoute {
  std::string path;  // "/metrics"
  // Called by the server's threads, several at once.
  std::function<HttpAnswer()> answer;
};

class HttpServer {
 public:
  // Serves on "ip:port" (port 0: a free one) until destruction. Other paths are 404, other methods
  // 405. unavailable when the address cannot be taken.
  static Result<std::unique_ptr<HttpServer>> start(const std::string& address,
                                                   std::vector<HttpRoute> routes);
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  // Returns when no answer is under way any more.
  ~HttpServer();

  // The bound "ip:port".
  const std::string& address() const noexcept { return address_; }

 private:
  struct Impl;
  HttpServer(std::unique_ptr<Impl> impl, std::string address);
  std::unique_ptr<Impl> impl_;
  std::string address_;
};

}  // namespace keystub::service
