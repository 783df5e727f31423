// Protecting a message: the MAC of its V payload and the encryption of its KEMAC
// (RFC 3830 4.2.3 and 4.2.4, RFC 6043 6.2).
#pragma once

#include "mikey/derivation.h"
#include "mikey/message.h"

namespace keystub::mikey {

// A MAC, in place.
struct Mac {
  std::array<std::uint8_t, kMaxHmacSize> octets;
  std::size_t size = 0;

  Bytes bytes() const noexcept { return Bytes(octets).first(size); }
};

// MAC over the parts, one after the other.
Result<Mac> compute_mac(const Suite& suite, const AuthKey& key, std::initializer_list<Bytes> parts);

// Compares in constant time with the MAC that `message` carries in its V payload. `clause` says
// which rule is broken when they differ.
Result<void> verify_mac(const Suite& suite, const AuthKey& key, std::initializer_list<Bytes> parts,
                        Bytes carried, const Place& place);

// AES in counter mode with IV = (S XOR (0x0000 || CSB ID || T)) || 0x0000; encrypts and decrypts.
// `out` has the size of `in`.
Result<void> aes_cm(const Suite& suite, const MessageKeys& keys, std::uint32_t csb_id,
                    const Timestamp& t, Bytes in, MutableBytes out);

// Plain text key data: wiped when dropped.
class PlainKeyData {
 public:
  explicit PlainKeyData(ByteVector octets) : octets_(std::move(octets)) {}
  PlainKeyData(PlainKeyData&&) = default;
  PlainKeyData& operator=(PlainKeyData&&) = delete;
  ~PlainKeyData() { wipe(octets_); }

  Bytes bytes() const noexcept { return octets_; }

 private:
  ByteVector octets_;
};

// The suite that opens a KEMAC of a message or ticket with this PRF. Refuses algorithms that do not
// go with the PRF (NULL above all: it would show the keys to every hop) and a KEMAC with a MAC of
// its own.
Result<const Suite*> suite_of_kemac(PrfFunc prf, const KemacView& kemac, const Place& place);

// The KEMAC of a message, opened. `suite` is the one that suite_of_kemac() finds.
Result<KemacKeys> open_kemac(const Suite& suite, const MessageKeys& keys, std::uint32_t csb_id,
                             const Timestamp& t, const KemacView& kemac, const Place& place);

// The plain text of a KEMAC: MPKs (all with `mpk_spi`) and session keys, in this order.
PlainKeyData encode_kemac_keys(std::initializer_list<const Mpk*> mpks, Bytes mpk_spi,
                               const std::vector<SessionKey>& session_keys);

// Encrypts it. AES-KW knows no padding: it takes key data of a multiple of 64 bits and refuses
// other (malformed); the lengths of the SPIs decide that.
Result<ByteVector> seal_kemac(const Suite& suite, const MessageKeys& keys, std::uint32_t csb_id,
                              const Timestamp& t, const PlainKeyData& plain);

}  // namespace keystub::mikey
