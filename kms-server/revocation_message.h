// Revocations as the contract has them.
#pragma once

#include "keystub/v1/revocation.pb.h"
#include "kms-server/revocation.h"

namespace keystub::kms {

void set_revocation(v1::Revocation& out, const Revocation& revocation);

}  // namespace keystub::kms
