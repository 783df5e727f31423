// A far end for the media plane in tests: a blocking socket on its own thread's time, with our TLS
// engine or none, and MSRP text written by hand.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/random.h"
#include "mrfp-agent/event_loop.h"
#include "mrfp-agent/net.h"
#include "tlspsk/cipher_suites.h"
#include "tlspsk/engine.h"

namespace keystub::mrfp::testing {

inline OpenSslRandom& system_random() {
  static OpenSslRandom random;
  return random;
}

inline Psk key_of(std::uint8_t fill) {
  Psk key(std::size_t{32});
  for (auto& octet : key.reveal_mutable()) octet = fill;
  return key;
}

inline tlspsk::Candidate candidate(const std::string& identity, std::uint8_t fill,
                                   const std::string& dialog = "dialog") {
  return {identity, key_of(fill), dialog};
}

template <class... Candidates>
std::vector<tlspsk::Candidate> keys(Candidates... candidates) {
  std::vector<tlspsk::Candidate> list;
  (list.push_back(std::move(candidates)), ...);
  return list;
}

// A non-blocking TCP socket with an optional TLS engine, moved by step(). One thread: the test
// steps the loop and its peers in turn.
class Peer {
 public:
  explicit Peer(std::vector<std::string> suites = tlspsk::default_cipher_suites())
      : suites_(std::move(suites)) {}
  ~Peer() { close_socket(); }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  void connect(const SocketAddress& to) {
    auto address = to_system(to).value();
    fd_ = ::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK, 0);
    const int on = 1;  // without it small messages wait for a delayed ACK
    (void)::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)::connect(fd_, address.get(), address.size);
  }
  // Listens on a free port of 127.0.0.1 and returns it; step() accepts.
  SocketAddress listen() {
    SystemAddress address = to_system({"127.0.0.1", 0}).value();
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    (void)::bind(listener_, address.get(), address.size);
    (void)::listen(listener_, 4);
    (void)::getsockname(listener_, address.get(), &address.size);
    return from_system(address);
  }
  void use_tls(tlspsk::Role role, tlspsk::Candidate key) {
    (void)ring_.replace(keys(std::move(key)));
    profile_ = tlspsk::Profile::create(suites_, system_random()).value();
    engine_ = tlspsk::Engine::create(profile_, role, ring_).value();
    (void)engine_->start();
  }

  void step() {
    if (fd_ < 0 && listener_ >= 0) fd_ = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK);
    if (fd_ < 0) return;
    if (reading) {
      std::array<std::uint8_t, 16384> buffer;
      const ssize_t got = ::recv(fd_, buffer.data(), buffer.size(), 0);
      if (got == 0) ended_ = true;
      if (got < 0 && errno != EAGAIN && errno != ENOTCONN) reset_ = true;
      if (got > 0) {
        const Bytes data(buffer.data(), static_cast<std::size_t>(got));
        if (engine_) {
          (void)engine_->feed(data);
        } else {
          received.append(as_text(data));
        }
      }
      if (engine_) {
        for (;;) {
          const auto plain = engine_->read(buffer);
          if (!plain || *plain == 0) break;
          received.append(as_text(Bytes(buffer).first(*plain)));
        }
      }
    }
    if (engine_) engine_->take_output(out_);
    if (!out_.empty()) {
      const ssize_t sent = ::send(fd_, out_.data(), out_.size(), MSG_NOSIGNAL);
      if (sent > 0) out_.erase(out_.begin(), out_.begin() + sent);
    }
  }

  void send(std::string_view text) {
    if (engine_) {
      (void)engine_->write(as_bytes(text));
      engine_->take_output(out_);
    } else {
      const Bytes data = as_bytes(text);
      out_.insert(out_.end(), data.begin(), data.end());
    }
  }
  std::size_t unsent() const { return out_.size(); }
  void close_tls() { engine_->close(); }
  void close_socket() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    if (listener_ >= 0) ::close(std::exchange(listener_, -1));
  }

  bool connected() const { return fd_ >= 0; }
  bool secured() const { return engine_ && engine_->state() == tlspsk::State::established; }
  bool tls_closed() const { return engine_ && engine_->state() == tlspsk::State::closed; }
  bool tls_failed() const { return engine_ && engine_->state() == tlspsk::State::failed; }
  bool ended() const { return ended_ || reset_; }
  bool was_reset() const { return reset_; }
  const tlspsk::Engine& engine() const { return *engine_; }

  std::string received;  // application octets
  bool reading = true;

 private:
  std::vector<std::string> suites_;
  int fd_ = -1;
  int listener_ = -1;
  bool ended_ = false;
  bool reset_ = false;
  ByteVector out_;
  tlspsk::KeyRing ring_;
  std::shared_ptr<const tlspsk::Profile> profile_;
  std::unique_ptr<tlspsk::Engine> engine_;
};

}  // namespace keystub::mrfp::testing
