// Every key derivation of MIKEY-TICKET: the labels of RFC 6043 5.1 and A.2 and the keys made with
// them.
#pragma once

#include <array>
#include <optional>

#include "mikey/keys.h"
#include "mikey/prf.h"
#include "mikey/suite.h"

namespace keystub::mikey {

// Constants from the digits of e: RFC 3830 4.1.3 and 4.1.4, RFC 6043 tables 5.1 and A.1.
enum class KeyConstant : std::uint32_t {
  tek = 0x2AD01C64,
  session_auth = 0x1B5C7973,
  session_encr = 0x15798CEF,
  session_salt = 0x39A2C14B,
  message_encr = 0x150533E1,
  message_auth = 0x2D22AC75,
  message_salt = 0x29B88916,
  mpkr_forked = 0x2B288856,
  tgk_forked = 0x1512B54A,
  mpki = 0x220E99A2,
  mpkr = 0x1F4D675B,
};

// A label, built in place: only one with an identity of more than 244 octets takes memory.
class Label {
 public:
  // Keys of a message: from a PSK, envelope key, MPKi or MPKr' (5.1.2). An absent RAND has
  // length 0. At most 255 octets each.
  static Label message(KeyConstant constant, std::uint32_t csb_id, bool response, Bytes randr_i,
                       Bytes randr_r);
  // TEK and session keys from a TGK, TGK' or GTGK (5.1.3).
  static Label session(KeyConstant constant, std::uint8_t cs_id, Bytes randr_i, Bytes randr_r);
  // MPKr' and TGK' (5.1.1). ID Data at most 65535 octets.
  static Label forking(KeyConstant constant, Bytes id_data, Bytes randr_kms);
  // Key of Vr in the Initiator Data (6.10).
  static Label initiator_data(KeyConstant constant);
  // Ticket keys from the TPK (A.2.1), MPKi and MPKr from the MPK (A.2.2).
  static Label ticket(KeyConstant constant, Bytes rand);
  static Label mpk(KeyConstant constant, Bytes rand);

  // The same label with another constant.
  Label& with(KeyConstant constant) noexcept;

  Bytes bytes() const noexcept {
    return long_.empty() ? Bytes(octets_).first(size_) : Bytes(long_);
  }

 private:
  // Up to the phase there are 10 octets, then two RANDs with their lengths.
  static constexpr std::size_t kRoom = 10 + 2 * 256;

  Label(KeyConstant constant, std::uint8_t cs_id, std::uint32_t csb_id, std::uint8_t phase);
  void integer(std::uint32_t value, std::size_t octets);
  void length_and(Bytes value);
  void append(Bytes octets);

  std::size_t size_ = 0;
  std::array<std::uint8_t, kRoom> octets_;
  ByteVector long_;  // instead of octets_
};

using AuthKey = Secret<struct AuthKeyTag>;
using EncrKey = Secret<struct EncrKeyTag>;

// One derivation into a fresh secret, which is made in its place: a move would have to wipe it.
template <class Key>
Result<Key> derive(const Prf& prf, const Label& label, std::size_t octets) {
  Result<Key> key(std::in_place, octets);
  KEYSTUB_TRY(prf.derive(label.bytes(), key->reveal_mutable()));
  return key;
}

template <class Key>
Result<Key> derive_once(PrfFunc func, Bytes inkey, const Label& label, std::size_t octets) {
  Result<Key> key(std::in_place, octets);
  KEYSTUB_TRY(Prf::derive_once(func, inkey, label.bytes(), key->reveal_mutable()));
  return key;
}

// The keys that protect one message of an exchange.
struct MessageKeys {
  AuthKey auth;
  EncrKey encr;  // empty unless asked for
  SaltKey salt;  // salt_octets() of the suite; empty unless asked for
};
enum class Protects : std::uint8_t { integrity, integrity_and_keys };

// Where the inkey is used: RFC 6043 5.1.2.
struct MessageContext {
  std::uint32_t csb_id = 0;
  bool response = false;
  Bytes randr_i;
  Bytes randr_r;
};
Result<MessageKeys> derive_message_keys(const Suite& suite, const Prf& inkey,
                                        const MessageContext& context, Protects protects);
Result<MessageKeys> derive_message_keys(const Suite& suite, Bytes inkey,
                                        const MessageContext& context, Protects protects);
// The keys of a ticket, from its TPK and RAND (A.2.1).
Result<MessageKeys> derive_ticket_keys(const Suite& suite, const Prepared<Tpk>& tpk, Bytes rand);
// The auth_key of Vr, from MPKr, not forked (6.10).
Result<AuthKey> derive_initiator_data_key(const Suite& suite, const Mpk& mpkr);

struct MpkPair {
  Mpk mpki;
  Mpk mpkr;
};
Result<MpkPair> derive_mpk_pair(PrfFunc prf, const Mpk& mpk, Bytes rand);

// MPKr' (5.1.1).
Result<Mpk> fork_mpkr(PrfFunc prf, const Mpk& mpkr, Bytes id_data, Bytes randr_kms);
// Makes a TGK a TGK' (5.1.1). Keys of other types stay as they are.
Result<void> fork_session_key(PrfFunc prf, SessionKey& key, Bytes id_data, Bytes randr_kms);

// A TEK as it is, or one of `octets` from a TGK, TGK' or GTGK (5.1.3). RANDs that the policy
// leaves out are empty; one of the two must be there.
Result<Tek> derive_tek(PrfFunc prf, const SessionKey& key, std::uint8_t cs_id, Bytes randr_i,
                       Bytes randr_r, std::size_t octets);
// The salting key for a security protocol that needs one, where the TGK, TGK' or GTGK came without
// (RFC 3830 4.1.3, RFC 6043 5.1.3).
Result<SaltKey> derive_session_salt(PrfFunc prf, const SessionKey& key, std::uint8_t cs_id,
                                    Bytes randr_i, Bytes randr_r, std::size_t octets);

}  // namespace keystub::mikey
