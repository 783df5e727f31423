#include "kms-server/pk_material.h"

#include <algorithm>
#include <fstream>
#include <iterator>

#include "kms-server/files.h"
#include "service/secret_file.h"

namespace keystub::kms {
namespace {

using Path = std::filesystem::path;

constexpr std::size_t kMaxKeyFile = 8192;  // octets: more than an RSA key of 8192 bits takes

Result<std::string> read_text(const Path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return fail(Category::not_found, file.string() + " cannot be read");
  return std::string(std::istreambuf_iterator<char>(in), {});
}

template <class T>
Result<T> about(const Path& file, Result<T> result) {
  if (result) return result;
  return std::unexpected(std::move(result).error().with_context(file.string()));
}

Result<std::vector<mikey::Certificate>> read_certificates(const Path& file) {
  const std::string pem = TRY(read_text(file));
  return about(file, mikey::Certificate::from_pem(pem));
}

Result<mikey::KmsKeyPair> read_pair(const Path& certificate_file, const Path& key_file) {
  const auto certificates = TRY(read_certificates(certificate_file));
  const auto pem = TRY(service::read_secret<mikey::PrivateKeyPemTag>(
      key_file, service::SecretEncoding::raw, 1, kMaxKeyFile));
  auto key = TRY(about(key_file, mikey::PrivateKey::from_pem(pem)));
  return about(key_file, mikey::KmsKeyPair::make(certificates.front(), std::move(key)));
}

}  // namespace

std::vector<Path> PkSettings::files() const {
  std::vector<Path> set = {certificate,          private_key,   previous_certificate,
                           previous_private_key, trust_anchors, crl};
  std::erase(set, Path());
  return set;
}

Result<std::shared_ptr<const PkMaterial>> PkMaterial::load(const PkSettings& settings) {
  std::vector<mikey::KmsKeyPair> keys;
  keys.push_back(TRY(read_pair(settings.certificate, settings.private_key)));
  if (!settings.previous_certificate.empty()) {
    keys.push_back(TRY(read_pair(settings.previous_certificate, settings.previous_private_key)));
  }
  // Without anchors the KMS's own certificate is one: nobody else can be certified by it.
  std::vector<mikey::Certificate> anchors = {keys.front().certificate()};
  if (!settings.trust_anchors.empty()) anchors = TRY(read_certificates(settings.trust_anchors));
  std::string lists;
  if (!settings.crl.empty()) {
    lists = TRY(read_text(settings.crl));
    if (lists.empty()) return fail(Category::malformed, settings.crl.string() + " is empty");
  }
  auto trusted = TRY(about(settings.crl, mikey::TrustAnchors::make(anchors, lists)));
  return std::shared_ptr<const PkMaterial>(new PkMaterial(std::move(keys), std::move(trusted)));
}

bool looks_public_key(Bytes message) noexcept {
  constexpr std::size_t kDataType = 1;  // octet of HDR, RFC 3830 6.1
  if (message.size() <= kDataType) return false;
  const auto type = static_cast<mikey::DataType>(message[kDataType]);
  return type == mikey::DataType::request_init_pk || type == mikey::DataType::resolve_init_pk;
}

Result<ByteVector> fingerprint_of(const mikey::Certificate& certificate) {
  return certificate.hash(mikey::HashFunc::sha_256);
}

Result<PkSender> PkSender::read(const mikey::Message& message) {
  PkSender sender;
  mikey::PayloadWalker walker = message.payloads();
  while (const mikey::Payload* payload = TRY(walker.next())) {
    const auto* cert = std::get_if<mikey::CertificateView>(&payload->value);
    if (cert == nullptr) continue;
    sender.certificate = TRY(mikey::Certificate::from_der(cert->data));
    sender.fingerprint = to_hex(TRY(fingerprint_of(*sender.certificate)));
    break;
  }
  const bool request = message.header.data_type == mikey::DataType::request_init_pk;
  if (const auto& claimed = request ? message.idr_i : message.idr_r) {
    sender.id = mikey::Identity(*claimed);
  } else if (sender.certificate) {
    std::vector<std::string> uris = sender.certificate->uris();
    if (uris.size() == 1) sender.id = mikey::Identity::uri(std::move(uris.front()));
  }
  return sender;
}

Result<PkProof> PkProof::choose(std::shared_ptr<const PkMaterial> material, const PkSender& sender,
                                std::span<const PinnedCertificate> pinned) {
  PkProof proof(std::move(material));
  const PkMaterial& own = *proof.material_;
  if (sender.certificate) {
    const bool is_pinned = std::ranges::any_of(pinned, [&](const PinnedCertificate& one) {
      return equal(one.der, sender.certificate->der());
    });
    if (is_pinned && !own.anchors().revokes(*sender.certificate)) {
      proof.pinned_ = TRY(mikey::TrustAnchors::make({*sender.certificate}));
    }
    return proof;
  }
  // The KMS's own stands in: nobody else can have signed with its key.
  auto known = TRY(mikey::Certificate::from_der(pinned.empty() ? own.certificate().der()
                                                               : Bytes(pinned.front().der)));
  if (!pinned.empty() && own.anchors().revokes(known)) known = own.certificate();
  proof.pinned_ = TRY(mikey::TrustAnchors::make({known}));
  proof.known_ = {std::move(known)};
  return proof;
}

void PkProof::spend_a_signature(const mikey::Message& message) const {
  (void)mikey::verify_signature(material_->certificate(), message.sign->type,
                                mikey::hash_of(mikey::suite_of(message.header.prf)),
                                {message.without_signature()}, message.sign->data,
                                message.place("SIGN", "RFC 6043 5.5", message.sign->data.data()));
}

}  // namespace keystub::kms
