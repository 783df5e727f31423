// PkMaterial: what the KMS needs to serve REQUEST_INIT_PK and RESOLVE_INIT_PK (RFC 6043 4.2.1.3 and
// 4.2.3.3): its own key pair, which opens envelope keys, and what certificates of senders are
// judged by. Read from files in PEM.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "kms-server/identity_store.h"
#include "mikey/message.h"
#include "mikey/public_key/credentials.h"

namespace keystub::kms {

// The table [pk] of the configuration.
struct PkSettings {
  bool enabled = false;  // false: the public-key variants are refused
  std::filesystem::path certificate;
  std::filesystem::path private_key;
  // The pair that was replaced, as long as somebody encrypts for it; empty: none.
  std::filesystem::path previous_certificate;
  std::filesystem::path previous_private_key;
  std::filesystem::path trust_anchors;  // empty: only pinned certificates are accepted
  std::filesystem::path crl;            // empty: revocation is not looked at
  std::size_t threads = 2;
  std::size_t max_waiting = 64;

  // All files that are set.
  std::vector<std::filesystem::path> files() const;
  bool operator==(const PkSettings&) const = default;
};

// Immutable. The private keys are in OpenSSL's keeping and wiped with the last pointer to this.
class PkMaterial {
 public:
  // not_found, malformed, and denied for a key that others may read; each with the file's name.
  // Whether certificates and lists are current is asked when they are used.
  static Result<std::shared_ptr<const PkMaterial>> load(const PkSettings& settings);

  std::span<const mikey::KmsKeyPair> keys() const noexcept {
    return keys_;
  }  // the present one first
  const mikey::TrustAnchors& anchors() const noexcept { return anchors_; }
  const mikey::Certificate& certificate() const noexcept { return keys_.front().certificate(); }

 private:
  PkMaterial(std::vector<mikey::KmsKeyPair> keys, mikey::TrustAnchors anchors)
      : keys_(std::move(keys)), anchors_(std::move(anchors)) {}

  std::vector<mikey::KmsKeyPair> keys_;
  mikey::TrustAnchors anchors_;
};

// Whether the octets say that they are of a public-key variant. For limits, before parsing.
bool looks_public_key(Bytes message) noexcept;

// Who a message of the public-key variants says that it is from. A claim until it is authenticated.
struct PkSender {
  // malformed: its first certificate cannot be read.
  static Result<PkSender> read(const mikey::Message& message);

  std::optional<mikey::Certificate> certificate;  // the first CERT
  std::string fingerprint = {};                   // SHA-256 of it in hex; empty without one
  // IDRi or IDRr. Where that is missing, the one URI of the certificate (RFC 6043 4.2.1.3).
  std::optional<mikey::Identity> id = {};
};

// What the message of one sender is authenticated with. Keeps what PkAuthentication refers to.
class PkProof {
 public:
  // A certificate that is pinned for the sender stands for itself, whoever issued it, unless one of
  // the lists revokes it; every other has to lead to an anchor. Who sends none is known by the
  // first pinned one. `pinned`: those of the identity that is claimed; empty where there is none.
  // Then, too, something is there to be verified, so that it takes as long, and proves nobody.
  static Result<PkProof> choose(std::shared_ptr<const PkMaterial> material, const PkSender& sender,
                                std::span<const PinnedCertificate> pinned);

  mikey::PkAuthentication at(WallTime now) const {
    return {pinned_ ? *pinned_ : material_->anchors(), material_->keys(), now, known_};
  }
  // Does the work of verifying SIGN, for a sender whose certificate was refused before that: from
  // outside it looks as if the signature had been wrong (KMS-7).
  void spend_a_signature(const mikey::Message& message) const;

 private:
  explicit PkProof(std::shared_ptr<const PkMaterial> material) : material_(std::move(material)) {}

  std::shared_ptr<const PkMaterial> material_;
  std::optional<mikey::TrustAnchors> pinned_;
  mikey::CertificateChain known_;
};

// SHA-256 over the DER form: what a pinned certificate is called.
Result<ByteVector> fingerprint_of(const mikey::Certificate& certificate);

}  // namespace keystub::kms
