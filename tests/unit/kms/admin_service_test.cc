// The admin port over real gRPC: the Unix socket, mutual TLS, and what each call does.
#include "kms-server/identity_import.h"
#include "tests/unit/kms/server_fixture.h"

namespace keystub::kms {
namespace {

using grpc::StatusCode;

class AdminServiceTest : public ServerFixture {
 protected:
  template <class Request, class Response>
  using Method = grpc::Status (v1::IdentityAdmin::Stub::*)(grpc::ClientContext*, const Request&,
                                                           Response*);
  template <class Request, class Response>
  grpc::Status call(v1::IdentityAdmin::Stub& stub, Method<Request, Response> method,
                    const Request& request, Response& response) {
    grpc::ClientContext context;
    rpc::prepare(context, kTimeout);
    return (stub.*method)(&context, request, &response);
  }
  grpc::Status create(v1::IdentityAdmin::Stub& stub, const std::string& uri,
                      const std::string& psk = std::string(32, 'k'),
                      v1::IdentityKind kind = v1::IDENTITY_KIND_USER) {
    v1::CreateIdentityRequest request;
    request.set_uri(uri);
    request.set_kind(kind);
    request.set_psk(psk);
    v1::CreateIdentityResponse response;
    return call(stub, &v1::IdentityAdmin::Stub::CreateIdentity, request, response);
  }
};

TEST_F(AdminServiceTest, ManagesAnIdentityFromItsCreationToItsEnd) {
  start();
  const auto stub = admin_on_socket();
  ASSERT_TRUE(create(*stub, "SIP:dave@Example.com").ok());
  EXPECT_EQ(create(*stub, "sip:dave@example.com").error_code(), StatusCode::FAILED_PRECONDITION);

  v1::GetIdentityRequest get;
  get.set_uri("sip:dave@example.com");
  v1::GetIdentityResponse got;
  ASSERT_TRUE(call(*stub, &v1::IdentityAdmin::Stub::GetIdentity, get, got).ok());
  EXPECT_EQ(got.identity().uri(), "sip:dave@example.com");
  EXPECT_EQ(got.identity().state(), v1::IDENTITY_STATE_ACTIVE);
  ASSERT_EQ(got.identity().psk_ids_size(), 1);
  EXPECT_EQ(got.identity().psk_ids(0), "sip:dave@example.com");

  v1::SetPskRequest set;
  set.set_uri("sip:dave@example.com");
  set.set_psk_id("second");
  set.set_psk(std::string(64, 'p'));
  v1::SetPskResponse was_set;
  ASSERT_TRUE(call(*stub, &v1::IdentityAdmin::Stub::SetPsk, set, was_set).ok());
  EXPECT_EQ(was_set.identity().psk_ids_size(), 2);

  v1::SuspendIdentityRequest suspend;
  suspend.set_uri("sip:dave@example.com");
  v1::SuspendIdentityResponse suspended;
  ASSERT_TRUE(call(*stub, &v1::IdentityAdmin::Stub::SuspendIdentity, suspend, suspended).ok());
  EXPECT_EQ(suspended.identity().state(), v1::IDENTITY_STATE_SUSPENDED);
  v1::ResumeIdentityRequest resume;
  resume.set_uri("sip:dave@example.com");
  v1::ResumeIdentityResponse resumed;
  ASSERT_TRUE(call(*stub, &v1::IdentityAdmin::Stub::ResumeIdentity, resume, resumed).ok());
  EXPECT_EQ(resumed.identity().state(), v1::IDENTITY_STATE_ACTIVE);
  EXPECT_GT(resumed.identity().change_sequence(), suspended.identity().change_sequence());

  v1::DeleteIdentityRequest erase;
  erase.set_uri("sip:dave@example.com");
  v1::DeleteIdentityResponse erased;
  ASSERT_TRUE(call(*stub, &v1::IdentityAdmin::Stub::DeleteIdentity, erase, erased).ok());
  EXPECT_EQ(call(*stub, &v1::IdentityAdmin::Stub::GetIdentity, get, got).error_code(),
            StatusCode::NOT_FOUND);
}

TEST_F(AdminServiceTest, ListsInPages) {
  start();
  const auto stub = admin_on_socket();
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(create(*stub, "sip:u" + std::to_string(i) + "@x.example", "").ok());
  }
  std::vector<std::string> seen;
  v1::ListIdentitiesRequest list;
  list.set_page_size(2);
  list.set_uri_prefix("sip:u");
  do {
    v1::ListIdentitiesResponse page;
    ASSERT_TRUE(call(*stub, &v1::IdentityAdmin::Stub::ListIdentities, list, page).ok());
    for (const auto& identity : page.identities()) seen.push_back(identity.uri());
    list.set_page_token(page.next_page_token());
  } while (!list.page_token().empty());
  EXPECT_EQ(seen.size(), 5U);
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
}

TEST_F(AdminServiceTest, ImportsABatchAndNamesARecordThatIsWrong) {
  start();
  const auto stub = admin_on_socket();
  v1::ImportIdentitiesRequest request;
  request.set_import_id(std::string(kImportIdSize, '0'));
  for (const char* uri : {kAlice, kBob}) {
    auto& one = *request.add_identities();
    one.set_line(static_cast<std::uint64_t>(request.identities_size()));
    one.set_uri(uri);
    one.set_kind(v1::IDENTITY_KIND_USER);
  }
  auto& psk = *request.mutable_identities(0)->add_psks();
  psk.set_psk(std::string(32, 'k'));
  psk.mutable_expire_time()->set_seconds(4'000'000'000);
  request.mutable_identities(1)->set_kind(v1::IDENTITY_KIND_UNSPECIFIED);
  v1::ImportIdentitiesResponse imported;
  const auto refused = call(*stub, &v1::IdentityAdmin::Stub::ImportIdentities, request, imported);
  EXPECT_EQ(refused.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(refused.error_message(), ::testing::HasSubstr("line 2, sip:bob@example.com"));

  request.mutable_identities(1)->set_kind(v1::IDENTITY_KIND_GROUP);
  request.mutable_identities(1)->set_state(v1::IDENTITY_STATE_SUSPENDED);
  ASSERT_TRUE(call(*stub, &v1::IdentityAdmin::Stub::ImportIdentities, request, imported).ok());
  EXPECT_EQ(imported.created(), 2U);
  ASSERT_TRUE(call(*stub, &v1::IdentityAdmin::Stub::ImportIdentities, request, imported).ok());
  EXPECT_TRUE(imported.done_before());
  v1::ResumeImportRequest resume;
  resume.set_import_id(request.import_id());
  v1::ResumeImportResponse next;
  ASSERT_TRUE(call(*stub, &v1::IdentityAdmin::Stub::ResumeImport, resume, next).ok());
  EXPECT_EQ(next.next_batch(), 1U);

  v1::ListIdentitiesRequest list;
  list.set_groups_only(true);
  v1::ListIdentitiesResponse groups;
  ASSERT_TRUE(call(*stub, &v1::IdentityAdmin::Stub::ListIdentities, list, groups).ok());
  ASSERT_EQ(groups.identities_size(), 1);
  EXPECT_EQ(groups.identities(0).state(), v1::IDENTITY_STATE_SUSPENDED);
  v1::GetIdentityRequest get;
  get.set_uri(kAlice);
  v1::GetIdentityResponse got;
  ASSERT_TRUE(call(*stub, &v1::IdentityAdmin::Stub::GetIdentity, get, got).ok());
  EXPECT_EQ(got.identity().psks(0).expire_time().seconds(), 4'000'000'000);
}

TEST_F(AdminServiceTest, KMS_8_ReturnsASharedTpkOnce) {
  start();
  const auto stub = admin_on_socket();
  ASSERT_TRUE(create(*stub, kAlice).ok());
  v1::ShareTpkRequest share;
  share.set_uri(kAlice);
  v1::ShareTpkResponse shared;
  ASSERT_TRUE(call(*stub, &v1::IdentityAdmin::Stub::ShareTpk, share, shared).ok());
  EXPECT_EQ(shared.tpk().size(), kTpkOctets);
  v1::GetIdentityRequest get;
  get.set_uri(kAlice);
  v1::GetIdentityResponse got;
  ASSERT_TRUE(call(*stub, &v1::IdentityAdmin::Stub::GetIdentity, get, got).ok());
  ASSERT_EQ(got.identity().shared_tpk_ids_size(), 1);
  EXPECT_EQ(got.identity().shared_tpk_ids(0), shared.tpk_id());
  v1::UnshareTpkRequest unshare;
  unshare.set_uri(kAlice);
  v1::UnshareTpkResponse unshared;
  ASSERT_TRUE(call(*stub, &v1::IdentityAdmin::Stub::UnshareTpk, unshare, unshared).ok());
  EXPECT_EQ(unshared.removed(), 1U);
}

TEST_F(AdminServiceTest, RefusesWhatIsWrongWithASentenceForTheOperator) {
  start();
  const auto stub = admin_on_socket();
  grpc::Status status = create(*stub, "dave@example.com");
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_NE(status.error_message().find("scheme"), std::string::npos);
  status = create(*stub, kAlice, std::string(15, 'k'));
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_NE(status.error_message().find("16 to 64"), std::string::npos);
  EXPECT_EQ(create(*stub, kAlice, "", v1::IDENTITY_KIND_UNSPECIFIED).error_code(),
            StatusCode::INVALID_ARGUMENT);
}

TEST_F(AdminServiceTest, OverTlsOnlyNamedCertificatesMayAdminister) {
  settings.admin_address = "127.0.0.1:0";
  start();
  const auto with = [this](const std::string& certificate) {
    return v1::IdentityAdmin::NewStub(channel("admin", certificate));
  };
  EXPECT_TRUE(create(*with("kms-admin"), kAlice).ok());
  EXPECT_EQ(create(*with("mrfc"), kBob).error_code(), StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(create(*with(""), kBob).error_code(), StatusCode::UNAVAILABLE)
      << "the handshake asks for a certificate";
}

TEST_F(AdminServiceTest, TheTicketPortOffersNoAdministration) {
  start();
  const auto stub = v1::IdentityAdmin::NewStub(channel("tickets", "kms-admin"));
  EXPECT_EQ(create(*stub, kAlice).error_code(), StatusCode::UNIMPLEMENTED);
}

TEST_F(AdminServiceTest, AChangeIsDurableAndCountsOnTheTicketPortAtOnce) {
  start();
  ASSERT_TRUE(create(*admin_on_socket(), kAlice, std::string(32, 'k')).ok());
  psks[kAlice] = Psk(ByteVector(32, 'k'));
  const auto stub = tickets();
  const mikey::KmsCredentials alice = credentials(kAlice);
  const auto ask = [&] {
    grpc::ClientContext context;
    rpc::prepare(context, kTimeout);
    v1::RequestTicketRequest request;
    request.set_mikey(request_init(alice));
    v1::RequestTicketResponse response;
    return stub->RequestTicket(&context, request, &response);
  };
  EXPECT_TRUE(ask().ok());
  v1::SuspendIdentityRequest suspend;
  suspend.set_uri(kAlice);
  v1::SuspendIdentityResponse suspended;
  const auto admin = admin_on_socket();
  ASSERT_TRUE(call(*admin, &v1::IdentityAdmin::Stub::SuspendIdentity, suspend, suspended).ok());
  EXPECT_EQ(ask().error_code(), StatusCode::PERMISSION_DENIED);
  server.reset();
  sqlite.reset();
  SqliteStoreOptions options;
  options.path = settings.database;
  sqlite = SqliteStore::open(options, *kek, clock).value();
  EXPECT_EQ(sqlite->find(kAlice, Deadline::in(kTimeout)).value().state, IdentityState::suspended);
}

}  // namespace
}  // namespace keystub::kms
