// A message taken apart, so that a test can change one thing in it and put it together again.
#pragma once

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "mikey/message.h"
#include "mikey/protection.h"

namespace keystub::mikey {

class Pieces {
 public:
  struct Piece {
    PayloadType type;
    ByteVector octets;  // the whole payload; of V what precedes the MAC

    // The role of an IDR, RANDR or TR.
    std::uint8_t role() const { return octets.at(1); }
  };

  explicit Pieces(Bytes message) {
    const Message parsed = Message::parse(message).value();
    PayloadWalker walker = parsed.payloads();
    while (const auto payload = walker.next().value()) {
      if (header.empty()) header = to_vector(message.first(payload->offset));
      ByteVector octets = to_vector(payload->bytes);
      if (payload->type == PayloadType::v) octets.resize(2);
      payloads.push_back({payload->type, std::move(octets)});
    }
  }

  // The octets of HDR, by name.
  std::uint8_t& v_and_prf() { return header.at(3); }
  std::uint8_t& csb_id() { return header.at(4); }
  std::uint8_t& cs_count() { return header.at(8); }
  std::uint8_t& map_type() { return header.at(9); }

  Piece& find(PayloadType type) {
    return *find_if([type](const Piece& piece) { return piece.type == type; });
  }
  template <class Role>
  Piece& find(PayloadType type, Role role) {
    return *find_if([=](const Piece& piece) {
      return piece.type == type && piece.role() == static_cast<std::uint8_t>(role);
    });
  }
  // The value of a RANDR; empty where the message has none.
  Bytes rand(RandRole role) const {
    for (const Piece& piece : payloads) {
      if (piece.type == PayloadType::randr && piece.role() == static_cast<std::uint8_t>(role)) {
        return Bytes(piece.octets).subspan(3);
      }
    }
    return {};
  }
  void cut_rand(RandRole role, std::uint8_t octets) {
    Piece& piece = find(PayloadType::randr, role);
    piece.octets.at(2) = octets;
    piece.octets.resize(3 + octets);
  }
  void drop(PayloadType type) { erase(find(type)); }
  template <class Role>
  void drop(PayloadType type, Role role) {
    erase(find(type, role));
  }
  // In front of V. `octets` begin with the Next Payload octet, of any value.
  void insert(PayloadType type, ByteVector octets) {
    payloads.insert(payloads.end() - 1, {type, std::move(octets)});
  }

  // All of it, with the chain of Next Payloads, up to where the MAC begins.
  ByteVector without_mac() const {
    ByteVector out = header;
    std::size_t next_at = 2;
    for (const Piece& piece : payloads) {
      out[next_at] = static_cast<std::uint8_t>(piece.type);
      next_at = out.size();
      out.insert(out.end(), piece.octets.begin(), piece.octets.end());
    }
    // SIGN has no Next Payload.
    if (payloads.back().type != PayloadType::sign) {
      out[next_at] = static_cast<std::uint8_t>(PayloadType::last);
    }
    return out;
  }
  ByteVector sealed(const Suite& suite, const AuthKey& key, Bytes following,
                    Bytes more_following = {}) const {
    ByteVector out = without_mac();
    const Mac mac = compute_mac(suite, key, {out, following, more_following}).value();
    out.insert(out.end(), mac.bytes().begin(), mac.bytes().end());
    return out;
  }
  // TRANSFER_INIT without Initiator Data: the MAC leaves out the length of it.
  ByteVector sealed_transfer_init(const Suite& suite, const AuthKey& key, Bytes initiator,
                                  Bytes responder) const {
    Pieces covered = *this;
    for (Piece& piece : covered.payloads) {
      if (piece.type == PayloadType::ticket) piece.octets.resize(piece.octets.size() - 2);
    }
    const ByteVector input = covered.without_mac();
    ByteVector out = without_mac();
    const Mac mac = compute_mac(suite, key, {input, initiator, responder}).value();
    out.insert(out.end(), mac.bytes().begin(), mac.bytes().end());
    return out;
  }

  ByteVector header;
  std::vector<Piece> payloads;

 private:
  template <class Predicate>
  std::vector<Piece>::iterator find_if(Predicate predicate) {
    const auto found = std::ranges::find_if(payloads, predicate);
    if (found == payloads.end()) throw std::logic_error("the message has no such payload");
    return found;
  }
  void erase(const Piece& piece) { payloads.erase(payloads.begin() + (&piece - payloads.data())); }
};

}  // namespace keystub::mikey
