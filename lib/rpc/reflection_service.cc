#include "rpc/reflection_service.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <set>

#include "rpc/status.h"

namespace keystub::rpc {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using grpc::reflection::v1alpha::ServerReflectionRequest;
using grpc::reflection::v1alpha::ServerReflectionResponse;

constexpr std::string_view kMethod =
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

// The file, then all that it imports, each once.
void add_file(const FileDescriptor& file, std::set<const FileDescriptor*>& seen,
              grpc::reflection::v1alpha::FileDescriptorResponse& out) {
  if (!seen.insert(&file).second) return;
  google::protobuf::FileDescriptorProto proto;
  file.CopyTo(&proto);
  proto.SerializeToString(out.add_file_descriptor_proto());
  for (int i = 0; i < file.dependency_count(); ++i) add_file(*file.dependency(i), seen, out);
}

void answer_file(const FileDescriptor* file, ServerReflectionResponse& response) {
  if (file == nullptr) {
    auto& error = *response.mutable_error_response();
    error.set_error_code(grpc::StatusCode::NOT_FOUND);
    error.set_error_message("nothing of this name is known here");
    return;
  }
  std::set<const FileDescriptor*> seen;
  add_file(*file, seen, *response.mutable_file_descriptor_response());
}

const FileDescriptor* file_of(const FieldDescriptor* extension) {
  return extension == nullptr ? nullptr : extension->file();
}

void answer(const std::vector<std::string>& services, const ServerReflectionRequest& request,
            ServerReflectionResponse& response) {
  const DescriptorPool& pool = *DescriptorPool::generated_pool();
  response.Clear();
  response.set_valid_host(request.host());
  *response.mutable_original_request() = request;
  switch (request.message_request_case()) {
    case ServerReflectionRequest::kListServices:
      for (const std::string& service : services) {
        response.mutable_list_services_response()->add_service()->set_name(service);
      }
      return;
    case ServerReflectionRequest::kFileByFilename:
      return answer_file(pool.FindFileByName(request.file_by_filename()), response);
    case ServerReflectionRequest::kFileContainingSymbol:
      return answer_file(pool.FindFileContainingSymbol(request.file_containing_symbol()), response);
    case ServerReflectionRequest::kFileContainingExtension: {
      const auto& wanted = request.file_containing_extension();
      const auto* type = pool.FindMessageTypeByName(wanted.containing_type());
      return answer_file(type == nullptr
                             ? nullptr
                             : file_of(pool.FindExtensionByNumber(type, wanted.extension_number())),
                         response);
    }
    case ServerReflectionRequest::kAllExtensionNumbersOfType: {
      auto& numbers = *response.mutable_all_extension_numbers_response();
      numbers.set_base_type_name(request.all_extension_numbers_of_type());
      std::vector<const FieldDescriptor*> extensions;
      if (const auto* type = pool.FindMessageTypeByName(numbers.base_type_name())) {
        pool.FindAllExtensions(type, &extensions);
      }
      for (const auto* extension : extensions) numbers.add_extension_number(extension->number());
      return;
    }
    case ServerReflectionRequest::MESSAGE_REQUEST_NOT_SET: return answer_file(nullptr, response);
  }
}

// One question, one answer, and so on. A read or a write is always under way, and fails when the
// call is cancelled: that ends the stream.
class ReflectionStream final
    : public grpc::ServerBidiReactor<ServerReflectionRequest, ServerReflectionResponse> {
 public:
  ReflectionStream(const std::vector<std::string>& services, const Result<Caller>& caller)
      : services_(services) {
    if (caller) {
      StartRead(&request_);
    } else {
      Finish(to_status(caller.error()));
    }
  }
  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    answer(services_, request_, response_);
    StartWrite(&response_);
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::CANCELLED);
    StartRead(&request_);
  }
  void OnCancel() override {}
  void OnDone() override { delete this; }

 private:
  const std::vector<std::string>& services_;
  ServerReflectionRequest request_;
  ServerReflectionResponse response_;
};

}  // namespace

grpc::ServerBidiReactor<ServerReflectionRequest, ServerReflectionResponse>*
ReflectionService::ServerReflectionInfo(grpc::CallbackServerContext* context) {
  return new ReflectionStream(services_, guard_.admit(*context, kMethod));
}

}  // namespace keystub::rpc
