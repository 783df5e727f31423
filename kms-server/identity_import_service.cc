// The RPCs of IdentityAdminService about bulk imports.
#include <memory>

#include "kms-server/identity_admin_service.h"
#include "rpc/timestamp.h"

namespace keystub::kms {
namespace {

Result<IdentityState> state_of(v1::IdentityState state) {
  switch (state) {
    case v1::IDENTITY_STATE_UNSPECIFIED:
    case v1::IDENTITY_STATE_ACTIVE: return IdentityState::active;
    case v1::IDENTITY_STATE_SUSPENDED: return IdentityState::suspended;
    default: return fail(Category::malformed, "state: an identity is active or suspended");
  }
}

Result<void> read_kind_and_state(const v1::NewIdentity& from, NewIdentity& to) {
  to.kind = TRY(kind_of(from.kind()));
  to.state = TRY(state_of(from.state()));
  return {};
}

// The keys, out of gRPC's own message, which nobody reads after this.
std::vector<NewPsk> take_psks(v1::NewIdentity& from) {
  std::vector<NewPsk> out;
  for (v1::NewPsk& psk : *from.mutable_psks()) {
    NewPsk taken;
    taken.id = to_vector(as_bytes(psk.psk_id()));
    taken.key = Psk::take(*psk.mutable_psk());
    if (psk.has_expire_time()) taken.expires = rpc::from_timestamp(psk.expire_time());
    out.push_back(std::move(taken));
  }
  return out;
}

NewIdentityBatch take_batch(v1::ImportIdentitiesRequest& request) {
  NewIdentityBatch batch;
  batch.import_id = request.import_id();
  batch.number = request.batch();
  batch.skip_existing = request.skip_existing();
  for (v1::NewIdentity& from : *request.mutable_identities()) {
    NewIdentity one;
    one.line = from.line();
    one.uri = from.uri();
    one.aliases.assign(from.aliases().begin(), from.aliases().end());
    one.owned_patterns.assign(from.owned_patterns().begin(), from.owned_patterns().end());
    one.groups.assign(from.groups().begin(), from.groups().end());
    one.psks = take_psks(from);
    batch.identities.push_back(std::move(one));
  }
  return batch;
}

}  // namespace

grpc::ServerUnaryReactor* IdentityAdminService::ImportIdentities(
    grpc::CallbackServerContext* context, const v1::ImportIdentitiesRequest* request,
    v1::ImportIdentitiesResponse* response) {
  // Shared, because a std::function is copyable and keys are not.
  const auto batch = std::make_shared<NewIdentityBatch>(
      take_batch(const_cast<v1::ImportIdentitiesRequest&>(*request)));
  return run(*context, "ImportIdentities",
             [this, request, response, batch](const rpc::Caller& caller) -> Result<void> {
               for (std::size_t i = 0; i < batch->identities.size(); ++i) {
                 NewIdentity& one = batch->identities[i];
                 const auto number = static_cast<int>(i);
                 if (auto read = read_kind_and_state(request->identities(number), one); !read) {
                   return std::unexpected(
                       std::move(read).error().with_context(record_name(one.line, one.uri)));
                 }
               }
               const ImportOutcome outcome = TRY(importer_.import_batch(caller, std::move(*batch)));
               response->set_next_batch(outcome.next_batch);
               response->set_created(static_cast<std::uint32_t>(outcome.created));
               response->set_skipped(static_cast<std::uint32_t>(outcome.skipped));
               response->set_done_before(outcome.done_before);
               return {};
             });
}

grpc::ServerUnaryReactor* IdentityAdminService::ResumeImport(grpc::CallbackServerContext* context,
                                                             const v1::ResumeImportRequest* request,
                                                             v1::ResumeImportResponse* response) {
  return run(*context, "ResumeImport",
             [this, request, response](const rpc::Caller& caller) -> Result<void> {
               response->set_next_batch(
                   TRY(importer_.resume(caller, request->import_id(), request->restart())));
               return {};
             });
}

}  // namespace keystub::kms
