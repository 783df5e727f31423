// kmsctl against an admin port and a ticket port of the test's own: every verb, both outputs, and
// that no key shows up where it should not.
#include "kms-client/kmsctl/kmsctl.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <sstream>

#include <nlohmann/json.hpp>

#include "base/base64.h"
#include "keystub/v1/identity_admin.grpc.pb.h"
#include "keystub/v1/revocation.grpc.pb.h"
#include "keystub/v1/ticket_service.grpc.pb.h"
#include "rpc/credentials.h"
#include "rpc/lab_ca.h"
#include "rpc/server.h"
#include "rpc/status.h"
#include "rpc/unix_listener.h"
#include "service/command_line.h"
#include "tests/support/lab_kms.h"
#include "tests/support/scripted_random.h"
#include "tests/support/temp_dir.h"

namespace keystub::kmsctl {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::TempDir;

constexpr const char* kPskHex = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

// The admin port, in memory. Pages of two.
class FakeAdmin final : public v1::IdentityAdmin::Service {
 public:
  std::map<std::string, v1::Identity> identities;
  std::map<std::string, std::string> psks;  // by psk id
  std::string removed_fingerprint;
  std::optional<grpc::Status> fault;
  int list_calls = 0;

  grpc::Status CreateIdentity(grpc::ServerContext*, const v1::CreateIdentityRequest* request,
                              v1::CreateIdentityResponse* response) override {
    if (fault) return *fault;
    if (identities.contains(request->uri())) {
      return {grpc::StatusCode::FAILED_PRECONDITION, "it exists already"};
    }
    auto& identity = identities[request->uri()];
    identity.set_uri(request->uri());
    identity.set_kind(request->kind());
    identity.set_state(v1::IDENTITY_STATE_ACTIVE);
    identity.mutable_create_time()->set_seconds(1767323045);
    identity.mutable_update_time()->set_seconds(1767323045);
    identity.set_change_sequence(identities.size());
    if (!request->psk().empty()) store(identity, request->psk_id(), request->psk());
    *response->mutable_identity() = identity;
    return grpc::Status::OK;
  }
  grpc::Status GetIdentity(grpc::ServerContext*, const v1::GetIdentityRequest* request,
                           v1::GetIdentityResponse* response) override {
    return with(request->uri(), [&](auto& i) { *response->mutable_identity() = i; });
  }
  grpc::Status ListIdentities(grpc::ServerContext*, const v1::ListIdentitiesRequest* request,
                              v1::ListIdentitiesResponse* response) override {
    ++list_calls;
    for (const auto& [uri, identity] : identities) {
      if (!uri.starts_with(request->uri_prefix()) || uri <= request->page_token()) continue;
      if (response->identities_size() == 2) {
        response->set_next_page_token(response->identities(1).uri());
        break;
      }
      *response->add_identities() = identity;
    }
    return grpc::Status::OK;
  }
  grpc::Status SuspendIdentity(grpc::ServerContext*, const v1::SuspendIdentityRequest* request,
                               v1::SuspendIdentityResponse* response) override {
    return with(request->uri(), [&](auto& i) {
      i.set_state(v1::IDENTITY_STATE_SUSPENDED);
      *response->mutable_identity() = i;
    });
  }
  grpc::Status ResumeIdentity(grpc::ServerContext*, const v1::ResumeIdentityRequest* request,
                              v1::ResumeIdentityResponse* response) override {
    return with(request->uri(), [&](auto& i) {
      i.set_state(v1::IDENTITY_STATE_ACTIVE);
      *response->mutable_identity() = i;
    });
  }
  grpc::Status DeleteIdentity(grpc::ServerContext*, const v1::DeleteIdentityRequest* request,
                              v1::DeleteIdentityResponse*) override {
    const auto status = with(request->uri(), [](auto&) {});
    identities.erase(request->uri());
    return status;
  }
  grpc::Status SetPsk(grpc::ServerContext*, const v1::SetPskRequest* request,
                      v1::SetPskResponse* response) override {
    return with(request->uri(), [&](auto& i) {
      store(i, request->psk_id(), request->psk());
      *response->mutable_identity() = i;
    });
  }
  grpc::Status AddCertificate(grpc::ServerContext*, const v1::AddCertificateRequest* request,
                              v1::AddCertificateResponse* response) override {
    return with(request->uri(), [&](auto& i) {
      auto& one = *i.add_certificates();
      one.set_fingerprint(request->certificate().substr(0, 2));
      one.set_subject("CN=kms");
      one.mutable_not_after()->set_seconds(1767323045);
      *response->mutable_identity() = i;
    });
  }
  grpc::Status RemoveCertificate(grpc::ServerContext*, const v1::RemoveCertificateRequest* request,
                                 v1::RemoveCertificateResponse* response) override {
    return with(request->uri(), [&](auto& i) {
      removed_fingerprint = request->fingerprint();
      i.clear_certificates();
      *response->mutable_identity() = i;
    });
  }
  grpc::Status ShareTpk(grpc::ServerContext*, const v1::ShareTpkRequest* request,
                        v1::ShareTpkResponse* response) override {
    return with(request->uri(), [&](auto& i) {
      i.add_shared_tpk_ids("mode3-1");
      response->set_tpk_id("mode3-1");
      response->set_tpk(std::string(32, '\xab'));
    });
  }
  grpc::Status UnshareTpk(grpc::ServerContext*, const v1::UnshareTpkRequest* request,
                          v1::UnshareTpkResponse* response) override {
    return with(request->uri(), [&](auto& i) {
      const bool all = request->tpk_id().empty() || request->tpk_id() == "mode3-1";
      response->set_removed(all ? static_cast<std::uint32_t>(i.shared_tpk_ids_size()) : 0);
    });
  }

 private:
  template <class Change>
  grpc::Status with(const std::string& uri, Change change) {
    if (fault) return *fault;
    const auto found = identities.find(uri);
    if (found == identities.end()) return {grpc::StatusCode::NOT_FOUND, uri + " does not exist"};
    change(found->second);
    return grpc::Status::OK;
  }
  void store(v1::Identity& identity, const std::string& given_id, const std::string& psk) {
    const std::string id = given_id.empty() ? identity.uri() : given_id;
    psks[id] = psk;
    identity.add_psk_ids(id);
  }
};

class FakeTickets final : public v1::TicketService::Service {
 public:
  explicit FakeTickets(testing::LabKms& kms) : kms_(kms) {}
  grpc::Status RequestTicket(grpc::ServerContext*, const v1::RequestTicketRequest* request,
                             v1::RequestTicketResponse* response) override {
    return answer(kms_.handle_request(as_bytes(request->mikey())), *response);
  }
  grpc::Status ResolveTicket(grpc::ServerContext*, const v1::ResolveTicketRequest* request,
                             v1::ResolveTicketResponse* response) override {
    return answer(kms_.handle_resolve(as_bytes(request->mikey())), *response);
  }

 private:
  template <class Response>
  grpc::Status answer(const Result<ByteVector>& octets, Response& response) {
    if (!octets) {
      return {rpc::ticket_status_code(octets.error().category()), "refused"};
    }
    response.set_mikey(to_string(*octets));
    return grpc::Status::OK;
  }
  testing::LabKms& kms_;
};

// What is revoked, in memory. Pages of two.
class FakeRevocations final : public v1::RevocationAdmin::Service {
 public:
  std::vector<v1::Revocation> revocations;
  std::vector<v1::RevokeTicketRequest> requests;

  v1::Revocation& add() {
    v1::Revocation& added = revocations.emplace_back();
    added.set_sequence(revocations.size() * 10);
    added.mutable_time()->set_seconds(1767323045);
    return added;
  }
  grpc::Status RevokeTicket(grpc::ServerContext*, const v1::RevokeTicketRequest* request,
                            v1::RevokeTicketResponse* response) override {
    requests.push_back(*request);
    v1::Revocation& added = add();
    added.set_ticket_id(std::string(16, '\x0f'));
    *response->mutable_revocation() = added;
    return grpc::Status::OK;
  }
  grpc::Status RevokeTicketsBefore(grpc::ServerContext*,
                                   const v1::RevokeTicketsBeforeRequest* request,
                                   v1::RevokeTicketsBeforeResponse* response) override {
    v1::Revocation& added = add();
    *added.mutable_tickets_before() = request->time();
    *response->mutable_revocation() = added;
    return grpc::Status::OK;
  }
  grpc::Status ListRevocations(grpc::ServerContext*, const v1::ListRevocationsRequest* request,
                               v1::ListRevocationsResponse* response) override {
    for (const v1::Revocation& revocation : revocations) {
      if (revocation.sequence() <= request->after_sequence()) continue;
      if (response->revocations_size() == 2) {
        response->set_more(true);
        break;
      }
      *response->add_revocations() = revocation;
    }
    return grpc::Status::OK;
  }
};

// Tells all of them, and then denies the rest.
class FakeFeed final : public v1::RevocationFeed::Service {
 public:
  explicit FakeFeed(const FakeRevocations& revocations) : revocations_(revocations) {}
  grpc::Status WatchRevocations(grpc::ServerContext*, const v1::WatchRevocationsRequest* request,
                                grpc::ServerWriter<v1::WatchRevocationsResponse>* writer) override {
    for (const v1::Revocation& revocation : revocations_.revocations) {
      if (revocation.sequence() <= request->after_sequence()) continue;
      v1::WatchRevocationsResponse response;
      response.set_sequence(revocation.sequence());
      *response.mutable_revocation() = revocation;
      writer->Write(response);
    }
    return {grpc::StatusCode::PERMISSION_DENIED, "enough"};
  }

 private:
  const FakeRevocations& revocations_;
};

struct KmsctlTest : ::testing::Test {
  TempDir folder;
  SystemClock clock;
  OpenSslRandom random;
  FakeAdmin admin;
  testing::LabKms lab{clock, random};
  FakeTickets tickets{lab};
  FakeRevocations revocations;
  FakeFeed feed{revocations};
  std::unique_ptr<rpc::UnixListener> listener;
  std::unique_ptr<rpc::Server> server;
  std::string out;  // what the last command printed
  std::string err;

  KmsctlTest() {
    const auto ca = rpc::LabCa::create(folder.path(), "Lab CA").value();
    EXPECT_TRUE(ca.issue({.name = "kms", .ip_addresses = {"127.0.0.1"}}));
    EXPECT_TRUE(ca.issue({.name = "operator"}));
    listener = rpc::UnixListener::open(folder / "admin.sock").value();
    rpc::ServerOptions options;
    options.listeners.push_back(
        {"tls", "127.0.0.1:0",
         rpc::server_credentials({folder / "kms.pem", folder / "kms.key", folder / "ca.pem",
                                  rpc::ClientCertificate::optional})
             .value()});
    options.unix_listener = listener.get();
    options.services = {&admin, &tickets, &revocations, &feed};
    server = rpc::Server::start(options).value();
  }

  int run(std::vector<std::string> words) {
    words.insert(words.begin(), "kmsctl");
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    std::ostringstream stream;
    ::testing::internal::CaptureStderr();
    const int code = kmsctl::run(static_cast<int>(argv.size()), argv.data(), stream, clock, random);
    err = ::testing::internal::GetCapturedStderr();
    out = stream.str();
    EXPECT_THAT(out + err, Not(HasSubstr(kPskHex)));
    return code;
  }
  int by_socket(std::vector<std::string> words) {
    words.insert(words.begin(), {"--socket", (folder / "admin.sock").string()});
    return run(std::move(words));
  }
  int by_tls(std::vector<std::string> words) {
    words.insert(
        words.begin(),
        {"--server", server->address("tls"), "--ca", (folder / "ca.pem").string(), "--cert",
         (folder / "operator.pem").string(), "--key", (folder / "operator.key").string()});
    return run(std::move(words));
  }
  std::string key_file(const std::string& name, const std::string& hex) {
    const auto file = folder.write(name, hex + "\n");
    ::chmod(file.c_str(), 0600);
    return file.string();
  }
  static unsigned mode(const std::filesystem::path& file) {
    struct stat info{};
    return ::stat(file.c_str(), &info) == 0 ? info.st_mode & 0777U : 0;
  }
};

TEST_F(KmsctlTest, CreatesAnIdentityWithAKeyFromAFile) {
  ASSERT_EQ(by_socket({"identity", "create", "sip:alice@example.com", "--kind", "mrfc",
                       "--psk-file", key_file("psk", kPskHex)}),
            0)
      << err;
  EXPECT_EQ(to_hex(as_bytes(admin.psks.at("sip:alice@example.com"))), kPskHex);
  EXPECT_EQ(admin.identities.at("sip:alice@example.com").kind(), v1::IDENTITY_KIND_MRFC);
  EXPECT_THAT(out, AllOf(HasSubstr("uri"), HasSubstr("sip:alice@example.com"), HasSubstr("mrfc"),
                         HasSubstr("active"), HasSubstr("2026-01-02T03:04:05Z")));
}

TEST_F(KmsctlTest, MakesAKeyAndWritesItForItsOwnerAlone) {
  const std::string file = (folder / "new.psk").string();
  ASSERT_EQ(by_socket({"identity", "create", "sip:a@b", "--new-psk", file}), 0) << err;
  EXPECT_EQ(TempDir::read(file), to_hex(as_bytes(admin.psks.at("sip:a@b"))) + "\n");
  EXPECT_EQ(admin.psks.at("sip:a@b").size(), 32U);
  EXPECT_EQ(mode(file), 0600U);
  EXPECT_EQ(by_socket({"identity", "set-psk", "sip:a@b", "--new-psk", file}),
            service::kExitConflict)
      << "a key file is never overwritten";
  const std::string second = (folder / "second.psk").string();
  EXPECT_EQ(by_socket({"identity", "create", "sip:a@b", "--new-psk", second}),
            service::kExitConflict);
  EXPECT_FALSE(std::filesystem::exists(second)) << "the KMS refused it: it is no key";
  admin.fault = grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone");
  EXPECT_EQ(by_socket({"identity", "set-psk", "sip:a@b", "--new-psk", second}),
            service::kExitUnavailable);
  EXPECT_TRUE(std::filesystem::exists(second)) << "the KMS may have stored it";
}

TEST_F(KmsctlTest, ReadsAKeyFromStandardInput) {
  ASSERT_EQ(by_socket({"identity", "create", "sip:a@b"}), 0) << err;
  int pipe_ends[2];
  ASSERT_EQ(::pipe(pipe_ends), 0);
  ASSERT_EQ(::write(pipe_ends[1], kPskHex, 64), 64);
  ::close(pipe_ends[1]);
  const int stdin_copy = ::dup(STDIN_FILENO);
  ::dup2(pipe_ends[0], STDIN_FILENO);
  const int code =
      by_socket({"identity", "set-psk", "sip:a@b", "--psk-file", "-", "--psk-id", "hex:00ff"});
  ::dup2(stdin_copy, STDIN_FILENO);
  ::close(stdin_copy);
  ::close(pipe_ends[0]);
  ASSERT_EQ(code, 0) << err;
  EXPECT_EQ(to_hex(as_bytes(admin.psks.at(std::string("\x00\xff", 2)))), kPskHex);
  EXPECT_THAT(out, HasSubstr("hex:00ff"));
}

TEST_F(KmsctlTest, TakesNoKeyFromTheCommandLine) {
  EXPECT_EQ(by_socket({"identity", "create", "sip:a@b", "--psk", "00"}), service::kExitUsage);
  EXPECT_EQ(by_socket({"identity", "set-psk", "sip:a@b"}), service::kExitMalformed);
  const auto open_file = folder.write("open.psk", kPskHex);
  ::chmod(open_file.c_str(), 0644);
  EXPECT_EQ(by_socket({"identity", "create", "sip:a@b", "--psk-file", open_file.string()}),
            service::kExitDenied);
  EXPECT_TRUE(admin.identities.empty());
}

TEST_F(KmsctlTest, ListsAllPagesAsTableAndAsJson) {
  for (const char* uri : {"sip:a@x", "sip:b@x", "sip:c@x", "sip:d@x", "tel:1"}) {
    ASSERT_EQ(by_socket({"identity", "create", uri}), 0);
  }
  ASSERT_EQ(by_socket({"identity", "list"}), 0) << err;
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 6);
  EXPECT_EQ(admin.list_calls, 3);
  EXPECT_THAT(out, HasSubstr("URI"));
  ASSERT_EQ(by_socket({"identity", "list", "--prefix", "sip:", "--output", "json"}), 0) << err;
  const json list = json::parse(out);
  ASSERT_EQ(list.size(), 4U);
  EXPECT_EQ(list[3]["uri"], "sip:d@x");
  ASSERT_EQ(by_socket({"identity", "list", "--prefix", "none", "--output", "json"}), 0);
  EXPECT_EQ(json::parse(out), json::array());
}

TEST_F(KmsctlTest, ShowsSuspendsResumesAndDeletes) {
  ASSERT_EQ(by_socket({"identity", "create", "sip:a@b", "--kind", "as"}), 0);
  ASSERT_EQ(by_socket({"--output", "json", "identity", "suspend", "sip:a@b"}), 0);
  EXPECT_EQ(json::parse(out)["state"], "suspended");
  ASSERT_EQ(by_socket({"identity", "resume", "sip:a@b"}), 0);
  ASSERT_EQ(by_socket({"identity", "show", "sip:a@b", "--output", "json"}), 0);
  const json shown = json::parse(out);
  EXPECT_EQ(shown["state"], "active");
  EXPECT_EQ(shown["kind"], "as");
  EXPECT_EQ(shown["psk_ids"], json::array());
  EXPECT_EQ(shown["create_time"], "2026-01-02T03:04:05Z");
  ASSERT_EQ(by_socket({"identity", "delete", "sip:a@b"}), 0);
  EXPECT_EQ(by_socket({"identity", "show", "sip:a@b"}), service::kExitNotFound);
  EXPECT_THAT(err, HasSubstr("kmsctl: show identity: sip:a@b does not exist"));
}

TEST_F(KmsctlTest, WritesASharedTpkToAFileForItsOwnerAlone) {
  const std::string key_hex = to_hex(as_bytes(std::string(32, '\xab')));
  ASSERT_EQ(by_socket({"identity", "create", "sip:mrfc@x", "--kind", "mrfc"}), 0);
  const std::string file = (folder / "tpk").string();
  ASSERT_EQ(by_socket({"tpk", "share", "--identity", "sip:mrfc@x", "--out", file}), 0) << err;
  EXPECT_THAT(out, AllOf(HasSubstr("mode3-1"), Not(HasSubstr(key_hex))));
  EXPECT_EQ(TempDir::read(file), key_hex + "\n");
  EXPECT_EQ(mode(file), 0600U);

  EXPECT_EQ(by_socket({"tpk", "share", "--identity", "sip:mrfc@x", "--out", file}),
            service::kExitConflict);
  EXPECT_EQ(by_socket({"tpk", "share", "--identity", "sip:mrfc@x"}), service::kExitMalformed);
  EXPECT_EQ(by_socket({"tpk", "share", "--identity", "sip:mrfc@x", "--out",
                       (folder / "none/tpk").string()}),
            service::kExitUnavailable);
  EXPECT_EQ(admin.identities.at("sip:mrfc@x").shared_tpk_ids_size(), 1)
      << "no key is made that there is no place for";

  ASSERT_EQ(by_socket({"tpk", "share", "--identity", "sip:mrfc@x", "--stdout", "--output", "json"}),
            0);
  EXPECT_EQ(json::parse(out)["tpk"], key_hex);
  ASSERT_EQ(by_socket({"tpk", "unshare", "--identity", "sip:mrfc@x", "--output", "json"}), 0);
  EXPECT_EQ(json::parse(out)["removed"], 2);
}

TEST_F(KmsctlTest, SpeaksToTheAdminPortOverTlsToo) {
  ASSERT_EQ(by_tls({"identity", "create", "sip:a@b"}), 0) << err;
  ASSERT_EQ(by_tls({"identity", "list"}), 0) << err;
  EXPECT_THAT(out, HasSubstr("sip:a@b"));
}

TEST_F(KmsctlTest, SaysWhatIsMissingOrCannotBeReached) {
  EXPECT_EQ(run({"identity", "list"}), service::kExitMalformed);
  EXPECT_THAT(err, HasSubstr("--socket PATH"));
  EXPECT_EQ(run({"--socket", "/nonexistent", "identity", "list"}), service::kExitUnavailable);
  EXPECT_EQ(out, "");
  EXPECT_EQ(run({"--server", "127.0.0.1:1", "--ca", "/nonexistent", "identity", "list"}),
            service::kExitNotFound);
  EXPECT_EQ(run({"identity"}), service::kExitUsage);
}

TEST_F(KmsctlTest, PinsACertificateAndTakesItBack) {
  ASSERT_EQ(by_socket({"identity", "create", "sip:alice@example.com"}), 0);
  const std::string file = (folder / "kms.pem").string();
  ASSERT_EQ(by_socket({"identity", "add-certificate", "sip:alice@example.com", file}), 0) << err;
  // DER: a SEQUENCE of more than 255 octets.
  EXPECT_THAT(out, HasSubstr("3082 CN=kms until 2026-01-02T03:04:05Z"));
  const std::string two = TempDir::read(file) + TempDir::read(folder / "ca.pem");
  EXPECT_EQ(by_socket({"identity", "add-certificate", "sip:alice@example.com",
                       folder.write("two.pem", two).string()}),
            service::kExitMalformed);
  EXPECT_THAT(err, HasSubstr("holds 2 certificates"));
  EXPECT_EQ(by_socket({"identity", "add-certificate", "sip:alice@example.com", "/nonexistent"}),
            service::kExitNotFound);
  ASSERT_EQ(by_socket({"identity", "remove-certificate", "sip:alice@example.com", "--fingerprint",
                       "AB:CD"}),
            0);
  EXPECT_EQ(admin.removed_fingerprint, "\xab\xcd");
}

TEST_F(KmsctlTest, AnIdentityProvesItselfInOneWayAndWhollySo) {
  const auto request = [&](std::vector<std::string> words) {
    words.insert(words.begin(),
                 {"ticket", "request", "--identity", "sip:alice@example.com", "--kms",
                  "sip:kms@example.com", "--responder", "sip:bob@example.com"});
    EXPECT_EQ(by_tls(std::move(words)), service::kExitMalformed);
    return err;
  };
  const std::string certificate = (folder / "kms.pem").string();
  EXPECT_THAT(request({}), HasSubstr("how does the identity prove itself?"));
  EXPECT_THAT(request({"--psk-file", key_file("key", kPskHex), "--identity-cert", certificate}),
              HasSubstr("how does the identity prove itself?"));
  EXPECT_THAT(request({"--identity-cert", certificate}), HasSubstr("needs all three"));
}

// KMS-1, KMS-2 by hand.
TEST_F(KmsctlTest, RequestsAndResolvesATicket) {
  lab.add("sip:alice@example.com");
  lab.add("sip:bob@example.com");
  const auto psk_of = [&](const std::string& uri) {
    return key_file(uri, to_hex(lab.credentials(uri).psk.reveal()));
  };
  const std::string init = (folder / "transfer.bin").string();
  ASSERT_EQ(by_tls({"ticket", "request", "--identity", "sip:alice@example.com", "--kms",
                    "sip:kms@example.com", "--psk-file", psk_of("sip:alice@example.com"),
                    "--responder", "sip:bob@example.com", "--validity", "10m", "--transfer-init",
                    init, "--output", "json"}),
            0)
      << err;
  const json ticket = json::parse(out);
  EXPECT_EQ(ticket["responders"], json::array({"sip:bob@example.com"}));
  EXPECT_EQ(ticket["initiator"], "sip:alice@example.com");
  EXPECT_EQ(ticket["flags"], "DEFGHINO");
  EXPECT_EQ(ticket["ticket_id"].get<std::string>().size(), 32U);

  const auto resolve = [&](const std::string& file) {
    return by_tls({"ticket", "resolve", "--identity", "sip:bob@example.com", "--kms",
                   "sip:kms@example.com", "--psk-file", psk_of("sip:bob@example.com"),
                   "--transfer-init", file});
  };
  ASSERT_EQ(resolve(init), 0) << err;
  EXPECT_THAT(out, HasSubstr("verified, from sip:alice@example.com"));
  const auto line = folder.write(
      "line", "a=key-mgmt:mikey " + base64_encode(as_bytes(TempDir::read(init))) + "\r\n");
  ASSERT_EQ(resolve(line.string()), 0) << err;

  EXPECT_EQ(by_tls({"ticket", "resolve", "--identity", "sip:bob@example.com", "--kms",
                    "sip:kms@example.com", "--psk-file", key_file("wrong", kPskHex),
                    "--transfer-init", init}),
            service::kExitUnauthenticated);
  std::string damaged = TempDir::read(init);
  damaged.resize(damaged.size() / 2);
  EXPECT_EQ(resolve(folder.write("damaged", damaged).string()), service::kExitMalformed);
}

TEST_F(KmsctlTest, RevokesATicketByItsIdByItselfOrByAMessageThatCarriesIt) {
  ASSERT_EQ(by_socket({"ticket", "revoke", "--id", std::string(32, 'a')}), 0) << err;
  EXPECT_EQ(revocations.requests.back().ticket_id(), std::string(16, '\xaa'));
  EXPECT_THAT(out, AllOf(HasSubstr("0f0f0f0f"), HasSubstr("2026-01-02T03:04:05Z")));

  lab.add("sip:alice@example.com");
  const std::string init = (folder / "transfer.bin").string();
  const std::string file = (folder / "ticket.bin").string();
  ASSERT_EQ(
      by_tls({"ticket", "request", "--identity", "sip:alice@example.com", "--kms",
              "sip:kms@example.com", "--psk-file",
              key_file("psk", to_hex(lab.credentials("sip:alice@example.com").psk.reveal())),
              "--responder", "sip:bob@example.com", "--transfer-init", init, "--ticket", file}),
      0)
      << err;
  ASSERT_EQ(by_socket({"ticket", "revoke", "--ticket", file}), 0) << err;
  EXPECT_EQ(revocations.requests.back().ticket_octets(), TempDir::read(file));
  ASSERT_EQ(by_socket({"ticket", "revoke", "--transfer-init", init}), 0) << err;
  EXPECT_EQ(revocations.requests.back().ticket_octets(), TempDir::read(file));

  ASSERT_EQ(by_socket({"ticket", "revoke", "--before", "2026-01-01T12:00:00Z", "--output", "json"}),
            0)
      << err;
  EXPECT_EQ(json::parse(out)["before"], "2026-01-01T12:00:00Z");
  EXPECT_EQ(by_socket({"ticket", "revoke"}), service::kExitMalformed);
  EXPECT_EQ(by_socket({"ticket", "revoke", "--id", "aa", "--before", "x"}),
            service::kExitMalformed);
  EXPECT_EQ(by_socket({"ticket", "revoke", "--id", "aa"}), service::kExitMalformed);
  EXPECT_EQ(by_socket({"ticket", "revoke", "--before", "yesterday"}), service::kExitMalformed);
  EXPECT_THAT(err, HasSubstr("2026-01-02T03:04:05Z"));
}

TEST_F(KmsctlTest, ListsAndWatchesWhatIsRevoked) {
  revocations.add().set_ticket_id(std::string(16, '\x01'));
  revocations.add().mutable_identity()->set_uri("sip:a@x");
  revocations.add().set_tpk_id("tpk-1");
  ASSERT_EQ(by_socket({"revocation", "list", "--output", "json"}), 0) << err;
  const json list = json::parse(out);
  ASSERT_EQ(list.size(), 3U);
  EXPECT_EQ(list[0]["ticket_id"], "01010101010101010101010101010101");
  EXPECT_EQ(list[1]["uri"], "sip:a@x");
  EXPECT_EQ(list[2]["tpk_id"], "tpk-1");

  EXPECT_EQ(by_tls({"revocation", "watch", "--after", "10", "--output", "json"}),
            service::kExitDenied);
  std::istringstream lines(out);
  std::vector<std::string> told;
  for (std::string line; std::getline(lines, line);) {
    told.push_back(json::parse(line)["revoked"]);
  }
  EXPECT_EQ(told, (std::vector<std::string>{"identity", "tpk"}));
  EXPECT_EQ(by_socket({"revocation", "watch"}), service::kExitDenied);
  EXPECT_THAT(out, HasSubstr("sip:a@x"));
}

}  // namespace
}  // namespace keystub::kmsctl
