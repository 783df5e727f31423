// Fuzzes the TLS-PSK server with arbitrary bytes from the wire, in pieces whose sizes the input
// decides. No input may establish a session: none can know the key.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>

#include "base/random.h"
#include "tlspsk/cipher_suites.h"
#include "tlspsk/engine.h"

using namespace keystub;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static OpenSslRandom random;
  static const auto profile = tlspsk::Profile::create(tlspsk::default_cipher_suites(), random);
  if (!profile || size == 0) return 0;

  tlspsk::KeyRing keys;
  std::vector<tlspsk::Candidate> candidates;
  auto key = random.secret<PskTag>(32);
  if (!key) return 0;
  candidates.push_back({"mikey-ticket;1;1;0011223344556677", std::move(*key), "dialog"});
  auto engine = tlspsk::Engine::create(*profile, tlspsk::Role::server, keys);
  if (!engine) return 0;

  const std::size_t piece = 1 + data[0] * 8u;
  const bool keys_first = data[0] % 2 == 0;
  if (keys_first && !keys.replace(std::move(candidates))) std::abort();
  Bytes wire = Bytes(data, size).subspan(1);
  ByteVector out;
  std::array<std::uint8_t, 1024> plain;
  while (!wire.empty()) {
    const Bytes part = wire.first(std::min(piece, wire.size()));
    wire = wire.subspan(part.size());
    if (!(*engine)->feed(part)) break;
    (void)(*engine)->read(plain);
    (*engine)->take_output(out);
    if ((*engine)->state() == tlspsk::State::waiting_for_key) {
      if (!keys.replace(std::move(candidates))) std::abort();
      candidates.clear();
      if (!(*engine)->keys_changed()) break;
    }
  }
  if ((*engine)->session().has_value()) std::abort();
  (void)(*engine)->feed_end();
  (*engine)->take_output(out);
  return 0;
}
