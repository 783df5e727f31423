#include "mikey/derivation.h"

#include <algorithm>
#include <ranges>

namespace keystub::mikey {
namespace {

// Stands for the CS ID, and for the CSB ID, where a key does not belong to one.
constexpr std::uint8_t kNoCsId = 0xFF;
constexpr std::uint32_t kNoCsbId = 0xFFFFFFFF;

constexpr std::uint8_t kForking = 0x00;
constexpr std::uint8_t kInitial = 0x01;
constexpr std::uint8_t kResponse = 0x02;
constexpr std::uint8_t kSession = 0x03;
constexpr std::uint8_t kInitiatorData = 0x04;
constexpr std::uint8_t kTicket = 0x05;
constexpr std::uint8_t kMpk = 0x06;

}  // namespace

Label::Label(KeyConstant constant, std::uint8_t cs_id, std::uint32_t csb_id, std::uint8_t phase) {
  integer(static_cast<std::uint32_t>(constant), 4);
  integer(cs_id, 1);
  integer(csb_id, 4);
  integer(phase, 1);
}

void Label::integer(std::uint32_t value, std::size_t octets) {
  std::array<std::uint8_t, 4> big_endian;
  for (std::uint8_t& octet : std::views::reverse(big_endian)) {
    octet = static_cast<std::uint8_t>(value);
    value >>= 8;
  }
  append(Bytes(big_endian).last(octets));
}

void Label::length_and(Bytes value) {
  integer(static_cast<std::uint32_t>(value.size()), 1);
  append(value);
}

void Label::append(Bytes octets) {
  if (size_ + octets.size() <= kRoom) {
    std::copy_n(octets.data(), octets.size(), octets_.data() + size_);
  } else {
    if (long_.empty()) long_ = to_vector(bytes());
    long_.insert(long_.end(), octets.begin(), octets.end());
  }
  size_ += octets.size();
}

Label Label::message(KeyConstant constant, std::uint32_t csb_id, bool response, Bytes randr_i,
                     Bytes randr_r) {
  Label label(constant, kNoCsId, csb_id, response ? kResponse : kInitial);
  label.length_and(randr_i);
  label.length_and(randr_r);
  return label;
}

Label Label::session(KeyConstant constant, std::uint8_t cs_id, Bytes randr_i, Bytes randr_r) {
  Label label(constant, cs_id, kNoCsbId, kSession);
  label.length_and(randr_i);
  label.length_and(randr_r);
  return label;
}

Label Label::forking(KeyConstant constant, Bytes id_data, Bytes randr_kms) {
  Label label(constant, kNoCsId, kNoCsbId, kForking);
  label.integer(static_cast<std::uint32_t>(id_data.size()), 2);
  label.append(id_data);
  label.length_and(randr_kms);
  return label;
}

Label Label::initiator_data(KeyConstant constant) {
  return {constant, kNoCsId, kNoCsbId, kInitiatorData};
}

Label Label::ticket(KeyConstant constant, Bytes rand) {
  Label label(constant, kNoCsId, kNoCsbId, kTicket);
  label.length_and(rand);
  return label;
}

Label Label::mpk(KeyConstant constant, Bytes rand) {
  Label label(constant, kNoCsId, kNoCsbId, kMpk);
  label.length_and(rand);
  return label;
}

Label& Label::with(KeyConstant constant) noexcept {
  const auto value = static_cast<std::uint32_t>(constant);
  std::uint8_t* const begin = long_.empty() ? octets_.data() : long_.data();
  for (int i = 0; i < 4; ++i) begin[i] = static_cast<std::uint8_t>(value >> (24 - 8 * i));
  return *this;
}

namespace {

// The keys of a message or ticket. `label` has any constant.
Result<MessageKeys> derive_keys(const Suite& suite, const Prf& inkey, Protects protects,
                                Label label) {
  Result<MessageKeys> keys(std::in_place);
  if (protects == Protects::integrity_and_keys) {
    keys->encr =
        TRY(derive<EncrKey>(inkey, label.with(KeyConstant::message_encr), suite.key_octets));
    keys->salt =
        TRY(derive<SaltKey>(inkey, label.with(KeyConstant::message_salt), salt_octets(suite.encr)));
  }
  keys->auth =
      TRY(derive<AuthKey>(inkey, label.with(KeyConstant::message_auth), suite.auth_octets));
  return keys;
}

}  // namespace

Result<MessageKeys> derive_message_keys(const Suite& suite, const Prf& inkey,
                                        const MessageContext& context, Protects protects) {
  return derive_keys(suite, inkey, protects,
                     Label::message(KeyConstant::message_auth, context.csb_id, context.response,
                                    context.randr_i, context.randr_r));
}

Result<MessageKeys> derive_message_keys(const Suite& suite, Bytes inkey,
                                        const MessageContext& context, Protects protects) {
  return derive_message_keys(suite, TRY(Prf::keyed(suite.prf, inkey)), context, protects);
}

Result<MessageKeys> derive_ticket_keys(const Suite& suite, const Prepared<Tpk>& tpk, Bytes rand) {
  const SharedPrf inkey = TRY(tpk.prf(suite.prf));
  return derive_keys(suite, *inkey, Protects::integrity_and_keys,
                     Label::ticket(KeyConstant::message_auth, rand));
}

Result<AuthKey> derive_initiator_data_key(const Suite& suite, const Mpk& mpkr) {
  return derive_once<AuthKey>(suite.prf, mpkr.reveal(),
                              Label::initiator_data(KeyConstant::message_auth), suite.auth_octets);
}

Result<MpkPair> derive_mpk_pair(PrfFunc func, const Mpk& mpk, Bytes rand) {
  const Prf inkey = TRY(Prf::keyed(func, mpk.reveal()));
  Result<MpkPair> pair(std::in_place);
  Label label = Label::mpk(KeyConstant::mpki, rand);
  pair->mpki = TRY(derive<Mpk>(inkey, label, mpk.size()));
  pair->mpkr = TRY(derive<Mpk>(inkey, label.with(KeyConstant::mpkr), mpk.size()));
  return pair;
}

Result<Mpk> fork_mpkr(PrfFunc func, const Mpk& mpkr, Bytes id_data, Bytes randr_kms) {
  return derive_once<Mpk>(func, mpkr.reveal(),
                          Label::forking(KeyConstant::mpkr_forked, id_data, randr_kms),
                          mpkr.size());
}

Result<void> fork_session_key(PrfFunc func, SessionKey& key, Bytes id_data, Bytes randr_kms) {
  if (!is_tgk(key.type)) return {};  // TEKs and GTGKs shall not be forked (5.1.1)
  const Label label = Label::forking(KeyConstant::tgk_forked, id_data, randr_kms);
  key.key = TRY(derive_once<CarriedKey>(func, key.key.reveal(), label, key.key.size()));
  return {};
}

Result<Tek> derive_tek(PrfFunc func, const SessionKey& key, std::uint8_t cs_id, Bytes randr_i,
                       Bytes randr_r, std::size_t octets) {
  if (is_tek(key.type)) return Tek(key.key.reveal());
  return derive_once<Tek>(func, key.key.reveal(),
                          Label::session(KeyConstant::tek, cs_id, randr_i, randr_r), octets);
}

Result<SaltKey> derive_session_salt(PrfFunc func, const SessionKey& key, std::uint8_t cs_id,
                                    Bytes randr_i, Bytes randr_r, std::size_t octets) {
  return derive_once<SaltKey>(func, key.key.reveal(),
                              Label::session(KeyConstant::session_salt, cs_id, randr_i, randr_r),
                              octets);
}

}  // namespace keystub::mikey
