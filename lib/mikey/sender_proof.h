// How the sender of REQUEST_INIT or RESOLVE_INIT proves to the KMS who it is, and the key that the
// exchange is protected with: pre-shared key and V, or certificates, envelope key (PKE) and SIGN
// (RFC 6043 4.2.1.2, 4.2.1.3, 4.2.3.2, 4.2.3.3). Internal to the library.
//
// Each function that takes credentials exists for both kinds, so that an exchange is written once.
#pragma once

#include "mikey/exchange_rules.h"
#include "mikey/public_key/credentials.h"

namespace keystub::mikey {

// Refuses credentials that no KMS could accept at `now`, before anything is sent.
Result<void> check_credentials(const KmsCredentials& credentials, WallTime now);
Result<void> check_credentials(const PkCredentials& credentials, WallTime now);

// The octets of the RAND that freshens keys made from the exchange key (RFC 6043 12.1).
std::size_t rand_octets(const Suite& suite, const KmsCredentials& credentials) noexcept;
std::size_t rand_octets(const Suite& suite, const PkCredentials& credentials) noexcept;

// Where the keys of an initial message are used: in a request with RANDRi, in a resolve with RANDRr
// (RFC 6043 5.1.2). The RAND must be there.
MessageContext initial_context(const Message& message);

// The pre-shared key; a fresh envelope key from env.random.
Result<ExchangeKey> make_exchange_key(const Environment& env, const Suite& suite,
                                      const KmsCredentials& credentials);
Result<ExchangeKey> make_exchange_key(const Environment& env, const Suite& suite,
                                      const PkCredentials& credentials);

// IDRi or IDRr, {CERT}, IDRkms.
void add_identities(MessageBuilder& builder, IdRole sender, const KmsCredentials& credentials);
void add_identities(MessageBuilder& builder, IdRole sender, const PkCredentials& credentials);

// Ends the message. PSK: [IDRpsk], V. PK: CHASH, PKE, SIGN; PKE draws its padding from env.random.
Result<ByteVector> finish_with_proof(const Environment& env, MessageBuilder&& builder,
                                     const Suite& suite, const MessageContext& context,
                                     const ExchangeKey& key, const KmsCredentials& credentials);
Result<ByteVector> finish_with_proof(const Environment& env, MessageBuilder&& builder,
                                     const Suite& suite, const MessageContext& context,
                                     const ExchangeKey& key, const PkCredentials& credentials);

// KMS's side. What a message of the public-key variant must hold, as far as it shows without keys:
// PKE, with an envelope key that is not to be cached, and SIGN with an algorithm that is known.
Result<void> check_pk_payloads(const Message& message);

// Verifies V with the pre-shared key of `sender`. Both return the PRF with the exchange key.
Result<SharedPrf> verify_proof(const Message& message, const Identity& sender, const Identity& kms,
                               const Prepared<Psk>& psk);
// Validates the certificates of `sender`, then verifies SIGN, and only then opens PKE.
Result<SharedPrf> verify_proof(const Message& message, const Identity& sender, const Identity& kms,
                               const PkAuthentication& pk);

}  // namespace keystub::mikey
