// What the examples share and the library leaves to its user: where messages come from and go to,
// where keys are kept, and what is done with a key in the end.
//
// A message is a line of hex: standard input is what the network delivers, standard output is what
// goes out, standard error is for people. A key file has lines `OWNER KEY`, the key in hex.
#pragma once

#include <openssl/evp.h>

#include <fstream>
#include <iostream>
#include <map>
#include <string>

#include "mikey/transfer_exchange.h"

namespace keystub::example {

inline void send(Bytes message) { std::cout << to_hex(message) << std::endl; }

// `unavailable` where no message comes any more.
inline Result<ByteVector> receive() {
  std::string line;
  if (!std::getline(std::cin, line)) return fail(Category::unavailable, "no message came");
  return from_hex(line);
}

using Keys = std::map<std::string, Psk>;

inline Result<Keys> read_keys(const std::string& path) {
  Keys keys;
  std::ifstream file(path);
  std::string owner;
  std::string hex;
  while (file >> owner >> hex) {
    ByteVector octets = TRY(from_hex(hex));
    keys.insert_or_assign(owner, Psk(octets));
    wipe(octets);
    wipe(hex);
  }
  return keys;
}

inline Result<Psk> key_of(const Keys& keys, const std::string& owner) {
  const auto found = keys.find(owner);
  if (found == keys.end()) return fail(Category::unauthenticated, "there is no key of " + owner);
  return found->second.clone();
}

// Whether a message is of now: the library leaves it to its user how much two clocks may differ.
// RFC 6043 12.4 asks for a memory of the messages inside this time as well (lib/replay is one).
inline Result<void> check_fresh(const Clock& clock, const mikey::Timestamp& t) {
  constexpr auto kSkew = std::chrono::minutes(1);
  if (!t.is_time() || std::chrono::abs(clock.now() - t.to_wall_time()) > kSkew) {
    return fail(Category::expired, "the message is not of now; are both clocks set?");
  }
  return {};
}

// Tells people who the peer is, and a hash of each key: the same at both ends, and no secret.
inline void report(const mikey::EstablishedTransfer& established) {
  for (const mikey::EstablishedSession& session : established.sessions) {
    const Bytes tek = session.tek.reveal();
    ByteVector digest(32);
    EVP_Digest(tek.data(), tek.size(), digest.data(), nullptr, EVP_sha256(), nullptr);
    std::cerr << "shared with " << established.peer.data << ": the key with SHA-256 "
              << to_hex(digest) << '\n';
  }
}

// The end of main(): the failure, if there was one, and the exit code.
inline int exit_code(const Result<void>& result) {
  if (result) return 0;
  std::cerr << result.error().describe() << '\n';
  return 1;
}

}  // namespace keystub::example
