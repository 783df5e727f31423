#include "kms-server/admin_audit.h"

#include <fmt/format.h>

#include "kms-server/identity_uri.h"

namespace keystub::kms {

Result<void> AdminAudit::record(const rpc::Caller& caller, std::string_view operation,
                                std::string_view subject, std::string_view detail,
                                std::string_view ticket_id, const Error* refused) {
  AuditRecord line;
  line.time = clock_.now();
  line.request_id = audit_.next_request_id(line.time);
  line.trace_id = caller.trace_id;
  line.caller = std::string(caller.display_name());
  line.operation = fmt::format("admin.{}", operation);
  line.identity = std::string(subject.substr(0, kMaxUriSize));
  line.granted = refused == nullptr;
  line.rule = refused == nullptr ? "admin" : category_name(refused->category());
  line.detail = std::string(detail.substr(0, kMaxUriSize));
  line.ticket_id = std::string(ticket_id);
  if (refused != nullptr) line.reason = refused->text();
  return audit_.append_and_wait(line);
}

}  // namespace keystub::kms
