#include "tests/bench/krb5_kdc.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>
#include <vector>

namespace keystub::bench {
namespace {

constexpr const char* kKrb5Conf = R"([libdefaults]
default_realm = BENCH.EXAMPLE
dns_lookup_kdc = false
dns_lookup_realm = false
dns_canonicalize_hostname = false
rdns = false
[realms]
BENCH.EXAMPLE = {{
  kdc = 127.0.0.1:{port}
}}
)";
constexpr const char* kKdcConf = R"([kdcdefaults]
kdc_listen = 127.0.0.1:{port}
kdc_tcp_listen = 127.0.0.1:{port}
[realms]
BENCH.EXAMPLE = {{
  database_name = {folder}/principal
  key_stash_file = {folder}/stash
  acl_file = {folder}/acl
  master_key_type = aes256-cts
  supported_enctypes = aes256-cts:normal
}}
[logging]
kdc = FILE:{folder}/kdc.log
)";

// A port that is free now; the KDC cannot be asked which one it took.
int free_port() {
  const int fd = ::socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  require(::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
              ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0,
          "a free port");
  ::close(fd);
  return ntohs(address.sin_port);
}

}  // namespace

Krb5Kdc::Krb5Kdc() {
  const std::string folder = folder_.path();
  const int port = free_port();
  environment_ = {
      {"KRB5_CONFIG",
       folder_.write("krb5.conf", fmt::format(fmt::runtime(kKrb5Conf), fmt::arg("port", port)))
           .string()},
      {"KRB5_KDC_PROFILE",
       folder_
           .write("kdc.conf", fmt::format(fmt::runtime(kKdcConf), fmt::arg("port", port),
                                          fmt::arg("folder", folder)))
           .string()}};
  run_program({"/usr/sbin/kdb5_util", "create", "-s", "-P", "bench"}, environment_);
  for (const char* principal : {"load", "host/bench"}) {
    run_program({"/usr/sbin/kadmin.local", "-q", fmt::format("addprinc -randkey {}", principal)},
                environment_);
  }
  run_program({"/usr/sbin/kadmin.local", "-q", fmt::format("ktadd -k {}/keytab load", folder)},
              environment_);
  kdc_ = std::make_unique<ChildProcess>(
      std::vector<std::string>{"/usr/sbin/krb5kdc", "-n", "-w", "2"}, environment_);
  std::this_thread::sleep_for(std::chrono::seconds(1));  // clients ask again when it is later
  require(kdc_->running(), "krb5kdc ended");
}

double Krb5Kdc::run(std::size_t clients, std::chrono::duration<double> length) {
  std::vector<std::unique_ptr<ChildProcess>> loads;
  for (std::size_t i = 0; i < clients; ++i) {
    loads.push_back(std::make_unique<ChildProcess>(
        std::vector<std::string>{program("bench-krb5-load"), folder_ / "keytab", "load",
                                 "host/bench", std::to_string(length.count())},
        environment_));
  }
  for (const auto& load : loads) require(load->line() == "ready", "bench-krb5-load is not ready");
  double per_second = 0;
  for (const auto& load : loads) per_second += std::stod(load->line());
  for (const auto& load : loads) load->wait();
  return per_second;
}

}  // namespace keystub::bench
