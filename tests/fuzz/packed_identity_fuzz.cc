// Any octets as a packed identity: nothing, or one that packs and unpacks to itself. And as a list
// of what is done to a packed cache, which is held against a map: what it finds is what was put
// last, and what has just been put is there.
#include <cstdint>
#include <cstdlib>
#include <map>

#include "base/byte_reader.h"
#include "kms-server/open_identity.h"
#include "kms-server/packed_cache.h"

using namespace keystub;
using namespace keystub::kms;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void unpack_and_pack(Bytes packed) {
  const std::string uri = "sip:a@x";
  const auto identity = unpack(uri, packed);
  if (identity == nullptr) return;
  const PackedIdentity again = pack(*identity);
  const auto once_more = unpack(uri, again.reveal());
  require(once_more != nullptr && equal(pack(*once_more).reveal(), again.reveal()));
}

// Rings that hold two long entries or so, and few names: they are full soon.
void put_and_erase(Bytes script) {
  PackedCache cache(PackedCache::kShards * 6000);
  std::map<std::string, ByteVector> model;
  ByteReader in("script", script);
  while (!in.at_end()) {
    const std::uint8_t step = in.u8("step");
    const std::string name(1 + (step & 7) * 36U, static_cast<char>('a' + (step >> 3 & 7)));
    if (step >= 224) {
      cache.erase(name);
      model.erase(name);
    } else {
      const ByteVector value(in.u16("size") % (PackedCache::kMaxValue + 1), step);
      cache.insert(cache.begin_load(name), name, value);
      model[name] = value;
      require(cache.find(name, [&](Bytes found) { require(equal(found, value)); }));
    }
    for (const auto& [other, value] : model) {
      cache.find(other, [&](Bytes found) { require(equal(found, value)); });
    }
    require(cache.size() <= model.size());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes input(data, size);
  unpack_and_pack(input);
  put_and_erase(input);
  return 0;
}
