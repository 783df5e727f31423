#include "kms-server/pkcs11_token.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <p11-kit/pkcs11.h>

#include <array>
#include <vector>

namespace keystub::kms {
namespace {

constexpr std::size_t kNonceOctets = 12;
constexpr std::size_t kTagOctets = 16;
constexpr CK_ULONG kKeyOctets = 32;

std::unexpected<Error> failed(std::string_view call, CK_RV rv) {
  if (rv == CKR_PIN_INCORRECT || rv == CKR_PIN_LOCKED || rv == CKR_PIN_LEN_RANGE) {
    return fail(Category::denied,
                rv == CKR_PIN_LOCKED
                    ? std::string("the token has locked its PIN: its security officer resets it")
                    : std::string("the token refuses the PIN: check the PIN file, a token locks "
                                  "itself after some wrong ones"));
  }
  return fail(Category::unavailable, fmt::format("the token failed in {} (CKR 0x{:x})", call, rv));
}

Result<void> done(std::string_view call, CK_RV rv) {
  if (rv == CKR_OK) return {};
  return failed(call, rv);
}

// PKCS #11 does not know const.
unsigned char* mutable_octets(Bytes octets) {
  return const_cast<unsigned char*>(
      octets.data());  // NOLINT(cppcoreguidelines-pro-type-const-cast)
}

// Labels of tokens are padded with blanks.
std::string_view trimmed(const unsigned char* label, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(label), size);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

}  // namespace

struct Pkcs11Token::Session {
  void* library = nullptr;
  CK_FUNCTION_LIST* calls = nullptr;
  bool initialised = false;
  CK_SESSION_HANDLE handle = CK_INVALID_HANDLE;
  std::string token;

  Session() = default;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() {
    if (handle != CK_INVALID_HANDLE) {
      calls->C_Logout(handle);
      calls->C_CloseSession(handle);
    }
    if (initialised) calls->C_Finalize(nullptr);
    if (library != nullptr) ::dlclose(library);
  }

  Result<void> load(const std::filesystem::path& module);
  Result<CK_SLOT_ID> find_token(const std::string& label) const;
  // CK_INVALID_HANDLE: there is none.
  Result<CK_OBJECT_HANDLE> find_key(const std::string& label) const;
  Result<CK_OBJECT_HANDLE> require_key(const std::string& label) const;
};

Result<void> Pkcs11Token::Session::load(const std::filesystem::path& module) {
  library = ::dlopen(module.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return fail(Category::not_found, fmt::format("the PKCS #11 module {} cannot be loaded: {}",
                                                 module.string(), ::dlerror()));
  }
  const auto get_list =
      reinterpret_cast<CK_RV (*)(CK_FUNCTION_LIST**)>(::dlsym(library, "C_GetFunctionList"));
  if (get_list == nullptr || get_list(&calls) != CKR_OK) {
    return fail(Category::malformed, fmt::format("{} is not a PKCS #11 module", module.string()));
  }
  TRY(done("C_Initialize", calls->C_Initialize(nullptr)));
  initialised = true;
  return {};
}

Result<CK_SLOT_ID> Pkcs11Token::Session::find_token(const std::string& label) const {
  CK_ULONG count = 0;
  TRY(done("C_GetSlotList", calls->C_GetSlotList(CK_TRUE, nullptr, &count)));
  std::vector<CK_SLOT_ID> slots(count);
  TRY(done("C_GetSlotList", calls->C_GetSlotList(CK_TRUE, slots.data(), &count)));
  slots.resize(count);
  for (const CK_SLOT_ID slot : slots) {
    CK_TOKEN_INFO info{};
    if (calls->C_GetTokenInfo(slot, &info) != CKR_OK) continue;
    if (trimmed(info.label, sizeof info.label) == label) return slot;
  }
  return fail(Category::not_found, fmt::format("no token is labelled \"{}\"", label));
}

Result<CK_OBJECT_HANDLE> Pkcs11Token::Session::find_key(const std::string& label) const {
  CK_OBJECT_CLASS object_class = CKO_SECRET_KEY;
  CK_KEY_TYPE type = CKK_AES;
  std::array<CK_ATTRIBUTE, 3> wanted{{
      {CKA_CLASS, &object_class, sizeof object_class},
      {CKA_KEY_TYPE, &type, sizeof type},
      {CKA_LABEL, mutable_octets(as_bytes(label)), label.size()},
  }};
  TRY(done("C_FindObjectsInit", calls->C_FindObjectsInit(handle, wanted.data(), wanted.size())));
  std::array<CK_OBJECT_HANDLE, 2> found{};
  CK_ULONG count = 0;
  const CK_RV searched = calls->C_FindObjects(handle, found.data(), found.size(), &count);
  calls->C_FindObjectsFinal(handle);
  TRY(done("C_FindObjects", searched));
  if (count > 1) {
    return fail(Category::conflict,
                fmt::format("the token \"{}\" has several AES keys labelled \"{}\"", token, label));
  }
  return count == 0 ? CK_OBJECT_HANDLE{CK_INVALID_HANDLE} : found[0];
}

Result<CK_OBJECT_HANDLE> Pkcs11Token::Session::require_key(const std::string& label) const {
  const CK_OBJECT_HANDLE key = TRY(find_key(label));
  if (key == CK_INVALID_HANDLE) {
    return fail(Category::not_found,
                fmt::format("the token \"{}\" has no AES key labelled \"{}\"", token, label));
  }
  return key;
}

Pkcs11Token::Pkcs11Token(std::unique_ptr<Session> session) : session_(std::move(session)) {}
Pkcs11Token::Pkcs11Token(Pkcs11Token&&) noexcept = default;
Pkcs11Token& Pkcs11Token::operator=(Pkcs11Token&&) noexcept = default;
Pkcs11Token::~Pkcs11Token() = default;

Result<Pkcs11Token> Pkcs11Token::open(const std::filesystem::path& module, const std::string& label,
                                      Bytes pin) {
  auto session = std::make_unique<Session>();
  TRY(session->load(module));
  session->token = label;
  const CK_SLOT_ID slot = TRY(session->find_token(label));
  TRY(done("C_OpenSession", session->calls->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION,
                                                          nullptr, nullptr, &session->handle)));
  TRY(done("C_Login",
           session->calls->C_Login(session->handle, CKU_USER, mutable_octets(pin), pin.size())));
  return Pkcs11Token(std::move(session));
}

Result<void> Pkcs11Token::ensure_key(const std::string& label) {
  if (TRY(session_->find_key(label)) != CK_INVALID_HANDLE) return {};
  CK_MECHANISM mechanism{CKM_AES_KEY_GEN, nullptr, 0};
  CK_BBOOL yes = CK_TRUE;
  CK_BBOOL no = CK_FALSE;
  CK_ULONG octets = kKeyOctets;
  std::array<CK_ATTRIBUTE, 8> attributes{{
      {CKA_TOKEN, &yes, sizeof yes},
      {CKA_PRIVATE, &yes, sizeof yes},
      {CKA_SENSITIVE, &yes, sizeof yes},
      {CKA_EXTRACTABLE, &no, sizeof no},
      {CKA_ENCRYPT, &yes, sizeof yes},
      {CKA_DECRYPT, &yes, sizeof yes},
      {CKA_VALUE_LEN, &octets, sizeof octets},
      {CKA_LABEL, mutable_octets(as_bytes(label)), label.size()},
  }};
  CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
  return done("C_GenerateKey",
              session_->calls->C_GenerateKey(session_->handle, &mechanism, attributes.data(),
                                             attributes.size(), &key));
}

Result<ByteVector> Pkcs11Token::encrypt(const std::string& label, Bytes plain,
                                        RandomSource& random) {
  const CK_OBJECT_HANDLE key = TRY(session_->require_key(label));
  ByteVector out(kNonceOctets + plain.size() + kTagOctets);
  const MutableBytes nonce = MutableBytes(out).first(kNonceOctets);
  TRY(random.fill(nonce));
  CK_GCM_PARAMS gcm{nonce.data(), kNonceOctets, kNonceOctets * 8, nullptr, 0, kTagOctets * 8};
  CK_MECHANISM mechanism{CKM_AES_GCM, &gcm, sizeof gcm};
  TRY(done("C_EncryptInit", session_->calls->C_EncryptInit(session_->handle, &mechanism, key)));
  CK_ULONG size = out.size() - kNonceOctets;
  TRY(done("C_Encrypt",
           session_->calls->C_Encrypt(session_->handle, mutable_octets(plain), plain.size(),
                                      out.data() + kNonceOctets, &size)));
  return out;
}

Result<Pkcs11Token::Plain> Pkcs11Token::decrypt(const std::string& label, Bytes encrypted) {
  if (encrypted.size() < kNonceOctets + kTagOctets) {
    return fail(Category::malformed, "the encrypted KEK is too short to be one");
  }
  const CK_OBJECT_HANDLE key = TRY(session_->require_key(label));
  ByteVector nonce = to_vector(encrypted.first(kNonceOctets));
  const Bytes sealed = encrypted.subspan(kNonceOctets);
  CK_GCM_PARAMS gcm{nonce.data(), kNonceOctets, kNonceOctets * 8, nullptr, 0, kTagOctets * 8};
  CK_MECHANISM mechanism{CKM_AES_GCM, &gcm, sizeof gcm};
  TRY(done("C_DecryptInit", session_->calls->C_DecryptInit(session_->handle, &mechanism, key)));
  // Some tokens ask for room for the tag as well.
  Plain room(sealed.size());
  CK_ULONG size = room.size();
  const CK_RV rv = session_->calls->C_Decrypt(session_->handle, mutable_octets(sealed),
                                              sealed.size(), room.reveal_mutable().data(), &size);
  if (rv != CKR_OK || size != sealed.size() - kTagOctets) {
    return fail(Category::denied,
                fmt::format("the key \"{}\" of the token \"{}\" does not decrypt the KEK (CKR "
                            "0x{:x}): it is another key, or the file was changed",
                            label, session_->token, rv));
  }
  return Plain(room.reveal().first(size));
}

}  // namespace keystub::kms
