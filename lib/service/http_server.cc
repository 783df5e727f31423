// The server over civetweb, see http_server.h.
#include "service/http_server.h"

#include <civetweb.h>

#include <cstring>

namespace keystub::service {
namespace {

// Enough for a scraper and two probes. A client that sends its request slowly is cut off.
constexpr const char* kThreads = "3";
constexpr const char* kRequestMilliseconds = "5000";

int answer_request(mg_connection* connection, void* route) {
  const mg_request_info* const request = mg_get_request_info(connection);
  if (std::strcmp(request->request_method, "GET") != 0) {
    mg_send_http_error(connection, 405, "only GET");
    return 405;
  }
  const HttpAnswer answer = static_cast<const HttpRoute*>(route)->answer();
  mg_printf(connection,
            "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n"
            "Cache-Control: no-store\r\nConnection: close\r\n\r\n",
            answer.status, mg_get_response_code_text(connection, answer.status),
            answer.body.size());
  mg_write(connection, answer.body.data(), answer.body.size());
  return answer.status;
}

}  // namespace

struct HttpServer::Impl {
  std::vector<HttpRoute> routes;
  mg_context* context = nullptr;

  ~Impl() {
    if (context != nullptr) mg_stop(context);
  }
};

HttpServer::HttpServer(std::unique_ptr<Impl> impl, std::string address)
    : impl_(std::move(impl)), address_(std::move(address)) {}
HttpServer::~HttpServer() = default;

Result<std::unique_ptr<HttpServer>> HttpServer::start(const std::string& address,
                                                      std::vector<HttpRoute> routes) {
  auto impl = std::make_unique<Impl>();
  impl->routes = std::move(routes);
  const char* options[] = {"listening_ports",    address.c_str(),      "num_threads", kThreads,
                           "request_timeout_ms", kRequestMilliseconds, nullptr};
  const mg_callbacks callbacks{};
  impl->context = mg_start(&callbacks, nullptr, options);
  mg_server_port port{};
  if (impl->context == nullptr || mg_get_server_ports(impl->context, 1, &port) != 1) {
    return fail(Category::unavailable,
                "metrics: cannot listen on " + address + "; is the port taken?");
  }
  for (HttpRoute& route : impl->routes) {
    // '$': exactly this path.
    mg_set_request_handler(impl->context, (route.path + "$").c_str(), &answer_request, &route);
  }
  const std::string bound = address.substr(0, address.rfind(':')) + ":" + std::to_string(port.port);
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl), bound));
}

}  // namespace keystub::service
