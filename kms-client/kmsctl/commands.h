// The verbs of kmsctl. Each group registers its verbs and holds what their options fill.
#pragma once

#include <limits>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "keystub/v1/kms_operation.pb.h"
#include "kms-client/kmsctl/connection.h"
#include "kms-client/kmsctl/output.h"
#include "mikey/public_key/credentials.h"
#include "service/command_line.h"
#include "service/secret_file.h"

namespace keystub::kms_client {
class KmsClient;
}

namespace keystub::kmsctl {

// Of a number whose option was not given.
inline constexpr std::int64_t kNotGiven = std::numeric_limits<std::int64_t>::min();

// What all verbs share. Made before the command line is parsed, read when a verb runs.
struct Session {
  std::ostream& out;
  const Clock& clock;
  RandomSource& random;
  std::string socket;
  std::string server;
  std::string server_name;
  std::string ca;
  std::string certificate;
  std::string private_key;
  std::string timeout = "10s";
  std::string output = "table";

  Format format() const { return output == "json" ? Format::json : Format::table; }
  Result<ConnectionOptions> connection() const;
  Result<std::unique_ptr<AdminClient>> admin() const;
};

// A key from --psk-file or standard input; never from the command line.
struct PskOptions {
  std::string file;
  std::string encoding = "hex";
  std::string id;

  bool given() const { return !file.empty(); }
  Result<Psk> read() const;
};

// All certificates of a file in PEM, in their order; at least one.
Result<std::vector<mikey::Certificate>> read_certificates(const std::string& file);

// "kmsctl: …" on standard error and the exit code, or 0.
int exit_code_of(const Result<void>& result);

// import and export, below `identity`.
class BulkCommands {
 public:
  BulkCommands(service::Verb& identity, Session& session);

 private:
  Result<void> import_file();
  Result<void> export_file();
  Result<std::unique_ptr<AdminClient>> admin() const;

  Session& session_;
  std::string file_;
  std::string format_ = "auto";
  std::string prefix_;
  std::int64_t batch_ = 500;
  bool skip_existing_ = false;
  bool restart_ = false;
  bool dry_run_ = false;
};

class IdentityCommands {
 public:
  // `session` and the object must outlive CommandLine::run().
  IdentityCommands(service::Verb& top, Session& session);

 private:
  Result<void> create();
  Result<void> set_psk();
  Result<void> list();
  Result<void> one(Result<v1::Identity> (AdminClient::*call)(const std::string&));
  Result<void> remove();
  Result<void> remove_psk();
  Result<void> change_part(Result<v1::Identity> (AdminClient::*call)(const std::string&,
                                                                     const std::string&));
  Result<void> add_certificate();
  Result<void> remove_certificate();
  // From --psk-validity; the end of a key that is given now.
  Result<std::optional<google::protobuf::Timestamp>> psk_end() const;
  // Where the key of create and set-psk comes from: a file, or newly made and written to one.
  Result<Psk> obtain_psk();
  // After the call: a key that the KMS refused is no key, so its new file goes again.
  template <class T>
  Result<T> keep_or_drop_new_psk(Result<T> result);

  Session& session_;
  std::string uri_;
  std::string kind_ = "user";
  std::string prefix_;
  std::string new_psk_;
  std::string psk_validity_;
  std::string part_;  // the alias, pattern or fingerprint to add or remove
  std::string file_;  // of a certificate
  PskOptions psk_;
  std::optional<BulkCommands> bulk_;
};

class GroupCommands {
 public:
  GroupCommands(service::Verb& top, Session& session);

 private:
  Result<void> change(Result<v1::Identity> (AdminClient::*call)(const std::string&,
                                                                const std::string&));
  Result<void> members();

  Session& session_;
  std::string group_;
  std::string member_;
};

class PolicyCommands {
 public:
  PolicyCommands(service::Verb& top, Session& session);

 private:
  // A rule without values, for the one subject that was given.
  Result<v1::PolicyRule> subject() const;
  Result<void> set();
  Result<void> show();
  Result<void> remove();
  Result<void> list();
  Result<void> explain();

  Session& session_;
  std::string identity_;
  std::string group_;
  std::string domain_;
  bool everybody_ = false;
  std::vector<std::string> responders_;
  std::vector<std::string> initiators_;
  std::vector<std::string> applications_;
  std::vector<std::string> ticket_types_;
  std::vector<std::string> suites_;
  std::string forking_;
  std::string reuse_;
  std::string mode3_;
  std::int64_t max_keys_ = kNotGiven;
  std::string max_validity_;
  std::string default_validity_;
  std::string from_;
  std::string to_;
};

class TpkCommands {
 public:
  TpkCommands(service::Verb& top, Session& session);

 private:
  Result<void> share();
  Result<void> unshare();
  Result<void> prepare();
  Result<void> change(Result<v1::Tpk> (AdminClient::*call)(const std::string&));
  Result<void> show();

  Session& session_;
  std::string identity_;
  std::string out_;
  bool to_stdout_ = false;
  std::string tpk_id_;
};

// kmsctl ticket revoke, kmsctl revocation list|watch.
class RevocationCommands {
 public:
  // `ticket`: the verb that revoke belongs to.
  RevocationCommands(service::Verb& top, service::Verb& ticket, Session& session);

 private:
  Result<void> revoke();
  Result<void> list();
  Result<void> watch();

  Session& session_;
  std::string ticket_id_;
  std::string ticket_file_;
  std::string transfer_file_;
  std::string before_;
  std::int64_t after_ = kNotGiven;
};

class TicketCommands {
 public:
  TicketCommands(service::Verb& ticket, Session& session);

 private:
  Result<void> request();
  Result<void> resolve();
  // As whom, and how that is proved: by the key of --psk-file or by a certificate.
  Result<std::unique_ptr<kms_client::KmsClient>> open_client() const;
  Result<mikey::PkCredentials> read_certified() const;

  Session& session_;
  std::string identity_;
  std::string kms_;
  PskOptions psk_;
  std::string certificate_;
  std::string private_key_;
  std::string kms_certificate_;
  std::vector<std::string> applications_;
  std::vector<std::string> responders_;
  std::string validity_ = "1h";
  std::string ticket_file_;
  std::string transfer_file_;
  std::string trace_id_;
};

class OperationCommands {
 public:
  OperationCommands(service::Verb& top, Session& session);

 private:
  int doctor();
  Result<v1::DiagnoseResponse> examine() const;
  Result<void> create();
  Result<void> verify();
  Result<void> rewrap();
  Result<ConnectionOptions> long_connection() const;

  Session& session_;
  std::string name_;
  std::string config_;
  bool dry_run_ = false;
};

class AuditCommands {
 public:
  AuditCommands(service::Verb& top, Session& session);

 private:
  Result<void> verify();
  Result<void> tail();
  Result<void> search();
  void print(const nlohmann::json& line) const;

  Session& session_;
  std::vector<std::string> files_;
  std::string digest_;
  std::int64_t lines_ = 20;
  std::string identity_;
  std::string ticket_;
  std::string trace_;
  std::string operation_;
  std::string decision_;
};

}  // namespace keystub::kmsctl
