#include "kms-server/identity_admin_service.h"

#include <memory>

#include "mikey/public_key/certificate.h"
#include "rpc/timestamp.h"

namespace keystub::kms {
namespace {

constexpr std::string_view kService = "/keystub.v1.IdentityAdmin/";

void set_identity(v1::Identity& out, const Identity& identity) {
  out.set_uri(identity.uri);
  out.set_kind(static_cast<v1::IdentityKind>(identity.kind));
  out.set_state(static_cast<v1::IdentityState>(identity.state));
  for (const WrappedPsk& psk : identity.psks) {
    out.add_psk_ids(to_string(Bytes(psk.id)));
    v1::PskInfo& info = *out.add_psks();
    info.set_psk_id(to_string(Bytes(psk.id)));
    if (psk.expires) rpc::set_timestamp(*info.mutable_expire_time(), *psk.expires);
  }
  for (const std::string& alias : identity.aliases) out.add_aliases(alias);
  for (const std::string& pattern : identity.owned_patterns) out.add_owned_patterns(pattern);
  for (const GroupMembership& membership : identity.groups) out.add_groups(membership.group);
  for (const WrappedKey& tpk : identity.shared_tpks) {
    out.add_shared_tpk_ids(to_string(Bytes(tpk.id)));
  }
  for (const PinnedCertificate& pinned : identity.certificates) {
    v1::CertificateInfo& info = *out.add_certificates();
    info.set_fingerprint(to_string(Bytes(pinned.fingerprint)));
    const auto certificate = mikey::Certificate::from_der(pinned.der);
    if (!certificate) continue;
    info.set_subject(certificate->subject());
    rpc::set_timestamp(*info.mutable_not_after(), certificate->not_after());
  }
  rpc::set_timestamp(*out.mutable_create_time(), identity.created);
  rpc::set_timestamp(*out.mutable_update_time(), identity.updated);
  out.set_change_sequence(identity.change_sequence);
}

void set_tpk(v1::Tpk& out, const Tpk& tpk) {
  out.set_tpk_id(to_string(Bytes(tpk.key.id)));
  out.set_state(static_cast<v1::TpkState>(tpk.state));
  rpc::set_timestamp(*out.mutable_create_time(), tpk.created);
  rpc::set_timestamp(*out.mutable_state_time(), tpk.state_since);
}

// gRPC hands its request out as const, but the key in it must not stay behind: what is behind the
// pointer is gRPC's own mutable message, which nobody reads after this.
template <class Request>
Psk take_psk(const Request& request) {
  return Psk::take(*const_cast<Request&>(request).mutable_psk());
}

}  // namespace

Result<IdentityKind> kind_of(v1::IdentityKind kind) {
  switch (kind) {
    case v1::IDENTITY_KIND_USER: return IdentityKind::user;
    case v1::IDENTITY_KIND_MRFC: return IdentityKind::mrfc;
    case v1::IDENTITY_KIND_AS: return IdentityKind::as;
    case v1::IDENTITY_KIND_GROUP: return IdentityKind::group;
    case v1::IDENTITY_KIND_KMS: return IdentityKind::kms;
    default: return fail(Category::malformed, "an identity is a user, mrfc, as, group or kms");
  }
}

grpc::ServerUnaryReactor* IdentityAdminService::run(grpc::CallbackServerContext& context,
                                                    std::string_view method, AdminWork work,
                                                    std::function<void()> on_done) {
  return run_admin_call(context, guard_, executor_, std::string(kService).append(method),
                        std::move(work), std::move(on_done));
}

grpc::ServerUnaryReactor* IdentityAdminService::CreateIdentity(
    grpc::CallbackServerContext* context, const v1::CreateIdentityRequest* request,
    v1::CreateIdentityResponse* response) {
  // Shared, because a std::function is copyable and a key is not.
  const auto psk = std::make_shared<NewPsk>();
  psk->id = to_vector(as_bytes(request->psk_id()));
  psk->key = take_psk(*request);
  if (request->has_psk_expire_time())
    psk->expires = rpc::from_timestamp(request->psk_expire_time());
  return run(*context, "CreateIdentity",
             [this, request, response, psk](const rpc::Caller& caller) -> Result<void> {
               const IdentityKind kind = TRY(kind_of(request->kind()));
               std::optional<NewPsk> first;
               if (!psk->key.empty()) {
                 first = std::move(*psk);
               } else if (!psk->id.empty()) {
                 return fail(Category::malformed, "a psk_id needs a psk");
               }
               set_identity(*response->mutable_identity(),
                            TRY(admin_.create(caller, request->uri(), kind, std::move(first))));
               return {};
             });
}

grpc::ServerUnaryReactor* IdentityAdminService::GetIdentity(grpc::CallbackServerContext* context,
                                                            const v1::GetIdentityRequest* request,
                                                            v1::GetIdentityResponse* response) {
  return run(*context, "GetIdentity",
             [this, request, response](const rpc::Caller&) -> Result<void> {
               set_identity(*response->mutable_identity(), TRY(admin_.get(request->uri())));
               return {};
             });
}

grpc::ServerUnaryReactor* IdentityAdminService::ListIdentities(
    grpc::CallbackServerContext* context, const v1::ListIdentitiesRequest* request,
    v1::ListIdentitiesResponse* response) {
  return run(
      *context, "ListIdentities", [this, request, response](const rpc::Caller&) -> Result<void> {
        const auto list =
            request->groups_only() ? &IdentityAdmin::list_groups : &IdentityAdmin::list;
        const IdentityPage page =
            TRY((admin_.*list)(request->uri_prefix(), request->page_token(), request->page_size()));
        for (const Identity& identity : page.identities) {
          set_identity(*response->add_identities(), identity);
        }
        if (page.more) response->set_next_page_token(page.identities.back().uri);
        return {};
      });
}

grpc::ServerUnaryReactor* IdentityAdminService::SuspendIdentity(
    grpc::CallbackServerContext* context, const v1::SuspendIdentityRequest* request,
    v1::SuspendIdentityResponse* response) {
  return run(*context, "SuspendIdentity",
             [this, request, response](const rpc::Caller& caller) -> Result<void> {
               set_identity(*response->mutable_identity(),
                            TRY(admin_.suspend(caller, request->uri())));
               return {};
             });
}

grpc::ServerUnaryReactor* IdentityAdminService::ResumeIdentity(
    grpc::CallbackServerContext* context, const v1::ResumeIdentityRequest* request,
    v1::ResumeIdentityResponse* response) {
  return run(*context, "ResumeIdentity",
             [this, request, response](const rpc::Caller& caller) -> Result<void> {
               set_identity(*response->mutable_identity(),
                            TRY(admin_.resume(caller, request->uri())));
               return {};
             });
}

grpc::ServerUnaryReactor* IdentityAdminService::DeleteIdentity(
    grpc::CallbackServerContext* context, const v1::DeleteIdentityRequest* request,
    v1::DeleteIdentityResponse*) {
  return run(*context, "DeleteIdentity", [this, request](const rpc::Caller& caller) {
    return admin_.remove(caller, request->uri());
  });
}

grpc::ServerUnaryReactor* IdentityAdminService::SetPsk(grpc::CallbackServerContext* context,
                                                       const v1::SetPskRequest* request,
                                                       v1::SetPskResponse* response) {
  const auto psk = std::make_shared<NewPsk>();
  psk->id = to_vector(as_bytes(request->psk_id()));
  psk->key = take_psk(*request);
  if (request->has_expire_time()) psk->expires = rpc::from_timestamp(request->expire_time());
  return run(*context, "SetPsk",
             [this, request, response, psk](const rpc::Caller& caller) -> Result<void> {
               set_identity(*response->mutable_identity(),
                            TRY(admin_.set_psk(caller, request->uri(), std::move(*psk))));
               return {};
             });
}

grpc::ServerUnaryReactor* IdentityAdminService::RemovePsk(grpc::CallbackServerContext* context,
                                                          const v1::RemovePskRequest* request,
                                                          v1::RemovePskResponse* response) {
  return run(
      *context, "RemovePsk", [this, request, response](const rpc::Caller& caller) -> Result<void> {
        set_identity(*response->mutable_identity(),
                     TRY(admin_.remove_psk(caller, request->uri(), as_bytes(request->psk_id()))));
        return {};
      });
}

grpc::ServerUnaryReactor* IdentityAdminService::AddAlias(grpc::CallbackServerContext* context,
                                                         const v1::AddAliasRequest* request,
                                                         v1::AddAliasResponse* response) {
  return run(*context, "AddAlias",
             [this, request, response](const rpc::Caller& caller) -> Result<void> {
               set_identity(*response->mutable_identity(),
                            TRY(admin_.add_alias(caller, request->uri(), request->alias())));
               return {};
             });
}

grpc::ServerUnaryReactor* IdentityAdminService::RemoveAlias(grpc::CallbackServerContext* context,
                                                            const v1::RemoveAliasRequest* request,
                                                            v1::RemoveAliasResponse* response) {
  return run(*context, "RemoveAlias",
             [this, request, response](const rpc::Caller& caller) -> Result<void> {
               set_identity(*response->mutable_identity(),
                            TRY(admin_.remove_alias(caller, request->uri(), request->alias())));
               return {};
             });
}

grpc::ServerUnaryReactor* IdentityAdminService::AddOwnedPattern(
    grpc::CallbackServerContext* context, const v1::AddOwnedPatternRequest* request,
    v1::AddOwnedPatternResponse* response) {
  return run(*context, "AddOwnedPattern",
             [this, request, response](const rpc::Caller& caller) -> Result<void> {
               set_identity(*response->mutable_identity(),
                            TRY(admin_.add_pattern(caller, request->uri(), request->pattern())));
               return {};
             });
}

grpc::ServerUnaryReactor* IdentityAdminService::RemoveOwnedPattern(
    grpc::CallbackServerContext* context, const v1::RemoveOwnedPatternRequest* request,
    v1::RemoveOwnedPatternResponse* response) {
  return run(*context, "RemoveOwnedPattern",
             [this, request, response](const rpc::Caller& caller) -> Result<void> {
               set_identity(*response->mutable_identity(),
                            TRY(admin_.remove_pattern(caller, request->uri(), request->pattern())));
               return {};
             });
}

grpc::ServerUnaryReactor* IdentityAdminService::AddCertificate(
    grpc::CallbackServerContext* context, const v1::AddCertificateRequest* request,
    v1::AddCertificateResponse* response) {
  return run(*context, "AddCertificate",
             [this, request, response](const rpc::Caller& caller) -> Result<void> {
               set_identity(*response->mutable_identity(),
                            TRY(admin_.add_certificate(caller, request->uri(),
                                                       as_bytes(request->certificate()))));
               return {};
             });
}

grpc::ServerUnaryReactor* IdentityAdminService::RemoveCertificate(
    grpc::CallbackServerContext* context, const v1::RemoveCertificateRequest* request,
    v1::RemoveCertificateResponse* response) {
  return run(*context, "RemoveCertificate",
             [this, request, response](const rpc::Caller& caller) -> Result<void> {
               set_identity(*response->mutable_identity(),
                            TRY(admin_.remove_certificate(caller, request->uri(),
                                                          as_bytes(request->fingerprint()))));
               return {};
             });
}

grpc::ServerUnaryReactor* IdentityAdminService::AddGroupMember(
    grpc::CallbackServerContext* context, const v1::AddGroupMemberRequest* request,
    v1::AddGroupMemberResponse* response) {
  return run(*context, "AddGroupMember",
             [this, request, response](const rpc::Caller& caller) -> Result<void> {
               set_identity(*response->mutable_identity(),
                            TRY(admin_.add_member(caller, request->group(), request->member())));
               return {};
             });
}

grpc::ServerUnaryReactor* IdentityAdminService::RemoveGroupMember(
    grpc::CallbackServerContext* context, const v1::RemoveGroupMemberRequest* request,
    v1::RemoveGroupMemberResponse* response) {
  return run(*context, "RemoveGroupMember",
             [this, request, response](const rpc::Caller& caller) -> Result<void> {
               set_identity(*response->mutable_identity(),
                            TRY(admin_.remove_member(caller, request->group(), request->member())));
               return {};
             });
}

grpc::ServerUnaryReactor* IdentityAdminService::ListGroupMembers(
    grpc::CallbackServerContext* context, const v1::ListGroupMembersRequest* request,
    v1::ListGroupMembersResponse* response) {
  return run(
      *context, "ListGroupMembers", [this, request, response](const rpc::Caller&) -> Result<void> {
        MemberPage page =
            TRY(admin_.list_members(request->group(), request->page_token(), request->page_size()));
        if (page.more) response->set_next_page_token(page.uris.back());
        for (std::string& uri : page.uris) response->add_uris(std::move(uri));
        return {};
      });
}

grpc::ServerUnaryReactor* IdentityAdminService::ShareTpk(grpc::CallbackServerContext* context,
                                                         const v1::ShareTpkRequest* request,
                                                         v1::ShareTpkResponse* response) {
  return run(
      *context, "ShareTpk",
      [this, request, response](const rpc::Caller& caller) -> Result<void> {
        const SharedTpk shared = TRY(admin_.share_tpk(caller, request->uri()));
        response->set_tpk_id(to_string(Bytes(shared.id)));
        response->set_tpk(shared.key.reveal().data(), shared.key.size());
        return {};
      },
      [response] { wipe(*response->mutable_tpk()); });
}

grpc::ServerUnaryReactor* IdentityAdminService::UnshareTpk(grpc::CallbackServerContext* context,
                                                           const v1::UnshareTpkRequest* request,
                                                           v1::UnshareTpkResponse* response) {
  return run(*context, "UnshareTpk",
             [this, request, response](const rpc::Caller& caller) -> Result<void> {
               const std::size_t removed =
                   TRY(admin_.unshare_tpk(caller, request->uri(), as_bytes(request->tpk_id())));
               response->set_removed(static_cast<std::uint32_t>(removed));
               return {};
             });
}

grpc::ServerUnaryReactor* IdentityAdminService::PrepareTpk(grpc::CallbackServerContext* context,
                                                           const v1::PrepareTpkRequest*,
                                                           v1::PrepareTpkResponse* response) {
  return run(*context, "PrepareTpk", [this, response](const rpc::Caller& caller) -> Result<void> {
    set_tpk(*response->mutable_tpk(), TRY(admin_.prepare_tpk(caller)));
    return {};
  });
}

grpc::ServerUnaryReactor* IdentityAdminService::ActivateTpk(grpc::CallbackServerContext* context,
                                                            const v1::ActivateTpkRequest* request,
                                                            v1::ActivateTpkResponse* response) {
  return run(*context, "ActivateTpk",
             [this, request, response](const rpc::Caller& caller) -> Result<void> {
               set_tpk(*response->mutable_tpk(),
                       TRY(admin_.activate_tpk(caller, as_bytes(request->tpk_id()))));
               return {};
             });
}

grpc::ServerUnaryReactor* IdentityAdminService::RetireTpk(grpc::CallbackServerContext* context,
                                                          const v1::RetireTpkRequest* request,
                                                          v1::RetireTpkResponse* response) {
  return run(*context, "RetireTpk",
             [this, request, response](const rpc::Caller& caller) -> Result<void> {
               set_tpk(*response->mutable_tpk(),
                       TRY(admin_.retire_tpk(caller, as_bytes(request->tpk_id()))));
               return {};
             });
}

grpc::ServerUnaryReactor* IdentityAdminService::RevokeTpk(grpc::CallbackServerContext* context,
                                                          const v1::RevokeTpkRequest* request,
                                                          v1::RevokeTpkResponse* response) {
  return run(*context, "RevokeTpk",
             [this, request, response](const rpc::Caller& caller) -> Result<void> {
               set_tpk(*response->mutable_tpk(),
                       TRY(admin_.revoke_tpk(caller, as_bytes(request->tpk_id()))));
               return {};
             });
}

grpc::ServerUnaryReactor* IdentityAdminService::ListTpks(grpc::CallbackServerContext* context,
                                                         const v1::ListTpksRequest*,
                                                         v1::ListTpksResponse* response) {
  return run(*context, "ListTpks", [this, response](const rpc::Caller&) -> Result<void> {
    const std::vector<Tpk> tpks = TRY(admin_.list_tpks());
    for (const Tpk& tpk : tpks) set_tpk(*response->add_tpks(), tpk);
    return {};
  });
}

}  // namespace keystub::kms
