// One method per RPC of RevocationAdmin.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/error.h"
#include "keystub/v1/revocation.pb.h"
#include "kms-client/kmsctl/connection.h"

namespace keystub::kmsctl {

class RevocationClient {
 public:
  static Result<std::unique_ptr<RevocationClient>> open(const ConnectionOptions& options);
  ~RevocationClient();

  Result<v1::Revocation> revoke_ticket(const v1::RevokeTicketRequest& request);
  Result<v1::Revocation> revoke_before(const google::protobuf::Timestamp& time);
  // Follows the pages and hands out each revocation once.
  Result<void> list(const std::function<void(const v1::Revocation&)>& each);

 private:
  struct Impl;
  explicit RevocationClient(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace keystub::kmsctl
